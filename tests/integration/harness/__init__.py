# SPDX-License-Identifier: MIT
"""What the integration tests share: the daemon as a process, and clients made from plain sockets, curl and the CLI."""
