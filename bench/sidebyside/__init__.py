# SPDX-License-Identifier: MIT
"""What bench/compare is made of: peers and their tools, the table of rows, and the report."""
