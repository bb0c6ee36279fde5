#!/usr/bin/env python3
"""What real daemons log: a line for each event with its fields, at a level that changes while they run, as
text, as JSON, and as entries of systemd's journal."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

from cluster import PROGRAMS, Cluster, fields_of
from daemons import master_configuration


class Levels(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(workers=("w1",)).begin()
        cls.addClassCleanup(cls.cluster.close)

    def log_level(self, name, *arguments, status=0):
        done = subprocess.run(
            [PROGRAMS["rollcall"], "log-level", *arguments,
             "--master" if name == "master" else "--sidecar", self.cluster.http[name].url, "--token",
             self.cluster.stores[name] / "token"], capture_output=True, text=True, check=False,
            timeout=30)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def lines(self, name, mark, text):
        return [fields_of(line) for line in self.cluster.said_since(name, mark) if text in line]

    def test_each_event_is_a_line_with_agent_node_session_and_seq(self):
        for name, text in ("master", " decided "), ("w1", " the master is told "):
            self.assertEqual(self.log_level(name), "info\n")
            self.assertEqual(self.log_level(name, "debug"), "debug\n")
            self.assertEqual(self.cluster.http[name].get("/log"),
                             {"level": "debug", "format": "text"})
        marks = {name: self.cluster.mark(name) for name in ("master", "w1")}
        self.cluster.until_all_are_on("w1", [7])
        seqs = []
        for name, text in ("master", " decided "), ("w1", " the master is told "):
            opened = [line for line in self.lines(name, marks[name], text)
                      if (line["agent"], line["event"]) == ("7", "opened")]
            self.assertEqual(len(opened), 1)
            self.assertEqual(opened[0]["node"], "w1")
            seqs.append((opened[0]["session"], opened[0]["seq"]))
        self.assertEqual(*seqs)

        for name in "master", "w1":
            self.assertEqual(self.log_level(name, "info"), "info\n")
        marks = {name: self.cluster.mark(name) for name in ("master", "w1")}
        self.cluster.until_all_are_on("w1", [8])
        self.assertEqual(self.lines("master", marks["master"], " decided "), [])
        self.assertEqual(self.lines("w1", marks["w1"], " the master is told "), [])

    def test_no_other_level_is_taken(self):
        self.assertIn("loud", self.log_level("master", "loud", status=2))


class AMasterAlone(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster(workers=())
        self.addCleanup(self.cluster.close)

    def configured(self, form):
        ini = self.cluster.folder / "master.ini"
        ini.write_text(master_configuration(self.cluster.pki, self.cluster.stores["master"],
                                            log={"format": form}))
        return [PROGRAMS["rollcall-master"], "--config", ini]

    def test_as_json_each_line_is_an_object(self):
        with subprocess.Popen(self.configured("json"), stderr=subprocess.PIPE, text=True) as master:
            lines = []
            for line in master.stderr:
                lines.append(json.loads(line))
                if lines[-1]["message"] == "ready":
                    master.terminate()
        self.assertEqual(master.returncode, 0)
        ready = next(line for line in lines if line["message"] == "ready")
        self.assertEqual(ready["level"], "info")
        self.assertIn("127.0.0.1:", ready["listen"])

    def journal(self):
        """A socket where the journal's is, seen by `arguments` alone; skipped where nobody may mount."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="rc-"))
        self.addCleanup(shutil.rmtree, folder)
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(peer.close)
        peer.bind(str(folder / "socket"))
        peer.settimeout(40)
        alone = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c",
                 "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && "
                 'mount --bind "$0" /run/systemd/journal && exec "$@"', folder]
        if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("this user may not mount in a namespace of its own")
        return peer, alone

    def test_under_systemd_each_line_is_an_entry_of_the_journal_with_fields(self):
        peer, alone = self.journal()
        with (self.cluster.folder / "stderr").open("wb") as stderr:
            there = os.fstat(stderr.fileno())
            with subprocess.Popen(
                    [*alone, *self.configured("auto")], stderr=stderr,
                    env={**os.environ, "JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}"}) as master:
                entries = []
                while not entries or "ROLLCALL_EVENT=ready" not in entries[-1]:
                    entries.append(peer.recv(65536).decode().splitlines())
                master.terminate()
        self.assertEqual(master.returncode, 0)
        fields = dict(line.split("=", 1) for line in entries[-1])
        self.assertEqual((fields["PRIORITY"], fields["SYSLOG_IDENTIFIER"]),
                         ("6", "rollcall-master"))
        self.assertIn("127.0.0.1:", fields["ROLLCALL_LISTEN"])
        self.assertTrue(fields["MESSAGE"].startswith("ready "))
        self.assertEqual((self.cluster.folder / "stderr").read_bytes(), b"")


if __name__ == "__main__":
    done = unittest.main(verbosity=2, exit=False).result
    sys.exit(not done.wasSuccessful())
