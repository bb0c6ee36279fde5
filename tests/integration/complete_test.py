#!/usr/bin/env python3
"""Thousands of moves, while others read every agent without pause: no read ever lacks a field that was
known before (its node and each of its labels too), none has a half of one description and a half of
another, or what is another agent's, and the feed has neither a gap nor a disconnect that did not happen."""

import http.client
import json
import random
import threading
import unittest

from cluster import Cluster
from wdb import DEFAULT_INFO

AGENTS = list(range(1, 401))
ROUNDS = 6
SITE = "lab"  # a label that no description changes
WORKERS = ("w1", "w2", "w3")


def never_changes(id):
    """What an agent says of itself in every description."""
    return {"name": f"agent-{id:03d}", "ip": f"10.0.{id + 1 >> 8}.{id + 1 & 255}",
            "version": "Wazuh v4.14.7", "os_name": "Ubuntu", "group": "default",
            **{key: DEFAULT_INFO[key] for key in ("config_sum", "merged_sum")}}


class Reader(threading.Thread):
    """Reads pages of the master, one after the other, until it is told to end."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.reads = 0
        self.faults = []
        self.ending = threading.Event()

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            while not self.ending.is_set():
                self.read(connection)
                self.reads += 1
        except Exception as error:  # pylint: disable=broad-except
            self.faults.append(f"cannot read: {error!r}")
        finally:
            connection.close()

    def get(self, connection, path):
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {body!r}")
        return json.loads(body)

    def end(self):
        self.ending.set()
        self.join(60)
        return self.faults


class Records(Reader):
    """All records, and some alone."""

    def __init__(self, port):
        super().__init__(port)
        self.known = {}

    def read(self, connection):
        for agent in self.get(connection, "/agents?limit=1000")["agents"]:
            self.judge(agent)
        self.judge(self.get(connection, f"/agents/{random.choice(AGENTS)}"))

    def judge(self, agent):
        info = agent["info"]
        null = [name for name, value in info.items() if value is None]
        if agent["node"] is None:
            null.insert(0, "node")
        if agent["unknown"] != null:
            self.faults.append(f"{agent['id']}: unknown {agent['unknown']}, but null are {null}")
        now = {name for name, value in info.items() if value is not None}
        labels = {name: value for name, value in (info["labels"] or {}).items()
                  if not name.startswith("#")}  # Wazuh's own
        now |= {f"label {name}" for name in labels}
        now |= {name for name, value in (("node", agent["node"]), ("session", agent["version"]))
                if value is not None}
        before = self.known.setdefault(agent["id"], set())
        if before - now:
            self.faults.append(f"{agent['id']}: lacks {sorted(before - now)}, known before")
        before |= now
        said = {info["os_version"], info["os_build"], labels.get("said")}
        if len(said) > 1:
            self.faults.append(f"{agent['id']}: halves of two: {info['os_version']}, "
                               f"{info['os_build']} and {labels}")
        if labels and labels.keys() != {"said", "site"} or labels.get("site", SITE) != SITE:
            self.faults.append(f"{agent['id']}: labels of somebody else: {labels}")
        for name, value in never_changes(agent["id"]).items():
            if info[name] not in (None, value):
                self.faults.append(f"{agent['id']}: {name} is {info[name]}, not {value}")
        if agent["version"] and agent["version"]["node"] != agent["node"]:
            self.faults.append(f"{agent['id']}: of {agent['node']}, and {agent['version']}")


class Feed(Reader):
    """What became of the agents, as alerting reads it."""

    def __init__(self, port):
        super().__init__(port)
        self.after = 0
        self.of_agent = {}
        self.where = {}
        self.count = {}

    def read(self, connection):
        page = self.get(connection, f"/events?after={self.after}&limit=1000&wait=1s")
        for e in page["events"]:
            self.judge(e)
        self.after = page["after"]

    def judge(self, e):
        if e["seq"] != self.after + 1:
            self.faults.append(f"{e['seq']} follows {self.after}")
        self.after = e["seq"]
        agent = e["agent"]
        if e["agent_seq"] != self.of_agent.get(agent, 0) + 1:
            self.faults.append(f"agent {agent}: {e['agent_seq']} follows {self.of_agent.get(agent)}")
        self.of_agent[agent] = e["agent_seq"]
        self.count[e["event"]] = self.count.get(e["event"], 0) + 1
        if e["event"] == "connect" and self.where.get(agent):
            self.faults.append(f"agent {agent} connects, and was connected: {e}")
        if e["event"] == "disconnect" and not self.where.get(agent):
            self.faults.append(f"agent {agent} disconnects, and was not connected: {e}")
        self.where[agent] = e["to"]["node"] if e["to"]["status"] != "disconnected" else None


class Complete(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster(workers=WORKERS).begin()
        self.addCleanup(self.cluster.close)
        self.agents = self.cluster.agents
        self.agents.enroll(AGENTS)
        self.said = 0

    def connect(self, id, worker):
        """Its description has a number, in two of its fields and in a label."""
        self.said += 1
        said = str(self.said)
        self.agents.connect(id, worker, os_version=said, os_build=said,
                            labels={"site": SITE, "said": said})

    def move_all(self):
        ids = random.sample(AGENTS, len(AGENTS))
        to = {id: random.choice([w for w in WORKERS if w != self.agents.where[id]]) for id in ids}
        for id in ids:
            self.agents.goodbye(id) if id % 2 == 0 else self.agents.vanish(id)
        self.cluster.until("their second is over", lambda: all(map(self.agents.ready, ids)))
        for id in ids:
            if id % 3 == 0:  # its row is active before it has described itself there
                self.agents.speak(id, to[id])
        for id in ids:
            self.connect(id, to[id])

    def test_no_read_lacks_what_was_known(self):
        random.seed(7)
        for id in AGENTS:
            self.connect(id, random.choice(WORKERS))
        self.cluster.until_right(120)
        port = self.cluster.daemons["master"].port("inspect")
        readers = [Records(port), Records(port), Feed(port)]
        for reader in readers:
            reader.start()
        for _ in range(ROUNDS):
            self.move_all()
        self.cluster.until_right(120)
        feed = readers[-1]
        self.cluster.until("the feed is read to its end", lambda: feed.after == self.cluster.http[
            "master"].get("/events?after=newest")["last"])
        for reader in readers:
            faults = reader.end()
            self.assertEqual(faults[:5], [], f"the first of {len(faults)} faults")
            self.assertGreater(reader.reads, 10)
        everything = {"node", "session", "labels", "label said", "label site", *never_changes(1)}
        for id in AGENTS:
            self.assertLessEqual(everything, readers[0].known[id], "what was never read is not lost")
        self.assertEqual(feed.where, dict(self.agents.where))
        # Those that left without a word migrate, the others disconnect and connect.
        silent = sum(1 for id in AGENTS if id % 2) * ROUNDS
        self.assertGreaterEqual(feed.count["migrate"], silent)


if __name__ == "__main__":
    unittest.main()
