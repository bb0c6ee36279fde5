"""wdb.py against the stand-in program, named by the variable STANDIN_WAZUHDB."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from wdb import Manager, Standin, Wdb, WdbError  # noqa: E402

DATA = pathlib.Path(__file__).parent.parent / "data"
PROGRAM = os.environ.get("STANDIN_WAZUHDB", "standin-wazuhdb")


class Running(unittest.TestCase):
    flavour = "4.14"

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name) / "queue" / "db" / "wdb"
        self.program = self.run_standin("--flavour", self.flavour)
        self.assertIn("listening", self.program.stdout.readline())
        self.daemons = Manager(self.path, self.flavour, standin=True)
        self.standin = Standin(self.path)
        self.wdb = Wdb(self.path)
        for client in (self.daemons, self.standin, self.wdb):
            self.addCleanup(client.close)

    def run_standin(self, *arguments):
        program = subprocess.Popen([PROGRAM, "--socket", str(self.path), "--max-seconds", "60",
                                    *arguments], stdout=subprocess.PIPE, text=True)
        self.addCleanup(program.stdout.close)
        self.addCleanup(program.wait)
        self.addCleanup(program.kill)
        return program

    def row(self, id):
        return self.wdb.sql("SELECT connection_status s,status_code c,sync_status m,node_name n,"
                            f"ifnull(version,'') v FROM agent WHERE id={id}")[0]


class AnAgentsLife(Running):
    def test_each_event_leaves_the_row_that_the_real_daemons_leave(self):
        life = self.daemons
        life.enroll(7)
        self.assertEqual(self.row(7), {"s": "never_connected", "c": 0, "m": "synced",
                                       "n": "unknown", "v": ""})
        life.startup(7)
        self.assertEqual(self.row(7)["s"], "pending")
        life.first_keepalive(7, "worker-1", version="Wazuh v4.9.0", labels={"a": "b"})
        self.assertEqual(self.row(7), {"s": "active", "c": 0, "m": "syncreq", "n": "worker-1",
                                       "v": "Wazuh v4.9.0"})
        self.assertIn('"key":"a","value":"b"', self.wdb.ask("global get-labels 7"))
        life.keepalive(7)
        life.shutdown(7)
        self.assertEqual((self.row(7)["s"], self.row(7)["c"]), ("disconnected", 3))
        life.connect_agent(7, "worker-2")
        self.assertEqual((self.row(7)["s"], self.row(7)["n"]), ("active", "worker-2"))
        life.reaper([7])
        self.assertEqual((self.row(7)["s"], self.row(7)["c"], self.row(7)["m"]),
                         ("disconnected", 4, "synced"))
        life.keepalive(7)
        life.remoted_restart()
        self.assertEqual((self.row(7)["s"], self.row(7)["c"], self.row(7)["m"]),
                         ("disconnected", 5, "synced"))
        life.delete(7)
        self.assertEqual(self.wdb.sql("SELECT id FROM agent WHERE id>0"), [])

    def test_many_keepalives_and_the_reaper_by_age(self):
        for id in range(1, 121):
            self.daemons.enroll(id)
        self.daemons.keepalives(range(1, 121), batch=50)
        self.assertEqual(self.daemons.silent_since(time.time() - 3600), [])
        self.assertEqual(self.daemons.silent_since(time.time() + 3600), list(range(1, 121)))

    def test_on_the_master_no_row_needs_sync(self):
        master = Manager(self.path, self.flavour, worker=False, standin=True)
        self.addCleanup(master.close)
        master.enroll(1)
        master.connect_agent(1, "master")
        self.assertEqual(self.row(1)["m"], "synced")


class AnAgentsLifeOn411(AnAgentsLife):
    flavour = "4.11"


class TheWritesOfManager(unittest.TestCase):
    """Manager, told the recorded story, sends the recorded bytes."""

    class Spy(Manager):
        def __init__(self, flavour):
            super().__init__("nowhere", flavour)
            self.sent = []

        def ask(self, request):
            self.sent.append(request)
            return "ok []"

    def test_are_those_of_the_transcripts(self):
        for flavour, version in (("4.11", "4.11.2"), ("4.14", "4.14.7")):
            with self.subTest(version):
                lines = (DATA / f"transcript-{version}.jsonl").read_text().splitlines()
                entries = [json.loads(line) for line in lines]
                recorded = [entry["request"] for entry in entries if entry["step"] == "write"]
                spy = self.Spy(flavour)
                for id in range(1, 13):
                    spy.enroll(id)
                spy.connect_agent(7, "worker-1")
                for id in range(1, 7):
                    spy.connect_agent(id, "worker-1")
                spy.keepalive(7)
                spy.shutdown(7)
                spy.connect_agent(7, "worker-1")
                reaper = next(request for request in recorded if "disconnect-agents" in request)
                spy.silent_since(int(reaper.split()[3]))
                spy.keepalive(3)
                spy.remoted_restart()
                spy.delete(12)
                self.assertEqual(spy.sent, recorded)


class FaultsAndCounters(Running):
    def test_a_fault_hits_the_observer_and_not_the_manager(self):
        self.standin.fault("drop")
        with self.assertRaises(ConnectionError):
            self.wdb.ask("global sql SELECT 1")
        self.daemons.enroll(1)
        self.standin.fault("none")
        self.assertEqual(self.wdb.ask("global sql SELECT count(*) n FROM agent WHERE id>0"),
                         'ok [{"n":1}]', "the client connects again by itself")

    def test_a_stall_is_a_timeout(self):
        self.standin.fault("stall")
        impatient = Wdb(self.path, timeout=0.2)
        self.addCleanup(impatient.close)
        with self.assertRaises(TimeoutError):
            impatient.ask("global sql SELECT 1")

    def test_stats_offset_and_reset_work(self):
        self.daemons.enroll(1)
        self.wdb.ask("global sql DELETE FROM agent WHERE id=99")
        self.standin.offset(-5000)
        self.daemons.keepalive(1)
        (row,) = self.wdb.sql("SELECT last_keepalive k FROM agent WHERE id=1")
        self.assertAlmostEqual(row["k"], time.time() - 5000, delta=60)
        stats = self.standin.stats()
        self.assertEqual((stats["non_select_sql"], stats["forbidden"], stats["rows"]), (1, 0, 1))
        self.standin.reset()
        self.assertEqual(self.standin.stats()["rows"], 0)

    def test_an_err_is_raised_by_tell_and_returned_by_ask(self):
        self.assertEqual(self.wdb.ask("foo"), "err Invalid DB query syntax, near 'foo'")
        with self.assertRaisesRegex(WdbError, "near 'foo'"):
            self.wdb.tell("foo")

    def test_a_request_that_would_harm_the_real_daemon_is_never_sent(self):
        for request in ("", "x" * 65537):
            with self.assertRaises(ValueError):
                self.wdb.ask(request)

    def test_the_program_ends_on_sigterm_and_removes_its_socket(self):
        self.program.send_signal(signal.SIGTERM)
        self.assertEqual(self.program.wait(timeout=20), 0)
        self.assertFalse(self.path.exists())

    def test_the_program_ends_by_itself_after_max_seconds(self):
        self.program.terminate()
        self.program.wait(timeout=20)
        short = self.run_standin("--max-seconds", "1")
        self.assertEqual(short.wait(timeout=20), 0)

    def test_the_program_says_what_it_cannot_use(self):
        done = subprocess.run([PROGRAM, "--flavour", "3"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("cannot use --flavour 3", done.stderr)


if __name__ == "__main__":
    unittest.main()
