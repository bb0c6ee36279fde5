#!/usr/bin/env python3
"""The daemons as systemd has them: what they say to the socket that it names, and when."""

import os
import pathlib
import signal
import socket
import time
import unittest
from unittest import mock

from cluster import PROGRAMS
from daemons import Daemons, master_configuration, sidecar_configuration

WITHIN_S = 60.0
WATCHDOG_US = 300_000


class Service(Daemons):
    """One daemon, and the socket at which it speaks."""

    def __init__(self):
        super().__init__(PROGRAMS, "rc-")
        self.issue("test", ("master", "w1"))
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.folder / "notify"))
        self.socket.settimeout(0.5)

    def close(self, *arguments):
        super().close(*arguments)
        self.socket.close()

    def start(self, add):
        said = {"NOTIFY_SOCKET": str(self.folder / "notify"), "WATCHDOG_USEC": str(WATCHDOG_US)}
        with mock.patch.dict(os.environ, said):
            add().start()

    def hear(self):
        """The next message; None after half a second without one."""
        try:
            return self.socket.recv(4096).decode()
        except TimeoutError:
            return None

    def until_said(self, message):
        before = []
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline:
            heard = self.hear()
            if heard is not None and heard.startswith(message):
                return
            before.append(heard)
        raise AssertionError(f"'{message}' was not said, but {before}")

    def until_silent(self):
        deadline = time.monotonic() + WITHIN_S
        while self.hear() is not None:
            if time.monotonic() > deadline:
                raise AssertionError("it goes on speaking")


class Services(unittest.TestCase):
    def setUp(self):
        self.service = Service()
        self.addCleanup(self.service.close)

    def sidecar_alone(self):
        nowhere = pathlib.Path(self.service.folder)
        return self.service.add_sidecar("w1", sidecar_configuration(
            "w1", self.service.pki, nowhere / "store", 1, {"wazuh_home": nowhere / "no-wazuh"}))

    def master(self):
        return self.service.add_master(
            master_configuration(self.service.pki, self.service.folder / "store"))

    def test_a_sidecar_is_ready_although_neither_wazuh_nor_the_master_is_there(self):
        self.service.start(self.sidecar_alone)
        self.service.until_said("READY=1")
        self.service.until_said("STATUS=0 agents, 0 events to be acked; not ready: ")

    def test_a_master_is_ready_once_workers_may_connect(self):
        self.service.start(self.master)
        self.service.until_said("READY=1")
        self.service.until_said("STATUS=0 connections, 0 agents")

    def test_the_end_is_announced(self):
        self.service.start(self.sidecar_alone)
        self.service.until_said("READY=1")
        self.service.daemons["w1"].end()
        self.service.until_said("STOPPING=1")

    def test_a_loop_that_is_stuck_says_nothing(self):
        self.service.start(self.sidecar_alone)
        self.service.until_said("WATCHDOG=1")
        process = self.service.daemons["w1"].process
        process.send_signal(signal.SIGSTOP)
        try:
            self.service.until_silent()
        finally:
            process.send_signal(signal.SIGCONT)
        self.service.until_said("WATCHDOG=1")


if __name__ == "__main__":
    unittest.main(verbosity=2)
