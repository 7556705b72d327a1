# SPDX-License-Identifier: MIT
"""One daemon after another on one folder, each killed; none outlives the rig."""
import time

from harness.daemon import Daemon, assert_no_sanitizer_report


class Host:
    """with Host(folder, *flags) as host: host.start(), host.kill(), host.daemon."""

    def __init__(self, folder, *flags, data_dir=None, environment=None):
        self.folder = folder
        self.flags = flags
        self.options = {"data_dir": data_dir, "environment": environment}
        self.daemon = None
        self.ready_s = 0.02  # how long the last start took

    def __enter__(self):
        return self

    def start(self, wait=True):
        began = time.monotonic()
        self.daemon = Daemon(self.folder, *self.flags, **self.options, wait=wait)
        if wait:
            self.ready_s = time.monotonic() - began

    def kill(self):
        """It has to live until then, and to have done nothing that a sanitizer reports."""
        self.daemon.assert_alive()
        self.daemon.kill()
        assert_no_sanitizer_report(self.daemon.log().encode())

    def __exit__(self, *_):
        if self.daemon is not None:
            self.daemon.kill()
