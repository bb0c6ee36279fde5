#!/usr/bin/env python3
"""Runs rollcall on this machine and plays the races that it is made for. Start it by
packaging/quickstart, which installs and builds what it needs.

A throw-away CA, a master and two sidecars are started in a temporary folder, all of them the
daemons as they are shipped, on loopback. Beside each sidecar runs a stand-in for wazuh-db, with a
real table of agents. This script plays the agents: it writes to the stand-ins what Wazuh's own
daemons would write, so it knows where every agent truly is, and rollcall has no part in that.
What is late is late because of a TCP relay between each sidecar and the master.

With --wazuh DIR no agent is played: one sidecar watches the real wazuh-db of a Wazuh home.
"""

import argparse
import collections
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests" / "support"))

from relay import Relay  # noqa: E402
from wdb import Manager, Wdb, WdbError  # noqa: E402

WORKERS = ("w1", "w2")
KEEPALIVE_EVERY_S = 2.0
RIGHT_WITHIN_S = 40.0
STAYS_RIGHT_S = 2.0
STEP_WITHIN_S = 40.0
YEARS_S = 10 * 365 * 86400
LONGEST_SOCKET_PATH = 107

MASTER_INI = """\
[node]
name = master
[listen]
address = 127.0.0.1:0
[tls]
ca = {pki}/ca.crt
certificate = {pki}/master.crt
key = {pki}/master.key
[store]
path = {store}
[inspect]
address = 127.0.0.1:0
[timing]
# A sidecar connects again after three heartbeats without a word from the master. What the relay
# holds back is to be late on one connection, so three heartbeats are longer than that.
heartbeat = 4s
ttl = 20s
"""

SIDECAR_INI = """\
[node]
name = {name}
[source]
wazuh_home = {home}
poll = 250ms
keepalive = 10s
{source}
[master]
address = 127.0.0.1:{master_port}
[tls]
ca = {pki}/ca.crt
certificate = {pki}/{name}.crt
key = {pki}/{name}.key
[store]
path = {store}
[inspect]
address = 127.0.0.1:0
"""


class Failure(Exception):
    """Says what is wrong and what to do."""


class Ended(Exception):
    """Somebody wants this script to end."""


# ---- processes ----------------------------------------------------------------------------------


class Daemon:
    """One child, its log, and the addresses that it said it listens on."""

    def __init__(self, name, arguments, log, ready):
        self.name = name
        self.arguments = [str(argument) for argument in arguments]
        self.log = pathlib.Path(log)
        self.ready = ready  # in a line of its log or output: it serves now
        self.process = None
        self.said = ""

    def start(self):
        already = self.log.stat().st_size if self.log.exists() else 0
        arguments = self.arguments
        if setpriv := shutil.which("setpriv"):  # so that it ends even if this script is killed
            arguments = [setpriv, "--pdeathsig", "TERM", *arguments]
        with self.log.open("ab") as log:
            # In a session of its own: Ctrl-C is for this script, which then ends its children.
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)
        deadline = time.monotonic() + STEP_WITHIN_S
        while True:
            for line in self._log_from(already).splitlines(keepends=True):
                if line.endswith("\n") and self.ready in line:
                    self.said = line
                    return self
            self.check()
            if time.monotonic() > deadline:
                raise Failure(f"{self.name} did not say within {STEP_WITHIN_S:.0f} s that it is "
                              f"ready\n{self.tail()}")
            time.sleep(0.01)

    def _log_from(self, offset):
        with self.log.open("rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")

    def port(self, key):
        found = re.search(rf"\b{key}=\S+:(\d+)", self.said)
        if not found:
            raise Failure(f"{self.name} did not say its {key} address: {self.said.strip()}")
        return int(found[1])

    def check(self, within=0):
        """Fails if it ended, or does within so many seconds: its sockets close before it is gone."""
        try:
            status = self.process.wait(within) if self.process is not None else None
        except subprocess.TimeoutExpired:
            return
        if status is not None:
            how = (f"was killed by {signal.Signals(-status).name}" if status < 0
                   else f"ended with status {status}")
            raise Failure(f"{self.name} {how}\n{self.tail()}")

    def tail(self, lines=12):
        text = self._log_from(0).splitlines()[-lines:] or ["(nothing)"]
        return "\n".join([f"the end of what {self.name} said:", *("  " + line for line in text)])

    def kill(self):
        """By intent: nobody complains that it is not there, until it is started again."""
        process, self.process = self.process, None
        process.kill()
        process.wait()

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def ended(self, seconds):
        if self.process is None:
            return
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            print(f"quickstart: {self.name} did not end within {seconds} s of SIGTERM; killed",
                  file=sys.stderr)
            self.kill()


class Http:
    """GET of one daemon's pages. One thread per object."""

    def __init__(self, daemon):
        self.daemon = daemon

    @property
    def url(self):
        return f"http://127.0.0.1:{self.daemon.port('inspect')}"

    def get(self, path):
        """The JSON of a page, None if there is no such thing (404)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port("inspect"),
                                                timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.daemon.check(within=1)
            raise Failure(f"{self.daemon.name} does not answer {self.url}{path}: {error}\n"
                          f"{self.daemon.tail()}") from error
        finally:
            connection.close()
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise Failure(f"{self.daemon.name} answers {self.url}{path} with {answer.status}: "
                          f"{body.decode(errors='replace').strip()}")
        return json.loads(body)


class Cluster:
    """The folder, the daemons and the relays. Everything ends with it."""

    def __init__(self, build):
        self.programs = {name: build / where / name
                         for name, where in (("rollcall", "cli"), ("rollcall-master", "master"),
                                             ("rollcalld", "sidecar"),
                                             ("standin-wazuhdb", "tests/support"))}
        for program in self.programs.values():
            if not os.access(program, os.X_OK):
                raise Failure(f"{program} is not there; packaging/quickstart builds it")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rollcall-"))
        self.pki = self.folder / "pki"
        self.daemons = {}
        self.http = {}
        self.relays = {}

    def close(self):
        for daemon in reversed(self.daemons.values()):
            daemon.end()
        for daemon in self.daemons.values():
            daemon.ended(5)
        for relay in self.relays.values():
            relay.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def check(self):
        for daemon in self.daemons.values():
            daemon.check()

    def _tool(self, *arguments):
        done = subprocess.run([self.programs["rollcall"], *arguments], capture_output=True,
                              text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"rollcall {' '.join(map(str, arguments))} failed:\n"
                          f"{done.stdout}{done.stderr}")

    def _start(self, name, arguments, ready):
        daemon = Daemon(name, arguments, self.folder / f"{name}.log", ready)
        self.daemons[name] = daemon
        return daemon.start()

    def start_master(self, workers):
        self._tool("pki", "init", "--dir", self.pki, "--cluster", "quickstart")
        for node in ("master", *workers):
            self._tool("pki", "issue", node, "--dir", self.pki)
        ini = self.folder / "master.ini"
        store = self.folder / "master"
        store.mkdir()
        ini.write_text(MASTER_INI.format(pki=self.pki, store=store))
        master = self._start("master", [self.programs["rollcall-master"], "--config", ini],
                             " ready ")
        self.http["master"] = Http(master)
        return master.port("listen")

    def start_standin(self, worker):
        path = self.folder / worker / "queue" / "db" / "wdb"
        if len(str(path)) > LONGEST_SOCKET_PATH:
            raise Failure(f"the temporary folder's name is too long for a socket: {self.folder}; "
                          "set TMPDIR to a shorter one")
        path.parent.mkdir(parents=True)
        self._start(f"{worker}-wazuhdb", [self.programs["standin-wazuhdb"], "--socket", path,
                                          "--max-seconds", YEARS_S], "listening on ")
        return path

    def start_sidecar(self, worker, home, master_port, source=""):
        ini = self.folder / f"{worker}.ini"
        store = self.folder / f"{worker}-store"
        store.mkdir()
        ini.write_text(SIDECAR_INI.format(name=worker, home=home, source=source, pki=self.pki,
                                          master_port=master_port, store=store))
        sidecar = self._start(worker, [self.programs["rollcalld"], "--config", ini], " started ")
        self.http[worker] = Http(sidecar)

    def until(self, what, fact, seconds=STEP_WITHIN_S):
        """Asks until `fact` is true, and returns what it said."""
        deadline = time.monotonic() + seconds
        while True:
            self.check()
            if result := fact():
                return result
            if time.monotonic() > deadline:
                tails = "\n".join(daemon.tail(4) for daemon in self.daemons.values())
                raise Failure(f"waited {seconds:.0f} s in vain: {what}\n{tails}")
            time.sleep(0.02)

    def streaming(self, worker):
        return self.http[worker].get("/status")["link"]["state"] == "streaming"

    def quiet(self):
        """All that the sidecars had to say has been delivered and acked."""
        for relay in self.relays.values():
            if any(relay.waiting.values()):
                return False
        for worker in WORKERS:
            status = self.http[worker].get("/status")
            if status["link"]["state"] != "streaming" or status["backlog"]["events"]:
                return False
        return True

    def decisions(self, after=0):
        found = []
        while True:
            page = self.http["master"].get(f"/decisions?after={after}&limit=1000")["decisions"]
            if not page:
                return found
            found += page
            after = page[-1]["number"]


# ---- where the agents are -------------------------------------------------------------------------


class Answer(collections.namedtuple("Answer", "status node os")):
    """What somebody says of an agent: where it is, and its system, if it is anywhere."""

    __slots__ = ()

    def __str__(self):
        return f"active on {self.node}" if self.status == "active" else self.status


GONE = Answer("disconnected", None, None)


class Agents:
    """Moves the agents and keeps them alive. This is the truth that answers are compared with.

    The tables have whole seconds, and two stays that touch the same second have no order that
    anybody could see. So an agent is somewhere else only when its last second is over.
    """

    def __init__(self, sockets):
        self._managers = {worker: Manager(path, standin=True) for worker, path in sockets.items()}
        self._lock = threading.Lock()
        self._where = {}  # agent -> worker, those that are alive
        self._second = {}  # agent -> the last one in which it spoke
        self._truth = {}
        self._ending = threading.Event()
        self._error = None
        self._thread = threading.Thread(target=self._keep_alive, name="agents", daemon=True)

    def begin(self, ids):
        for worker, manager in self._managers.items():
            for id in ids:
                manager.enroll(id)
        self._thread.start()

    def close(self):
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()
        for manager in self._managers.values():
            manager.close()

    def check(self):
        if self._error is not None:
            raise Failure(f"the agents cannot be played any more: {self._error}")

    def truth(self, id):
        with self._lock:
            return self._truth[id]

    def start(self, id, worker, os_version="22.04.3 LTS"):
        """The agent connects to the worker. Returns when it had."""
        while int(time.time()) < self._second.get(id, 0) + 2:
            time.sleep(0.01)
        with self._lock:
            self._managers[worker].connect_agent(id, worker, os_version=os_version)
            self._spoke(id)
            self._where[id] = worker
            self._truth[id] = Answer("active", worker, os_version)
            return time.monotonic()

    def vanish(self, id):
        """The agent is gone without a word: its row stays active."""
        with self._lock:
            del self._where[id]
            self._truth[id] = GONE
            return time.monotonic()

    def stop(self, id):
        """The agent says goodbye to its worker."""
        with self._lock:
            self._managers[self._where.pop(id)].shutdown(id)
            self._truth[id] = GONE
            return time.monotonic()

    def _spoke(self, id):
        self._second[id] = int(time.time())

    def _keep_alive(self):
        while not self._ending.wait(KEEPALIVE_EVERY_S):
            try:
                with self._lock:
                    for worker, manager in self._managers.items():
                        here = [id for id, where in self._where.items() if where == worker]
                        manager.keepalives(here)
                        for id in here:
                            self._spoke(id)
            except (OSError, WdbError) as error:
                self._error = error
                return


class Watch:
    """What the master answers about one agent, from its pages, all the time."""

    EVERY_S = 0.02

    def __init__(self, daemon, id):
        self._http = Http(daemon)
        self._id = id
        self._changes = []  # (monotonic time, Answer), one for each change
        self._error = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch {id}", daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ending.set()
        self._thread.join()

    def now(self):
        if self._error is not None:
            raise self._error
        return self._changes[-1][1] if self._changes else None

    def changes(self):
        return list(self._changes)

    def _run(self):
        try:
            while not self._ending.wait(self.EVERY_S):
                answer = self._ask()
                if not self._changes or self._changes[-1][1] != answer:
                    self._changes.append((time.monotonic(), answer))
        except Failure as failure:
            self._error = failure

    def _ask(self):
        agent = self._http.get(f"/agents/{self._id}")
        if agent is None:
            return Answer("unknown", None, None)
        if agent["status"] != "active":
            return Answer(agent["status"], None, None)
        return Answer("active", agent["node"], agent["info"]["os_version"])


# ---- the cases ----------------------------------------------------------------------------------


class LastWriterWins:
    """A table that believes whatever came last. `info` is a full row, so it says active too.
    `released` is rollcall's own notice that an agent went elsewhere: a plain sync has none."""

    ACTIVE = ("opened", "info", "confirmed", "offered", "withdrawn")
    GONE = ("closed", "removed")

    def __init__(self):
        self.answer = ("unknown", None)

    def take(self, decision):
        if decision["event"] in self.ACTIVE:
            self.answer = ("active", decision["node"])
        elif decision["event"] in self.GONE:
            self.answer = ("disconnected", None)
        return self.answer


Result = collections.namedtuple(
    "Result", "case story truth rollcall rollcall_wrong lww lww_wrong right_ms late history")


class Stage:
    """Plays the cases, one after the other."""

    def __init__(self, cluster, agents):
        self.cluster = cluster
        self.agents = agents
        self.relays = cluster.relays

    # What a case is made of.

    def master_right(self, watch, id):
        """The master has been told the truth: what comes now comes late."""
        truth = self.agents.truth(id)
        self.cluster.until(f"the master answers '{truth}' for agent {id}",
                           lambda: watch.now() == truth, RIGHT_WITHIN_S)

    def held_back(self, worker, id, phase, events):
        """The worker's sidecar has seen that, and its news waits in the relay."""
        def is_so():
            agent = self.cluster.http[worker].get(f"/agents/{id}")
            status = self.cluster.http[worker].get("/status")
            return (agent and agent["session"] and agent["session"]["phase"] == phase
                    and status["backlog"]["events"] >= events and not status["backlog"]["unsent"]
                    and self.relays[worker].waiting["up"])
        self.cluster.until(f"{worker} has seen agent {id} as {phase}, and its news is held back",
                           is_so)

    # The cases of the README, by the numbers that they have there. Each returns when the agent
    # moved last, and has let the late news go.

    def s1(self, watch, id):
        """w2 -> w1; w2's "disconnected" comes last"""
        self.agents.start(id, "w2")
        self.master_right(watch, id)
        self.relays["w2"].hold("up")
        self.agents.stop(id)
        self.held_back("w2", id, "closed", 1)
        moved = self.agents.start(id, "w1")
        self.master_right(watch, id)
        yield moved
        self.relays["w2"].release("up")

    def s2(self, watch, id):
        """stops on w1; w1's acks were lost, it tells all again"""
        self.relays["w1"].hold("down")
        self.agents.start(id, "w1")
        self.master_right(watch, id)
        moved = self.agents.stop(id)
        self.master_right(watch, id)
        yield moved
        # A restart makes a new stream, which sends everything that was not acked once more: the
        # older "active" arrives after the "disconnected".
        sidecar = self.cluster.daemons["w1"]
        sidecar.kill()
        self.relays["w1"].release("down")
        self.cluster.until("the master notices that w1 is gone", lambda: not any(
            node["connected"] for node in self.cluster.http["master"].get("/nodes")["nodes"]
            if node["node"] == "w1"))
        sidecar.start()

    def s3(self, watch, id):
        """w1 -> w2, upgraded; w1's old full row comes last"""
        self.relays["w1"].hold("up")
        self.agents.start(id, "w1", os_version="20.04.6 LTS")
        self.held_back("w1", id, "open", 2)  # its session and its full row
        self.agents.vanish(id)
        moved = self.agents.start(id, "w2", os_version="24.04.1 LTS")
        self.master_right(watch, id)
        yield moved
        self.relays["w1"].release("up")

    def s7(self, watch, id):
        """w1 -> w2, stops there; w1's "active" comes last"""
        self.relays["w1"].hold("up")
        self.agents.start(id, "w1")
        self.held_back("w1", id, "open", 2)
        self.agents.vanish(id)
        self.agents.start(id, "w2")
        self.master_right(watch, id)
        moved = self.agents.stop(id)
        self.master_right(watch, id)
        yield moved
        self.relays["w1"].release("up")

    # Playing and judging.

    def play(self, name, id):
        play = getattr(self, name.lower())
        cluster = self.cluster
        cluster.until("the cluster is quiet before the case", cluster.quiet)
        before = len(cluster.decisions())
        with Watch(cluster.daemons["master"], id) as watch:
            steps = play(watch, id)
            moved = next(steps)
            told = len(cluster.decisions())
            next(steps, None)  # the late news goes
            cluster.until("everything was delivered and acked", cluster.quiet, RIGHT_WITHIN_S)
            truth = self.agents.truth(id)
            deadline = time.monotonic() + RIGHT_WITHIN_S
            stays_until = None
            while True:
                cluster.check()
                self.agents.check()
                now = time.monotonic()
                if watch.now() != truth:
                    stays_until = None
                    if now > deadline:
                        break
                elif stays_until is None:
                    stays_until = now + STAYS_RIGHT_S
                elif now > stays_until and cluster.quiet():
                    break
                time.sleep(0.02)
            changes = watch.changes()
        decisions = cluster.decisions()
        history = [d for d in decisions[before:] if d["agent"] == id]
        late = [d for d in decisions[told:] if d["agent"] == id]
        return self.judge(name, play.__doc__, truth, moved, changes, history, late)

    def judge(self, name, story, truth, moved, changes, history, late):
        # Both are judged alike: wrong is who gives another answer than the truth at any time after
        # the master was told the truth.
        first_late = late[0]["number"] if late else None
        lww, wrong, wrong_from, wrong_us = LastWriterWins(), None, None, 0
        rollcall_left = False
        for decision in history:
            answer = lww.take(decision)
            if first_late is None or decision["number"] < first_late:
                continue
            if wrong_from is not None:
                wrong_us += decision["at"] - wrong_from
            wrong_from = None
            if answer != (truth.status, truth.node):
                wrong, wrong_from = Answer(*answer, None), decision["at"]
            record = ("active" if decision["record_phase"] == "open" else "disconnected")
            here = decision["record"]["node"] if record == "active" else None
            rollcall_left |= (record, here) != (truth.status, truth.node)
        text = str(Answer(*lww.answer, None))
        if wrong_from is None and wrong_us:  # two events of one message are no time apart
            text = f"{wrong} for {shown(wrong_us / 1000)}"
        final = changes[-1][1]
        right_since = None
        for at, answer in changes:
            if answer != truth:
                right_since = None
            elif right_since is None:
                right_since = at
        return Result(
            case=name, story=story, truth=truth, rollcall=final,
            rollcall_wrong=final != truth or rollcall_left,
            lww=text, lww_wrong=wrong_from is not None or wrong_us > 0,
            right_ms=None if right_since is None else max(0.0, (right_since - moved) * 1000),
            late=late, history=history)


def shown(ms):
    return f"{ms:.0f} ms" if ms >= 1 else f"{ms:.1f} ms"


def table(results):
    head = ("", "what happens", "truth", "last writer wins", "rollcall", "right after")
    rows = []
    for r in results:
        rows.append((r.case, r.story, str(r.truth),
                     ("WRONG: " if r.lww_wrong else "") + r.lww,
                     ("WRONG: " if r.rollcall_wrong else "") + str(r.rollcall),
                     "never" if r.right_ms is None else shown(r.right_ms)))
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
             for row in [head, *rows]]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def late_news(result):
    said = [f"{d['event']} from {d['node']}: {d['rule']}" for d in result.late]
    return f"  {result.case}  " + (", ".join(said) or "nothing")


def history_of(result):
    lines = [f"{result.case}: what the master decided about the agent, in order of arrival"]
    for d in result.history:
        record = d["record"]
        lines.append(f"  {d['number']:5} at {d['at']} {d['node']} {d['event']:9} "
                     f"{d['version']['epoch']}+{d['version']['change']} {d['rule']:9} -> "
                     f"{record['epoch']}@{record['node']}+{record['change']} {d['record_phase']}")
    return "\n".join(lines)


def addresses(cluster, agent=None):
    lines = []
    for name, pages in (("master", ("/status", "/agents", "/nodes", "/decisions")),
                        *((worker, ("/status", "/agents")) for worker in cluster.http
                          if worker != "master")):
        pages = list(pages)
        if agent is not None:
            pages.insert(2, f"/agents/{agent}")
        lines.append(f"{name}:")
        lines += [f"  curl -s {cluster.http[name].url}{page}" for page in pages]
    return "\n".join(lines)


CASES = (("S1", 7), ("S2", 8), ("S3", 9), ("S7", 10))
BYSTANDERS = {1: "w1", 2: "w1", 3: "w1", 4: "w2", 5: "w2", 6: "w2"}  # stay where they are


def play(cluster, once):
    began = time.monotonic()
    master_port = cluster.start_master(WORKERS)
    sockets = {}
    for worker in WORKERS:
        sockets[worker] = cluster.start_standin(worker)
    agents = Agents(sockets)
    try:
        agents.begin([*BYSTANDERS, *(id for _, id in CASES)])
        for worker in WORKERS:
            cluster.relays[worker] = Relay(target=("127.0.0.1", master_port))
            cluster.start_sidecar(worker, cluster.folder / worker, cluster.relays[worker].port)
        for worker in WORKERS:
            cluster.until(f"{worker} is connected to the master",
                          lambda worker=worker: cluster.streaming(worker))
        for id, worker in BYSTANDERS.items():
            agents.start(id, worker)
        cluster.until("the master knows the agents that stay where they are", lambda: all(
            agent["status"] == "active" and agent["info_complete"]
            and agent["node"] == BYSTANDERS[agent["id"]]
            for agent in cluster.http["master"].get("/agents")["agents"])
            and cluster.http["master"].get("/status")["agents"] == len(BYSTANDERS))
        print(f"A master and two sidecars (w1, w2) are up after {time.monotonic() - began:.1f} s, "
              f"{len(BYSTANDERS)} agents are connected. Now others move:", flush=True)

        stage = Stage(cluster, agents)
        results = []
        for name, id in CASES:
            print(f"  {name}, agent {id}: {getattr(Stage, name.lower()).__doc__}", flush=True)
            results.append(stage.play(name, id))
        for id, worker in BYSTANDERS.items():
            agent = cluster.http["master"].get(f"/agents/{id}")
            if (agent["status"], agent["node"]) != ("active", worker):
                raise Failure(f"agent {id}, which never left {worker}, is shown as "
                              f"{agent['status']} on {agent['node']}")
        print()
        print(table(results))
        print("\nright after: from the agent's last move until the master's answer was right (with "
              "the agent's\nsystem, if it is active). The late news came after that, and this is "
              "how it was decided:")
        for result in results:
            print(late_news(result))
        wrong_here = sum(result.rollcall_wrong for result in results)
        wrong_lww = sum(result.lww_wrong for result in results)
        for result in results:
            if result.rollcall_wrong:
                print("\n" + history_of(result))
        if not once:
            print("\nEverything stays up. Look around:\n" + addresses(cluster, CASES[0][1]))
            print("Ctrl-C ends it and removes everything.\n", flush=True)
        print(f"quickstart: {len(results)} cases, {wrong_here} wrong here, {wrong_lww} wrong with "
              "last writer wins", flush=True)
        while not once:
            cluster.check()
            agents.check()
            time.sleep(0.2)
        return 1 if wrong_here else 0
    finally:
        agents.close()


# ---- a real Wazuh ---------------------------------------------------------------------------------


def wazuh_socket(home):
    path = home / "queue" / "db" / "wdb"
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise Failure(f"{path} does not exist. Is {home} the home of a Wazuh manager (usually "
                      "/var/ossec), and is it running?") from None
    except PermissionError:
        raise Failure(f"{path} cannot be reached by this user; try as root, or as a member of the "
                      "group wazuh") from None
    if not stat.S_ISSOCK(mode):
        raise Failure(f"{path} is not a socket")
    if len(str(path)) > LONGEST_SOCKET_PATH:
        raise Failure(f"{path} is too long a name for a socket; make a shorter link to {home}")
    try:
        Wdb(path, timeout=5).connect().close()
    except PermissionError:
        raise Failure(f"{path} may not be opened by this user; try as root, or as a member of the "
                      "group wazuh") from None
    except OSError as error:
        raise Failure(f"{path} does not answer ({error.strerror or error}): is wazuh-db "
                      "running?") from None


def wazuh_node(home):
    """The node's name in Wazuh's cluster, and whether it is the cluster's master: its table holds
    the agents of all nodes."""
    try:
        text = (home / "etc" / "ossec.conf").read_text(errors="replace")
    except OSError:
        return None, False
    found = re.search(r"<cluster>(.*?)</cluster>", text, re.DOTALL)
    if not found:
        return None, False
    fields = dict(re.findall(r"<(\w+)>\s*([^<]*?)\s*</", found[1]))
    on = fields.get("disabled", "no") == "no"
    name = fields.get("node_name")
    if not name or not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name):
        name = None
    return name, on and name is not None and fields.get("node_type") == "master"


def watch_wazuh(cluster, home, once):
    name, is_master = wazuh_node(home)
    source = f"only_node_name = true\nnode_name = {name}" if is_master else ""
    name = name or re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:64] or "worker"
    if name in ("master", "ca"):
        name = "wazuh-" + name  # these names are taken in the throw-away CA
    port = cluster.start_master([name])
    cluster.start_sidecar(name, home, port, source)
    cluster.until("the sidecar is connected and has looked at the table", lambda: (
        cluster.streaming(name) and cluster.http[name].get("/status")["source"]["looks"] > 0))
    print(f"Watching {home} as node {name}" +
          (", only this node's own agents" if is_master else "") + ". Nothing is written there.")
    print(addresses(cluster))
    print("Ctrl-C ends it and removes everything.\n", flush=True)
    cluster.until("the sidecar has told everything", lambda: not cluster.http[name].get("/status")[
        "backlog"]["events"])
    last = ""
    while True:
        cluster.check()
        worker, master = cluster.http[name].get("/status"), cluster.http["master"].get("/status")
        source = worker["source"]
        line = (f"{source['last_rows']} rows, {master['agents']} agents seen here, "
                f"{master['active']} active, {master['in_doubt']} in doubt, "
                f"{sum(master['decisions'].values())} events")
        if not source["connected"]:
            line += f" | wazuh-db: {source['error']}"
        if worker["link"]["state"] != "streaming":
            line += f" | link: {worker['link']['error']}"
        if sys.stdout.isatty():
            look = f" | look {source['looks']} took {source['last_look_us'] / 1000:.1f} ms"
            print("\r\033[K" + line + look, end="", flush=True)
        elif line != last:
            print(time.strftime("%H:%M:%S ") + line, flush=True)
        last = line
        if once:
            return 0
        time.sleep(1)


# ---- the command ----------------------------------------------------------------------------------


def interrupted(number, _):
    raise Ended(signal.Signals(number).name)


def main():
    parser = argparse.ArgumentParser(prog="quickstart", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--once", action="store_true", help="end after the cases")
    parser.add_argument("--wazuh", metavar="DIR", type=pathlib.Path,
                        help="watch the Wazuh manager whose home is DIR (read only)")
    parser.add_argument("--build", metavar="DIR", type=pathlib.Path,
                        default=ROOT / "build" / "release", help="where the programs were built")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    cluster = None
    try:
        if arguments.wazuh:
            home = arguments.wazuh.absolute()
            wazuh_socket(home)
        cluster = Cluster(arguments.build.absolute())
        if arguments.wazuh:
            return watch_wazuh(cluster, home, arguments.once)
        return play(cluster, arguments.once)
    except Failure as failure:
        print(f"\nquickstart: {failure}", file=sys.stderr)
        return 1
    except Ended as ended:
        print(f"\nquickstart: ended by {ended}", file=sys.stderr)
        return 130 if arguments.once else 0
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if cluster is not None:
            cluster.close()


if __name__ == "__main__":
    sys.exit(main())
