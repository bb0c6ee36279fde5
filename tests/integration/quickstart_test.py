#!/usr/bin/env python3
"""The quickstart as a user sees it: what it prints, its status, and that it leaves nothing behind.

    BUILD=build/dev tests/integration/quickstart_test.py
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build" / "dev")).absolute()
sys.path.insert(0, str(ROOT / "tests" / "support"))

from wdb import Manager  # noqa: E402


def children(pid):
    """(pid, command line) of the processes that `pid` started."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, ValueError, IndexError):
            continue  # it ended meanwhile
        if parent == pid:
            found.append((int(entry.name), command))
    return found


class Quickstart(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="qs-")
        self.addCleanup(self.folder.cleanup)
        self.temporary = pathlib.Path(self.folder.name) / "tmp"
        self.temporary.mkdir()

    def start(self, *arguments):
        process = subprocess.Popen(
            [sys.executable, ROOT / "packaging" / "quickstart.py", "--build", BUILD, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "TMPDIR": str(self.temporary), "PYTHONUNBUFFERED": "1"})
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        return process

    def read_until(self, process, text):
        said = ""
        while text not in said:
            line = process.stdout.readline()
            self.assertTrue(line, f"it ended before it said {text!r}:\n{said}")
            said += line
        return said

    def end(self, process, status):
        said = process.stdout.read()
        self.assertEqual(process.wait(), status, said)
        self.assertEqual(list(self.temporary.iterdir()), [], "its folder was left behind")
        return said

    def test_all_cases_are_right_here(self):
        said = self.end(self.start("--once"), 0)
        self.assertRegex(said.splitlines()[-1],
                         r"^quickstart: 4 cases, 0 wrong here, 3 wrong with last writer wins$")

    def test_a_daemon_that_dies_is_told_with_the_end_of_its_log(self):
        process = self.start("--once")
        self.read_until(process, "S1")
        (victim,) = [pid for pid, command in children(process.pid) if "/w2.ini" in command]
        os.kill(victim, signal.SIGKILL)
        said = self.end(process, 1)
        self.assertIn("quickstart: w2 was killed by SIGKILL", said)
        self.assertRegex(said, r"the end of what w2 said:\n.*started.*node=w2")

    def test_an_interrupt_ends_all_that_it_started(self):
        process = self.start()
        self.read_until(process, "S1")
        started = children(process.pid)
        self.assertEqual(len(started), 5, started)
        process.send_signal(signal.SIGINT)
        self.end(process, 0)
        for pid, command in started:
            self.assertFalse(pathlib.Path(f"/proc/{pid}").exists(), command)

    def test_a_wazuh_home_without_wazuh_db_is_refused(self):
        said = self.end(self.start("--wazuh", self.folder.name), 1)
        self.assertIn("queue/db/wdb does not exist", said)

    def test_a_wazuh_home_is_watched(self):
        home = pathlib.Path(self.folder.name)
        path = home / "queue" / "db" / "wdb"
        path.parent.mkdir(parents=True)
        standin = subprocess.Popen([BUILD / "tests" / "support" / "standin-wazuhdb", "--socket",
                                    path, "--max-seconds", "120"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(standin.stdout.close)
        self.addCleanup(standin.wait)
        self.addCleanup(standin.terminate)
        self.assertIn("listening on", standin.stdout.readline())
        with Manager(path, standin=True) as manager:
            for agent in (1, 2, 3):
                manager.enroll(agent)
            manager.connect_agent(1, "worker-1")
            manager.connect_agent(2, "worker-1")
            manager.shutdown(2)
        said = self.end(self.start("--once", "--wazuh", str(home)), 0)
        self.assertTrue(re.search(r"3 rows, 2 agents seen here, 1 active, 0 in doubt", said), said)


if __name__ == "__main__":
    unittest.main()
