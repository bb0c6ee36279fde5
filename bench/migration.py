"""A migration storm over real daemons: a master, 25 sidecars and a bad network between them, and all
agents going to another worker within a minute. bench/run measures with it; by itself it plays one:

    bench/migration.py [--agents N] [--seconds N] [--workers N] [--drain] [--smoke]
"""

import argparse
import bisect
import collections
import heapq
import json
import os
import pathlib
import random
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build" / "release")).absolute()
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "packaging"), str(ROOT / "tests" / "support")]
from daemons import (Daemon, Failure, Http, master_configuration,  # noqa: E402
                     sidecar_configuration)
from relay import Relay  # noqa: E402

WORKERS = 25
AGENTS = 50_000
SECONDS = 60
SEED = 7
SETTLE_S = 120.0


# From the monotonic clock to the wall clock, which daemons on this machine tell by.
WALL_AHEAD_US = time.time_ns() // 1000 - time.monotonic_ns() // 1000


def wall_us(monotonic=None):
    """Of now, or of a moment of the monotonic clock in seconds."""
    return WALL_AHEAD_US + int((time.monotonic() if monotonic is None else monotonic) * 1e6)


def info_of(agent):
    digits = random.Random(agent)
    return {"name": f"agent-{agent}", "ip": f"10.{agent >> 16}.{agent >> 8 & 255}.{agent & 255}",
            "os_name": digits.choice(("Debian GNU/Linux", "Ubuntu", "Rocky Linux")),
            "os_version": digits.choice(("12", "24.04.1 LTS", "9.4")), "os_arch": "x86_64",
            "version": "Wazuh v4.14.7", "config_sum": f"{digits.getrandbits(128):032x}",
            "merged_sum": f"{digits.getrandbits(128):032x}", "group": "default"}


class Sources(threading.Thread):
    """The programs that tell the sidecars of their agents: one thread for all of them."""

    def __init__(self, paths):
        super().__init__(name="sources", daemon=True)
        self.selector = selectors.DefaultSelector()
        self.lock = threading.Lock()
        self.out = {}
        self.told = collections.Counter()
        self.stored = collections.Counter()
        self.fault = None
        self.ended = False
        self.wake_in, self.wake_out = socket.socketpair()
        self.selector.register(self.wake_in, selectors.EVENT_READ, None)
        self.rest = {}
        for worker, path in paths.items():
            peer = socket.socket(socket.AF_UNIX)
            peer.connect(str(path))
            peer.setblocking(False)
            self.selector.register(peer, selectors.EVENT_READ, worker)
            self.out[worker], self.rest[worker] = (peer, bytearray()), b""
        self.start()

    def tell(self, worker, events):
        lines = b"".join(json.dumps(event).encode() + b"\n" for event in events)
        with self.lock:
            self.out[worker][1].extend(lines)
            self.told[worker] += len(events)
        self.wake_out.send(b"x")

    def behind(self):
        """Lines that are not answered as stored."""
        if self.fault:
            raise Failure(self.fault)
        with self.lock:
            return sum(self.told.values()) - sum(self.stored.values())

    def run(self):
        try:
            while not self.ended:
                self._turn()
        except Exception as fault:  # pylint: disable=broad-except
            self.fault = f"telling the sidecars: {fault!r}"

    def _turn(self):
        for key, _ in self.selector.select(0.05):
            if key.data is None:
                self.wake_in.recv(65536)
            else:
                self._read(key.fileobj, key.data)
        for peer, waiting in self.out.values():
            with self.lock:
                if waiting:
                    try:
                        del waiting[:peer.send(waiting[:262_144])]
                    except BlockingIOError:
                        pass

    def _read(self, peer, worker):
        *lines, self.rest[worker] = (self.rest[worker] + peer.recv(1 << 20)).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            if "refused" in answer:
                raise Failure(f"{worker} refused a line: {answer['refused']}")
            first, last = answer.get("lines") or (answer["line"], answer["line"])
            with self.lock:
                self.stored[worker] += last - first + 1

    def close(self):
        self.ended = True
        self.wake_out.send(b"x")
        self.join()
        for peer, _ in self.out.values():
            peer.close()


class Cluster:
    """A master and its sidecars, each behind a relay of its own."""

    def __init__(self, folder, workers=WORKERS):
        self.folder = pathlib.Path(folder)
        self.workers = [f"w{n}" for n in range(1, workers + 1)]
        self.daemons, self.relays = {}, {}
        self.pki = self.folder / "pki"
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self):
        subprocess.run([BUILD / "bench" / "bench_load", "pki", self.pki, str(len(self.workers))],
                       check=True, stdout=subprocess.DEVNULL)
        ini = self.folder / "master.ini"
        ini.write_text(master_configuration(self.pki, self.folder / "master",
                                            limits={"history": 1_000_000}))
        master = self.daemons["master"] = Daemon(
            "master", [BUILD / "master" / "rollcall-master", "--config", ini],
            self.folder / "master.log", " ready ").start()
        for worker in self.workers:
            relay = self.relays[worker] = Relay(
                target=("127.0.0.1", master.port("listen")), trace=True)
            ini = self.folder / f"{worker}.ini"
            ini.write_text(sidecar_configuration(
                worker, self.pki, self.folder / worker, relay.port,
                {"type": "events", "events_socket": self.folder / f"{worker}.events"}))
            self.daemons[worker] = Daemon(
                worker, [BUILD / "sidecar" / "rollcalld", "--config", ini],
                self.folder / f"{worker}.log", " started ").start()
        self.until("all sidecars are connected", lambda: all(
            self.status(worker)["link"]["state"] == "streaming" for worker in self.workers))
        self.sources = Sources({worker: self.folder / f"{worker}.events" for worker in self.workers})

    def status(self, name):
        return Http(self.daemons[name]).get("/status")

    def bytes(self):
        return sum(sum(relay.bytes.values()) for relay in self.relays.values())

    def until(self, what, fact, seconds=SETTLE_S):
        deadline = time.monotonic() + seconds
        while not fact():
            for daemon in self.daemons.values():
                daemon.check()
            if time.monotonic() > deadline:
                raise Failure(f"waited {seconds:.0f} s in vain: {what}\n"
                              f"{self.daemons['master'].tail()}")
            time.sleep(0.05)

    def all_is_acked(self):
        return not self.sources.behind() and not any(
            self.status(worker)["backlog"]["events"] for worker in self.workers)

    def agents(self):
        """What the master answers: {id: (status, node)}."""
        found, after = {}, 0
        while after is not None:
            page = Http(self.daemons["master"]).get(f"/agents?limit=1000&after={after}")
            found.update((a["id"], (a["status"], a["node"])) for a in page["agents"])
            after = page["next_after"]
        return found

    def newest(self):
        return Http(self.daemons["master"]).get("/events?after=newest")["after"]

    def events(self, after):
        """What the feed told after that."""
        while True:
            page = Http(self.daemons["master"]).get(f"/events?after={after}&limit=1000&wait=0s")
            yield from page["events"]
            if not page["events"]:
                return
            after = page["after"]

    def drain(self):
        for worker in self.workers:
            self.rollcall("drain", worker, "--grace", "10m", "--no-wait")
        self.until("all that the workers have is offered", lambda: not any(
            self.status(worker)["backlog"]["events"] for worker in self.workers) and
                   Http(self.daemons["master"]).get("/status")["active"] == 0)

    def undrain(self):
        for worker in self.workers:
            self.rollcall("undrain", worker)
        self.until("nothing is offered any more", lambda: self.all_is_acked() and
                   Http(self.daemons["master"]).get("/status")["migrating"] == 0)

    def rollcall(self, what, worker, *arguments):
        subprocess.run([BUILD / "cli" / "rollcall", what, *arguments, "--sidecar",
                        f"127.0.0.1:{self.daemons[worker].port('inspect')}",
                        "--token", self.folder / worker / "token"],
                       check=True, stdout=subprocess.DEVNULL, timeout=60)

    def log(self):
        """The master's decisions, in the order in which the events came."""
        done = subprocess.Popen([BUILD / "cli" / "rollcall", "log", "export",
                                 self.folder / "master"], stdout=subprocess.PIPE, text=True)
        for line in done.stdout:
            record = json.loads(line)
            if record["record"] == "decided":
                yield record
        if done.wait() != 0:
            raise Failure("rollcall log export failed")

    def close(self):
        if hasattr(self, "sources"):
            self.sources.close()
        for daemon in reversed(self.daemons.values()):
            daemon.end()
            daemon.ended(20)
        for relay in self.relays.values():
            relay.stop()


class Network(threading.Thread):
    """Makes the links stall, lag and break while the storm goes on."""

    def __init__(self, relays, seed):
        super().__init__(name="network", daemon=True)
        self.relays, self.random = relays, random.Random(seed)
        self.stalls = 0
        self.cuts = collections.defaultdict(list)  # worker: [(from, to)], wall clock, microseconds
        self.ended = threading.Event()
        self.start()

    def run(self):
        held = {}
        while not self.ended.wait(0.1):
            now = time.monotonic()
            for worker, until in list(held.items()):
                if until <= now:
                    self._release(worker, held)
            for worker, relay in self.relays.items():
                if self.random.random() < 0.02 and worker not in held:
                    relay.hold(self.random.choice(("up", "down", "both")))
                    held[worker] = now + self.random.uniform(0.2, 2)
                    self.stalls += 1
                if self.random.random() < 0.05:
                    relay.delay(self.random.choice(("up", "down")), self.random.uniform(0, 0.4))
                if self.random.random() < 0.002:
                    relay.cut(reset=self.random.random() < 0.5)
                    # As long as a sidecar may wait before it connects again.
                    self.cuts[worker].append((wall_us(), wall_us() + 2_000_000))
        for worker in list(held):
            self._release(worker, held)
        for relay in self.relays.values():
            for direction in ("up", "down"):
                relay.delay(direction, 0)

    def _release(self, worker, held):
        self.relays[worker].release()
        del held[worker]

    def stop(self):
        self.ended.set()
        self.join()


class Deliveries:
    """When the links delivered what they were given."""

    def __init__(self, relays, cuts):
        self.cuts = cuts
        self.chunks = {worker: sorted((wall_us(read), wall_us(done))
                                      for read, _, done in relay.traced["up"])
                       for worker, relay in relays.items()}
        # By stalls, and by the relays, which are one program of one thread at a time.
        self.late_ms = [max(0, done - due) * 1000 for relay in relays.values()
                        for _, due, done in relay.traced["up"]]

    def of(self, worker, told_us):
        """When the first delivery to the master was over that can have had what was told then."""
        for began, ended in self.cuts[worker]:
            if began <= told_us <= ended:
                told_us = ended
        chunks = self.chunks[worker]
        at = bisect.bisect_left(chunks, (told_us, 0))
        return max(told_us, chunks[at][1]) if at < len(chunks) else told_us


class Storm:
    """Which agent goes where, and what the workers are told of it: early, late, in another order, or
    not at all."""

    def __init__(self, workers, agents, seconds, seed):
        self.random = random.Random(seed)
        self.home = {agent: workers[agent % len(workers)] for agent in range(1, agents + 1)}
        self.truth = dict(self.home)
        self.seconds, self.workers = seconds, workers
        self.moved_s = None  # how long it took until the last agent had moved
        self.claimed = {}  # agent: when its new worker was told, wall clock, microseconds

    def connects(self, worker):
        return [{"agent": agent, "event": "connect", "at_us": wall_us(), "info": info_of(agent)}
                for agent, home in self.home.items() if home == worker]

    def order(self):
        agents = list(self.home)
        self.random.shuffle(agents)
        return agents

    def play(self, tell, goodbyes=True):
        """Calls tell(worker, [event]) as time goes on."""
        agents = self.order()
        later = []  # what is told late: (when, number, worker, event)
        began = time.monotonic()
        done = number = 0
        while done < len(agents) or later:
            present = time.monotonic() - began
            now_us = wall_us()
            events = collections.defaultdict(list)
            while done < len(agents) and done / len(agents) * self.seconds <= present:
                agent = agents[done]
                done += 1
                for delay, worker, event in self._move(agent, now_us, goodbyes):
                    number += 1
                    if delay == 0:
                        events[worker].append(event)
                    else:
                        heapq.heappush(later, (present + delay, number, worker, event))
            while later and later[0][0] <= present:
                _, _, worker, event = heapq.heappop(later)
                events[worker].append(event)
            for worker, some in events.items():
                tell(worker, some)
            if done == len(agents) and self.moved_s is None:
                self.moved_s = time.monotonic() - began
            time.sleep(0.02)

    def _move(self, agent, now_us, goodbyes):
        old = self.truth[agent]
        new = self.random.choice([w for w in self.workers if w != old])
        self.truth[agent] = new
        self.claimed[agent] = now_us
        left_us = now_us - self.random.randint(50_000, 500_000)
        yield 0, new, {"agent": agent, "event": "connect", "at_us": now_us, "info": info_of(agent)}
        chance = self.random.random()
        late = 0 if chance < 0.3 else self.random.uniform(0.1, 5)
        if chance < 0.7:
            reason = "shutdown" if goodbyes and chance < 0.5 else "no_keepalive"
            yield late, old, {"agent": agent, "event": "disconnect", "at_us": left_us,
                              "reason": reason}
        elif chance < 0.85:  # a keepalive of before, told after
            yield late, old, {"agent": agent, "event": "keepalive", "at_us": left_us}
        # else the old worker learns of nothing


def last_writer(records):
    """What a master that lets the last message win has of it."""
    table = {}
    for record in records:
        for event in record["events"]:
            if event["event"] in ("opened", "info", "confirmed"):
                table[event["agent"]] = ("active", record["node"])
            elif event["event"] in ("closed", "removed"):
                table[event["agent"]] = ("disconnected", record["node"])
    return table


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))]


def wrong(table, truth):
    return sum(table.get(agent) != ("active", worker) for agent, worker in truth.items())


def play(folder, agents=AGENTS, seconds=SECONDS, seed=SEED, drain=False, workers=WORKERS):
    """One storm; what came of it, by name. With `drain` an operator said so on each worker before, and
    takes it back after."""
    cluster = Cluster(folder, workers)
    try:
        storm = Storm(cluster.workers, agents, seconds, seed)
        for worker in cluster.workers:
            cluster.sources.tell(worker, storm.connects(worker))
        cluster.until("all agents are connected", cluster.all_is_acked)
        if (off := wrong(cluster.agents(), storm.truth)) != 0:
            raise Failure(f"{off} agents are wrong before the storm")
        if drain:
            cluster.drain()
        before = cluster.bytes()
        told = cluster.newest()
        network = Network(cluster.relays, seed)
        try:
            storm.play(cluster.sources.tell)
        finally:
            network.stop()
        cluster.until("all is acked", cluster.all_is_acked)
        sent = cluster.bytes() - before
        if drain:
            cluster.undrain()
        table = cluster.agents()
        feed = collections.Counter(event["event"] for event in cluster.events(told))
        deliveries = Deliveries(cluster.relays, network.cuts)
        claims = {}
        rules = collections.Counter()
        for record in cluster.log():
            for event in record["events"]:
                rules[event["rule"]] += 1
                if event["accepted"] and event["event"] == "opened":
                    claims[event["agent"]] = (record["at"], record["node"])
        took = [max(0, at - deliveries.of(node, storm.claimed[agent])) / 1000
                for agent, (at, node) in claims.items()
                if agent in storm.claimed and node == storm.truth[agent]]
        whole = [(at - storm.claimed[agent]) / 1000 for agent, (at, node) in claims.items()
                 if agent in storm.claimed and node == storm.truth[agent]]
        return {"agents": agents, "wrong": wrong(table, storm.truth),
                "last_writer": wrong(last_writer(cluster.log()), storm.truth),
                "decided": rules, "feed": feed, "cuts": sum(map(len, network.cuts.values())),
                "stalls": network.stalls, "relay_p99_ms": percentile(deliveries.late_ms, 0.99),
                "whole_p99_ms": percentile(whole, 0.99), "moved_s": storm.moved_s,
                "p50_ms": percentile(took, 0.5), "p99_ms": percentile(took, 0.99),
                "most_ms": max(took), "claims": len(took), "bytes": sent / agents}
    finally:
        cluster.close()


def must_be_a_storm(result, seconds):
    """A machine that is busy with something else plays another one than was asked for."""
    if result["moved_s"] > 1.05 * seconds + 1:
        raise Failure(f"the agents moved in {result['moved_s']:.0f} s, not in {seconds}")


def main():
    parser = argparse.ArgumentParser(description="One migration storm over real daemons.")
    parser.add_argument("--agents", type=int, default=AGENTS)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--smoke", action="store_true", help="however long it takes: it is a test")
    parser.add_argument("--drain", action="store_true", help="with every worker drained meanwhile")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="migration-")
    try:
        result = play(folder, options.agents, options.seconds, options.seed, options.drain,
                      options.workers)
        if not options.smoke:
            must_be_a_storm(result, options.seconds)
    except Failure as failure:
        print(f"migration: {failure}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for name, value in result.items():
        print(f"{name} {dict(value) if isinstance(value, collections.Counter) else value}")
    false = result["feed"]["disconnect"] if options.drain else 0
    return 0 if result["wrong"] == 0 and false == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
