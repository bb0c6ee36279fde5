#!/usr/bin/env python3
"""kill -9 of the master and of the sidecars, at any point of a storm of moving agents.

After each kill, before anything is started again, the master's log is read from its files: every
event that a sidecar had been acked must be in it. At the end the table must be what the agents did.

    SEED=7 KILLS=200 tests/integration/kill9_test.py
"""

import os
import random
import time
import unittest

from cluster import Cluster
from wire import Term, log_records, seqs_in_log

SEED = int(os.environ.get("SEED", "1"))
KILLS = int(os.environ.get("KILLS", "50"))
AGENTS = 60
WORKERS = ("w1", "w2")


class Storm:
    """Each agent says goodbye, and connects, mostly to the other worker, as soon as the tables can
    tell the two apart; so each moves about every two seconds."""

    def __init__(self, agents, dice):
        self.agents = agents
        self.dice = dice
        self.away = {}  # agent -> where it goes
        self.moves = 0

    def step(self):
        for id in [id for id in self.away if self.agents.ready(id)]:
            self.agents.connect(id, self.away.pop(id))
            self.moves += 1
        here = [id for id, where in self.agents.where.items() if where]
        for id in self.dice.sample(here, min(len(here), 3)):
            worker = self.agents.where[id]
            (other,) = set(WORKERS) - {worker}
            self.agents.goodbye(id)
            self.away[id] = self.dice.choices((other, worker), (9, 1))[0]

    def blow(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.step()
            time.sleep(min(0.05, max(0.0, until - time.monotonic())))

    def settle(self, stay_away):
        """All connect again but the first few, so that the truth holds both."""
        for id in list(self.away)[stay_away:]:
            self.agents.connect(id, self.away.pop(id))


class Kill9(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.close)
        self.acked = {}  # stream -> the last seq that a sidecar said was acked

    def remember_acks(self):
        for worker in WORKERS:
            if self.cluster.alive(worker):
                link = self.cluster.status(worker)["link"]
                stream = int(link["stream"], 16)
                self.acked[stream] = max(self.acked.get(stream, 0), link["acked_seq"])

    def check_log(self, moment):
        records = log_records(self.cluster.stores["master"])
        seqs = seqs_in_log(records)
        for stream, acked in self.acked.items():
            missing = set(range(1, acked + 1)) - seqs.get(stream, set())
            self.assertFalse(missing, f"{moment}: acked and not in the log, stream {stream:016x}")
        return records

    def test_what_was_acked_is_there_and_the_table_is_right(self):
        print(f"SEED={SEED} KILLS={KILLS}", flush=True)
        dice = random.Random(SEED)
        cluster = self.cluster.begin()
        cluster.agents.enroll(list(range(1, AGENTS + 1)))
        for id in range(1, AGENTS + 1):
            cluster.agents.connect(id, dice.choice(WORKERS))
        storm = Storm(cluster.agents, dice)
        storm.blow(2)

        killed = {name: 0 for name in ("master", *WORKERS)}
        number = 0
        while number < KILLS:
            storm.blow(dice.choice((0.0, 0.1, 0.4, 0.8)) + dice.random() * 0.5)
            self.remember_acks()
            victims = dice.sample(list(killed), dice.choice((1, 1, 1, 1, 2, 3)))
            for name in victims:
                cluster.kill(name)
                killed[name] += 1
                number += 1
            # Also what sidecars that live were told between the last look and the kill.
            self.remember_acks()
            self.check_log(f"after kill {number}, of {victims}")
            if dice.random() < 0.3:
                storm.blow(dice.random() * 0.5)
            for name in dice.sample(victims, len(victims)):
                cluster.start(name)
            if number % 10 < len(victims):
                # Now and then everybody comes to speak, or a storm would only test restarts.
                cluster.until("all are connected again", lambda: all(
                    cluster.streaming(worker) for worker in WORKERS))
        storm.settle(stay_away=AGENTS // 6)
        took = cluster.until_right(60)
        self.remember_acks()
        records = self.check_log("at the end")

        said = [line for name in ("master", *WORKERS) for line in cluster.said_since(name)]
        # kill -9 loses nothing of what was written, so nobody may believe that something was lost.
        for sign in ("older copy", "acked more than", "with two meanings", "malformed"):
            self.assertEqual([line for line in said if sign in line], [], sign)
        terms = [record.cause for record in records if isinstance(record, Term)]
        for cause in terms[1:]:
            self.assertEqual(cause, "the end of the log was torn")
        self.assertGreater(min(killed.values()), KILLS // 6)
        self.assertGreater(sum(self.acked.values()), KILLS)
        print(f"kills {killed}, {storm.moves} moves, {len(self.acked)} streams, "
              f"{sum(self.acked.values())} events acked, {len(terms)} terms, right {took:.1f} s "
              "after the storm", flush=True)


if __name__ == "__main__":
    unittest.main()
