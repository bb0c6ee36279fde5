#!/usr/bin/env python3
"""Sidecars that are told of their agents over the events socket: what was answered as stored is at
the master in the end, whoever is killed and whatever disk is full.

    SEED=7 KILLS=30 tests/integration/events_test.py
"""

import json
import os
import random
import select
import socket
import stat
import subprocess
import time
import unittest

from cluster import Cluster
from daemons import Failure
from small_disk import fill, small_disk

SEED = int(os.environ.get("SEED", "1"))
KILLS = int(os.environ.get("KILLS", "12"))
AGENTS = list(range(1, 201))
DISK_BYTES = 4 << 20


def info(id, version):
    return {"name": f"agent-{id}", "ip": f"10.0.{id >> 8}.{id & 255}", "os_name": "Debian",
            "version": f"v{version}", "labels": {"site": "north"}}


class Source:
    """An agent server: writes events, and remembers how each line was answered."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.socket.setblocking(False)
        self.lines, self.answers = [], {}
        self.refusals = {}
        self._out, self._in = b"", b""
        self.ended = False

    def send(self, *events):
        for event in events:
            text = event if isinstance(event, str) else json.dumps(event)
            self.lines.append(event)
            self._out += text.encode() + b"\n"

    def turn(self, seconds=0.0):
        """Writes and reads what goes at once."""
        if self.ended:
            return
        readable, writable, _ = select.select([self.socket], [self.socket] if self._out else [], [],
                                              seconds)
        try:
            if writable:
                self._out = self._out[self.socket.send(self._out):]
            if readable:
                self._take(self.socket.recv(1 << 20))
        except BlockingIOError:
            pass
        except OSError:
            self.ended = True

    def _take(self, data):
        self.ended = not data
        *lines, self._in = (self._in + data).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            if "refused" in answer:
                self.refusals[answer["line"]] = answer["refused"]
                continue
            assert answer["stored"] is True, answer
            first, last = answer.get("lines") or (answer["line"], answer["line"])
            for number in range(first, last + 1):
                assert number not in self.answers, f"line {number} is answered twice"
                self.answers[number] = True

    def answered(self):
        return len(self.answers) + len(self.refusals)

    def read_to_the_end(self):
        while not self.ended:
            self.turn(1)

    def say_no_more(self):
        while self._out:
            self.turn(1)
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.socket.close()


class EventCluster(Cluster):
    """As Cluster, with an events socket for each sidecar instead of a wazuh-db."""

    def __init__(self, **options):
        self.sources = []
        super().__init__(**options)

    def source_of(self, worker):
        return {"type": "events", "events_socket": self.events_of(worker)}

    def events_of(self, worker):
        return self.folder / f"{worker}.events"

    def begin(self):
        for name in ("master", *self.workers):
            self.start(name)
        for worker in self.workers:
            self.until(f"{worker} is connected", lambda worker=worker: self.streaming(worker))
        return self

    def source(self, worker):
        self.sources.append(Source(self.events_of(worker)))
        return self.sources[-1]

    def close(self):
        for source in self.sources:
            source.close()
        super().close()


class Clock:
    """Moments in microseconds that differ."""

    def __init__(self):
        self.last = 0

    def now(self):
        self.last = max(self.last + 1, time.time_ns() // 1000)
        return self.last


class Events(unittest.TestCase):
    def begin(self, **options):
        self.cluster = EventCluster(**options)
        self.addCleanup(self.cluster.close)
        self.clock = Clock()
        return self.cluster.begin()

    def connect(self, id, version=1):
        return {"agent": id, "event": "connect", "at_us": self.clock.now(),
                "info": info(id, version)}

    def goodbye(self, id):
        return {"agent": id, "event": "disconnect", "at_us": self.clock.now()}

    def answer_all(self, source, seconds=40):
        deadline = time.monotonic() + seconds
        while source.answered() < len(source.lines):
            source.turn(0.05)
            self.cluster.check()
            if source.ended or time.monotonic() > deadline:
                raise Failure(f"{source.answered()} of {len(source.lines)} lines are answered, "
                              f"ended={source.ended}\n{self.cluster.daemons['w1'].tail()}")

    def acked(self):
        return self.cluster.quiet()

    def test_events_become_the_masters_table(self):
        cluster = self.begin()
        mode = os.stat(cluster.events_of("w1"))
        self.assertTrue(stat.S_ISSOCK(mode.st_mode))
        self.assertEqual(stat.S_IMODE(mode.st_mode), 0o660)
        one, two = cluster.source("w1"), cluster.source("w2")
        one.send(*(self.connect(id) for id in AGENTS))
        one.send("nonsense", {"agent": 0, "event": "connect"}, {"agent": 1, "event": "leave"})
        self.answer_all(one)
        self.assertEqual(sorted(one.refusals), [len(AGENTS) + 1, len(AGENTS) + 2, len(AGENTS) + 3])
        self.assertRegex(one.refusals[len(AGENTS) + 1], "^the line is not JSON")
        self.assertRegex(one.refusals[len(AGENTS) + 2], "^agent is no agent's number; allowed is")
        self.assertRegex(one.refusals[len(AGENTS) + 3], '^event "leave" is not known; allowed is')
        cluster.until("all are active on w1", lambda: cluster.answers() == {
            id: ("active", "w1") for id in AGENTS})
        cluster.until("what agent 7 is has been asked for",
                      lambda: cluster.table()[7]["info_complete"])
        page = cluster.table()[7]["info"]
        self.assertEqual((page["name"], page["ip"], page["labels"]),
                         ("agent-7", "10.0.0.7", {"site": "north"}))
        # Some move, some leave, one is removed; w1's goodbyes of those that moved come late.
        movers, leavers = AGENTS[:50], AGENTS[50:80]
        late = [self.goodbye(id) for id in movers]
        two.send(*(self.connect(id, version=2) for id in movers))
        self.answer_all(two)
        cluster.until("the movers are on w2", lambda: all(
            cluster.answers()[id] == ("active", "w2") for id in movers))
        one.send(*late, *(self.goodbye(id) for id in leavers), {"agent": 200, "event": "remove"})
        one.say_no_more()
        one.read_to_the_end()
        self.assertEqual(one.answered(), len(one.lines))
        right = {id: ("active", "w2") if id in movers else
                 ("disconnected", None) if id in leavers or id == 200 else ("active", "w1")
                 for id in AGENTS}

        # Between two workers' moments lies what their clocks may be off by: a goodbye and a connect
        # that are closer leave a doubt, which the next keepalive ends.
        def settled():
            two.send(*({"agent": id, "event": "keepalive"} for id in movers))
            two.turn(0.1)
            return cluster.answers() == right and self.acked()
        cluster.until("the table is right", settled)
        self.assertEqual(cluster.table()[7]["info"]["version"], "v2")

    def test_a_master_with_an_empty_log_gets_the_infos_that_were_kept(self):
        cluster = self.begin()
        one = cluster.source("w1")
        one.send(*(self.connect(id) for id in AGENTS))
        self.answer_all(one)
        cluster.until("all is acked", self.acked)
        for name in ("w1", "master"):
            cluster.kill(name)
        subprocess.run(["find", cluster.stores["master"], "-type", "f", "-delete"], check=True)
        cluster.start("master")
        cluster.start("w1")
        cluster.until("the infos are there again", lambda: all(
            page["info"]["name"] == f"agent-{id}" for id, page in cluster.table().items()) and
            len(cluster.table()) == len(AGENTS))

    def test_what_was_answered_survives_every_kill_of_the_sidecar(self):
        print(f"SEED={SEED} KILLS={KILLS}", flush=True)
        dice = random.Random(SEED)
        cluster = self.begin(workers=("w1",))
        told = {id: [] for id in AGENTS}  # its events, in order
        stored = {id: 0 for id in AGENTS}  # how many of them were surely stored
        lines_answered = lines_lost = 0
        here = set()
        again = []
        for kill in range(KILLS + 1):
            source = cluster.source("w1")
            numbers = []
            for event in again:  # what was not answered is told again
                numbers.append(event["agent"])
                source.send(event)
            until = time.monotonic() + dice.random() * 0.6 + 0.05
            while time.monotonic() < until:
                for id in dice.sample(AGENTS, 20):
                    event = self.goodbye(id) if id in here else self.connect(id, kill)
                    here ^= {id}
                    told[id].append(event)
                    numbers.append(id)
                    source.send(event)
                source.turn(0.002)
            if kill < KILLS:
                cluster.kill("w1")
            else:
                self.answer_all(source)
                source.say_no_more()
            source.read_to_the_end()
            self.assertEqual(source.refusals, {})
            lines_answered += len(source.answers)
            # Answers come in the order of the lines, so they are a beginning of them.
            self.assertEqual(sorted(source.answers), list(range(1, len(source.answers) + 1)))
            for id in numbers[:len(source.answers)]:
                stored[id] += 1
            again = source.lines[len(source.answers):]
            lines_lost += len(again)
            if kill == KILLS:
                break
            cluster.start("w1")
            cluster.until("all that was stored is acked", self.acked)
            answers = cluster.answers()
            for id in AGENTS:
                # The master shows what one of the events said that was not before the last answer.
                possible = {self.state_after(event) for event in told[id][max(0, stored[id] - 1):]}
                if stored[id] == 0:
                    possible.add(None)
                self.assertIn(answers.get(id), possible, f"agent {id} after kill {kill}")
        cluster.until("the table is right", lambda: self.acked() and cluster.answers() == {
            id: self.state_after(events[-1]) for id, events in told.items() if events})
        self.assertGreater(lines_answered, 20 * KILLS)
        print(f"{lines_answered} lines were answered, {lines_lost} were not and told again",
              flush=True)

    @staticmethod
    def state_after(event):
        return ("active", "w1") if event["event"] == "connect" else ("disconnected", None)

    def test_a_full_disk_holds_the_answers_and_loses_nothing(self):
        disk = small_disk(self, DISK_BYTES)
        cluster = self.begin(workers=("w1",), stores={"w1": disk / "store"})
        source = cluster.source("w1")
        source.send(*(self.connect(id) for id in AGENTS))
        self.answer_all(source)
        ballast = fill(disk)
        crowd = list(range(1001, 4001))
        source.send(*(self.connect(id) for id in crowd))

        def failing():
            source.turn(0.05)
            try:
                return "failing" in str(cluster.http["w1"].get("/healthz"))
            except Failure as failure:
                return "the store cannot be written" in str(failure)
        cluster.until("/healthz of w1 says failing", failing)
        for _ in range(20):
            source.turn(0.1)
        held = len(source.lines) - source.answered()
        self.assertGreater(held, 0)
        self.assertEqual(source.refusals, {})
        self.assertLess(len(cluster.answers()), len(source.lines))
        # The answered ones survive a kill, whatever the disk is.
        surely = [event["agent"] for event in source.lines[:source.answered()]]
        cluster.kill("w1")
        source.read_to_the_end()
        ballast.unlink()
        cluster.start("w1")
        cluster.until("what was answered is at the master", lambda: self.acked() and all(
            cluster.answers().get(id) == ("active", "w1") for id in surely))
        again = cluster.source("w1")
        again.send(*source.lines[source.answered():])
        self.answer_all(again)
        cluster.until("all are there", lambda: self.acked() and len(cluster.answers()) == len(
            source.lines))
        print(f"{held} lines were held while the disk was full", flush=True)


if __name__ == "__main__":
    unittest.main()
