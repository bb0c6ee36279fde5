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
import pathlib
import re
import signal
import socket
import stat
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.dont_write_bytecode = True
sys.path.insert(1, str(ROOT / "tests" / "support"))

from agents import Agents  # noqa: E402
from daemons import (Daemons, Failure, Http, LONGEST_SOCKET_PATH,  # noqa: E402
                     master_configuration, programs, sidecar_configuration, socket_in)
from relay import Relay  # noqa: E402
from wdb import DEFAULT_INFO, Wdb  # noqa: E402

WORKERS = ("w1", "w2")
RIGHT_WITHIN_S = 40.0
STAYS_RIGHT_S = 2.0
YEARS_S = 10 * 365 * 86400

# A sidecar connects again after three heartbeats without a word from the master. What the relay holds
# back is to be late on one connection, so three heartbeats are longer than that.
TIMING = {"heartbeat": "4s", "ttl": "20s"}
SOURCE = {"poll": "250ms", "keepalive": "10s"}


class Ended(Exception):
    """Somebody wants this script to end."""


# ---- the daemons ---------------------------------------------------------------------------------


class Cluster(Daemons):
    def __init__(self, build):
        super().__init__(programs(build), "rollcall-")

    def start_master(self, workers):
        self.issue("quickstart", ("master", *workers))
        store = self.folder / "master"
        store.mkdir()
        master = self.add_master(master_configuration(self.pki, store, timing=TIMING))
        return master.start().port("listen")

    def start_standin(self, worker):
        home = self.folder / worker
        self.add_standin(worker, home, YEARS_S).start()
        return home

    def start_sidecar(self, worker, home, master_port, **source):
        store = self.folder / f"{worker}-store"
        store.mkdir()
        self.add_sidecar(worker, sidecar_configuration(
            worker, self.pki, store, master_port,
            {"wazuh_home": home, **SOURCE, **source})).start()

    def quiet(self):
        """All that the sidecars had to say has been delivered and acked."""
        return (not any(any(relay.waiting.values()) for relay in self.relays.values())
                and all(map(self.delivered, WORKERS)))


# ---- where the agents are -------------------------------------------------------------------------


class Answer(collections.namedtuple("Answer", "status node os")):
    """What somebody says of an agent: where it is, and its system, if it is anywhere."""

    __slots__ = ()

    def __str__(self):
        return f"active on {self.node}" if self.status == "active" else self.status


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

    def truth(self, id):
        worker = self.agents.where[id]
        if worker is None:
            return Answer("disconnected", None, None)
        return Answer("active", worker, {**DEFAULT_INFO, **self.agents.info[id]}["os_version"])

    def master_right(self, watch, id):
        """The master has been told the truth: what comes now comes late."""
        truth = self.truth(id)
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
        self.agents.connect(id, "w2")
        self.master_right(watch, id)
        self.relays["w2"].hold("up")
        self.agents.goodbye(id)
        self.held_back("w2", id, "closed", 1)
        moved = self.agents.connect(id, "w1")
        self.master_right(watch, id)
        yield moved
        self.relays["w2"].release("up")

    def s2(self, watch, id):
        """stops on w1; w1's acks were lost, it tells all again"""
        # The master asks for the system of an agent that is new; it could not while acks are lost.
        self.agents.connect(id, "w1")
        self.master_right(watch, id)
        self.agents.goodbye(id)
        self.master_right(watch, id)
        self.relays["w1"].hold("down")
        self.agents.connect(id, "w1")
        self.master_right(watch, id)
        moved = self.agents.goodbye(id)
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
        self.agents.connect(id, "w1", os_version="20.04.6 LTS")
        self.held_back("w1", id, "open", 2)  # its session and its full row
        self.agents.vanish(id)
        moved = self.agents.connect(id, "w2", os_version="24.04.1 LTS")
        self.master_right(watch, id)
        yield moved
        self.relays["w1"].release("up")

    def s7(self, watch, id):
        """w1 -> w2, stops there; w1's "active" comes last"""
        self.relays["w1"].hold("up")
        self.agents.connect(id, "w1")
        self.held_back("w1", id, "open", 2)
        self.agents.vanish(id)
        self.agents.connect(id, "w2")
        self.master_right(watch, id)
        moved = self.agents.goodbye(id)
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
            truth = self.truth(id)
            deadline = time.monotonic() + RIGHT_WITHIN_S
            stays_until = None
            while True:
                cluster.check()
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
        record = d["record"]  # null: nothing but contacts is known
        stands = f"{record['epoch']}@{record['node']}+{record['change']}" if record else "nothing"
        lines.append(f"  {d['number']:5} at {d['at']} {d['node']} {d['event']:9} "
                     f"{d['version']['epoch']}+{d['version']['change']} {d['rule']:9} -> "
                     f"{stands} {d['record_phase'] or ''}".rstrip())
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
    homes = {worker: cluster.start_standin(worker) for worker in WORKERS}
    agents = cluster.agents = Agents({worker: socket_in(home) for worker, home in homes.items()})
    agents.enroll([*BYSTANDERS, *(id for _, id in CASES)])
    for worker in WORKERS:
        cluster.relays[worker] = Relay(target=("127.0.0.1", master_port))
        cluster.start_sidecar(worker, homes[worker], cluster.relays[worker].port)
    for worker in WORKERS:
        cluster.until(f"{worker} is connected to the master",
                      lambda worker=worker: cluster.streaming(worker))
    for id, worker in BYSTANDERS.items():
        agents.connect(id, worker)
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
        time.sleep(0.2)
    return 1 if wrong_here else 0


# ---- a real Wazuh ---------------------------------------------------------------------------------


def wazuh_socket(home):
    path = socket_in(home)
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
    source = {"only_node_name": "true", "node_name": name} if is_master else {}
    name = name or re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:64] or "worker"
    if name in ("master", "ca"):
        name = "wazuh-" + name  # these names are taken in the throw-away CA
    port = cluster.start_master([name])
    cluster.start_sidecar(name, home, port, **source)
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
