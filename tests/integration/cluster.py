"""A master, some sidecars with a stand-in for wazuh-db each, and the agents: what the tests in this
folder are played on. The daemons are the real ones, as processes, on loopback. Between each sidecar
and the master is a relay, so that a master that comes back may have another port.

    cluster = Cluster()
    cluster.begin()                       # master and all sidecars are up, and connected
    cluster.agents.connect(7, "w1")
    cluster.kill("master"); cluster.start("master")
    cluster.until_right(60)               # the master's table is what the agents did
    cluster.close()

The programs come from the environment: ROLLCALL, ROLLCALL_MASTER, ROLLCALLD, STANDIN_WAZUHDB; without
them from build/dev, or from BUILD. Daemons are started by the main thread only.
"""

import os
import pathlib
import re
import subprocess
import sys
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "packaging"), str(ROOT / "tests" / "support")]

from agents import Agents  # noqa: E402
from daemons import (Daemons, Failure, master_configuration, programs,  # noqa: E402
                     sidecar_configuration, socket_in)
from relay import Relay  # noqa: E402
from wdb import Standin  # noqa: E402

BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build" / "dev")).absolute()
PROGRAMS = {name: pathlib.Path(os.environ.get(name.upper().replace("-", "_"), program))
            for name, program in programs(BUILD).items()}
STANDIN_LIVES_S = 1200


class Cluster(Daemons):
    MORE_OF_SIDECARS = {}  # sections of their configuration
    MORE_OF_MASTER = {}

    def __init__(self, workers=("w1", "w2"), heartbeat="500ms", ttl="3s", master_store=None,
                 stores=None):
        """`master_store`: keys of that section; `stores`: folders for some nodes instead of new
        ones."""
        super().__init__(PROGRAMS, "rc-")
        self.workers = workers
        self.stores = {name: self.folder / f"{name}-store" for name in ("master", *workers)}
        self.stores.update(stores or {})
        self.homes = {worker: self.folder / worker for worker in workers}
        try:
            self._prepare(master_configuration(
                self.pki, self.stores["master"], store=master_store or {},
                timing={"heartbeat": heartbeat, "ttl": ttl}, **self.MORE_OF_MASTER))
        except BaseException:
            self.close()
            raise

    def _prepare(self, of_master):
        self.issue("test", ("master", *self.workers))
        for store in self.stores.values():
            store.mkdir(exist_ok=True)
        self.add_master(of_master)
        for worker in self.workers:
            self.add_standin(worker, self.homes[worker], STANDIN_LIVES_S)
            relay = self.relays[worker] = Relay(target=("127.0.0.1", 1))
            self.add_sidecar(worker, sidecar_configuration(
                worker, self.pki, self.stores[worker], relay.port, self.source_of(worker),
                **self.MORE_OF_SIDECARS))
        self.agents = Agents({worker: self.socket_of(worker) for worker in self.workers})

    def source_of(self, worker):
        return {"wazuh_home": self.homes[worker], "poll": "100ms", "keepalive": "10s"}

    @staticmethod
    def standin_of(worker):
        return f"{worker}-wazuhdb"

    def socket_of(self, worker):
        return socket_in(self.homes[worker])

    def standin(self, worker):
        """Steers the worker's stand-in."""
        return Standin(self.socket_of(worker))

    # One daemon.

    def start(self, name):
        self.daemons[name].start()
        if name == "master":
            port = self.daemons["master"].port("listen")
            for relay in self.relays.values():
                relay.target("127.0.0.1", port)
                relay.block(False)

    def kill(self, name):
        """SIGKILL."""
        self.daemons[name].kill()
        self._gone(name)

    def stop(self, name, seconds=10):
        """SIGTERM, and it has to end by itself, with status 0."""
        process = self.daemons[name].process
        self.daemons[name].end()
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{name} did not end within {seconds} s of SIGTERM\n"
                          f"{self.daemons[name].tail()}") from None
        if status != 0:
            raise Failure(f"{name} ended with status {status}\n{self.daemons[name].tail()}")
        self.daemons[name].process = None
        self._gone(name)

    def stop_wazuh(self, worker):
        """Nobody serves its socket any more. While `agents.paused()`, else they find nobody."""
        self.stop(self.standin_of(worker))

    def start_wazuh(self, worker):
        """Again, with the agents that are there now. The stand-in's table is in memory only: a new
        one gets what the old one held, and takes the socket's name when it is complete."""
        path = self.socket_of(worker)
        aside = path.with_name("new")
        daemon = self.daemons[self.standin_of(worker)]
        daemon.arguments = [str(aside) if argument == str(path) else argument
                            for argument in daemon.arguments]
        self.start(daemon.name)
        self.agents.fill(worker, aside)
        aside.rename(path)
        self.agents.reconnect(worker)

    def _gone(self, name):
        if name == "master":  # so that the sidecars are refused, as by a machine without a master
            for relay in self.relays.values():
                relay.block(True)
                relay.cut()

    def refuses_to_start(self, name, seconds=20):
        """What the daemon says when it has to end by itself, with another status than 0."""
        done = subprocess.run(self.daemons[name].arguments, capture_output=True, text=True,
                              check=False, timeout=seconds, stdin=subprocess.DEVNULL)
        if done.returncode <= 0:
            raise Failure(f"{name} ended with status {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def alive(self, name):
        return self.daemons[name].process is not None

    def mark(self, name):
        """The size of its log so far, for said_since()."""
        return self.daemons[name].log.stat().st_size if self.daemons[name].log.exists() else 0

    def said_since(self, name, mark=0):
        """The lines of its log behind the mark."""
        with self.daemons[name].log.open("rb") as log:
            log.seek(mark)
            return log.read().decode(errors="replace").splitlines()

    # All of it.

    def begin(self):
        """Everything is up, and the sidecars are connected."""
        self.start("master")
        for worker in self.workers:
            self.start(self.standin_of(worker))
            self.start(worker)
        for worker in self.workers:
            self.until(f"{worker} is connected", lambda worker=worker: self.streaming(worker))
        return self

    def close(self):
        bad = []  # a sanitizer's last word, for example
        super().close(10, lambda daemon: bad.append(
            f"{daemon.name} ended with status {daemon.process.returncode}\n{daemon.tail(30)}"))
        if bad:
            raise Failure("\n".join(bad))

    def status(self, name):
        return self.http[name].get("/status")

    def quiet(self):
        """All that the sidecars had to say has been delivered and acked."""
        return all(map(self.delivered, self.workers))

    def table(self):
        """The master's: {id: its page}, read page by page."""
        found, after = {}, 0
        while after is not None:
            page = self.http["master"].get(f"/agents?after={after}&limit=1000")
            found.update((agent["id"], agent) for agent in page["agents"])
            after = page["next_after"]
        return found

    def answers(self):
        return {id: (agent["status"], agent["node"] if agent["status"] == "active" else None)
                for id, agent in self.table().items()}

    def wrong(self):
        """{id: (truth, answer)} where the master's table is not what the agents did."""
        truth, answers = self.agents.truth(), self.answers()
        return {id: (truth.get(id), answers.get(id)) for id in truth.keys() | answers.keys()
                if truth.get(id) != answers.get(id)}

    def until_all_are_on(self, worker, ids):
        """Enrolls these agents; returns when they are known to be there."""
        self.agents.enroll(ids)
        for id in ids:
            self.agents.connect(id, worker)
        self.until_right()

    def until_right(self, seconds=60):
        """The table is right, everything is acked, nobody is in doubt, and it stays so for a
        second. Returns how long that took."""
        began, right_since = time.monotonic(), None
        while True:
            self.check()
            wrong = self.wrong()
            now = time.monotonic()
            if wrong or not self.quiet():
                right_since = None
            elif right_since is None:
                right_since = now
            elif now - right_since > 1:
                return right_since - began
            if now - began > seconds:
                raise Failure(f"after {seconds} s the table is wrong, id: (truth, answer): {wrong}"
                              f"\n{self.histories(wrong)}\n" +
                              "\n".join(daemon.tail(6) for daemon in self.daemons.values()))
            time.sleep(0.05)

    def histories(self, ids, most=3):
        """For a failure: the master's decisions about the agents, and the pages of all."""
        lines = []
        decisions = self.decisions()
        for id in sorted(ids)[:most]:
            lines.append(f"agent {id}: master {self.http['master'].get(f'/agents/{id}')}")
            for worker in self.workers:
                lines.append(f"  {worker} {self.http[worker].get(f'/agents/{id}')}")
            for d in decisions:
                if d["agent"] == id:
                    lines.append(f"  {d['at']} {d['node']} {d['event']} {d['version']} {d['rule']} "
                                 f"-> {d['record']} {d['record_phase']}")
        return "\n".join(lines)


def fields_of(line):
    """key=value and key="…" of a log's line."""
    return {key: quoted or plain for key, quoted, plain in
            re.findall(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|(\S+))', line)}


def run_part():
    """unittest.main(), but of ROLLCALL_PART=1/3 only every third test from the first on. Of a file whose
    tests all have a cluster of their own, parts may run side by side."""
    part, of = map(int, os.environ.get("ROLLCALL_PART", "1/1").split("/"))

    class Loader(unittest.TestLoader):
        def loadTestsFromModule(self, module, *arguments, **more):
            def single(suite):
                for test in suite:
                    yield from single(test) if isinstance(test, unittest.TestSuite) else (test,)
            return self.suiteClass(list(single(super().loadTestsFromModule(module, *arguments, **more)))
                                   [part - 1::of])

    unittest.main(testLoader=Loader())
