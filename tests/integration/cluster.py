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
import shutil
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "packaging"), str(ROOT / "tests" / "support")]

from quickstart import Daemon, Failure, Http  # noqa: E402
from relay import Relay  # noqa: E402
from wdb import Manager, Standin, WdbError  # noqa: E402

BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build" / "dev")).absolute()
PROGRAMS = {name: pathlib.Path(os.environ.get(variable, BUILD / where / name))
            for name, variable, where in (
                ("rollcall", "ROLLCALL", "cli"),
                ("rollcall-master", "ROLLCALL_MASTER", "master"),
                ("rollcalld", "ROLLCALLD", "sidecar"),
                ("standin-wazuhdb", "STANDIN_WAZUHDB", "tests/support"))}
KEEPALIVE_EVERY_S = 2.0
STANDIN_LIVES_S = 1200

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
{store_options}
[inspect]
address = 127.0.0.1:0
[timing]
heartbeat = {heartbeat}
ttl = {ttl}
"""

SIDECAR_INI = """\
[node]
name = {name}
[source]
wazuh_home = {home}
poll = 100ms
keepalive = 10s
[master]
address = 127.0.0.1:{port}
[tls]
ca = {pki}/ca.crt
certificate = {pki}/{name}.crt
key = {pki}/{name}.key
[store]
path = {store}
[inspect]
address = 127.0.0.1:0
"""


class Agents:
    """Plays the agents on the stand-ins, and so knows the truth. The tables have whole seconds, and
    two stays that touch the same second have no order that anybody could see: whoever lets an agent
    connect waits until it is `ready`."""

    def __init__(self, sockets):
        self._managers = {worker: Manager(path, standin=True) for worker, path in sockets.items()}
        self._lock = threading.RLock()
        self.where = {}  # agent -> its worker, or None
        self._second = {}  # agent -> the last one in which it spoke
        self._enrolled = []
        self._ending = threading.Event()
        self.error = None
        self._thread = threading.Thread(target=self._keep_alive, name="agents", daemon=True)

    def enroll(self, ids):
        with self._lock:
            for manager in self._managers.values():
                for id in ids:
                    manager.enroll(id)
            self._enrolled += ids
        if not self._thread.is_alive():
            self._thread.start()

    def close(self):
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()
        for manager in self._managers.values():
            manager.close()

    def ready(self, id):
        return int(time.time()) >= self._second.get(id, 0) + 2

    def connect(self, id, worker, **info):
        while not self.ready(id):
            time.sleep(0.02)
        with self._lock:
            self._managers[worker].connect_agent(id, worker, **info)
            self._second[id] = int(time.time())
            self.where[id] = worker

    def goodbye(self, id):
        with self._lock:
            self._managers[self.where[id]].shutdown(id)
            self.where[id] = None

    def move(self, id, worker):
        self.goodbye(id)
        self.connect(id, worker)

    def on(self, worker):
        return [id for id, where in self.where.items() if where == worker]

    def truth(self):
        with self._lock:
            return {id: ("active", where) if where else ("disconnected", None)
                    for id, where in self.where.items()}

    def paused(self):
        """No agent speaks, and nothing is written to a stand-in, as long as this is held."""
        return self._lock

    def fill(self, worker, path):
        """Writes into an empty stand-in what the one of this worker held: the same agents there."""
        with Manager(path, standin=True) as fresh:
            for id in self._enrolled:
                fresh.enroll(id)
            for id in self.on(worker):
                fresh.connect_agent(id, worker)

    def reconnect(self, worker):
        self._managers[worker].close()

    def _keep_alive(self):
        while not self._ending.wait(KEEPALIVE_EVERY_S):
            try:
                with self._lock:
                    for worker, manager in self._managers.items():
                        here = self.on(worker)
                        manager.keepalives(here)
                        for id in here:
                            self._second[id] = int(time.time())
            except (OSError, WdbError) as error:
                self.error = error
                return


class Cluster:
    def __init__(self, workers=("w1", "w2"), heartbeat="500ms", ttl="3s", master_store_options="",
                 stores=None):
        for program in PROGRAMS.values():
            if not os.access(program, os.X_OK):
                raise Failure(f"{program} is not there; build it first")
        self.workers = workers
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rc-"))
        self.pki = self.folder / "pki"
        self.stores = {name: self.folder / f"{name}-store" for name in ("master", *workers)}
        self.stores.update(stores or {})
        self.daemons, self.http, self.relays, self.homes = {}, {}, {}, {}
        self.agents = None
        try:
            self._prepare(heartbeat, ttl, master_store_options)
        except BaseException:
            self.close()
            raise

    def _prepare(self, heartbeat, ttl, store_options):
        self.tool("pki", "init", "--dir", self.pki, "--cluster", "test")
        for node in ("master", *self.workers):
            self.tool("pki", "issue", node, "--dir", self.pki)
            self.stores[node].mkdir(exist_ok=True)
        ini = self.folder / "master.ini"
        ini.write_text(MASTER_INI.format(pki=self.pki, store=self.stores["master"], ttl=ttl,
                                         heartbeat=heartbeat, store_options=store_options))
        self._daemon("master", [PROGRAMS["rollcall-master"], "--config", ini], " ready ")
        for worker in self.workers:
            home = self.homes[worker] = self.folder / worker
            (home / "queue" / "db").mkdir(parents=True)
            self._daemon(self.standin_of(worker), [
                PROGRAMS["standin-wazuhdb"], "--socket", self.socket_of(worker), "--max-seconds",
                STANDIN_LIVES_S], "listening on ")
            relay = self.relays[worker] = Relay(target=("127.0.0.1", 1))
            ini = self.folder / f"{worker}.ini"
            ini.write_text(SIDECAR_INI.format(name=worker, home=home, port=relay.port, pki=self.pki,
                                              store=self.stores[worker]))
            self._daemon(worker, [PROGRAMS["rollcalld"], "--config", ini], " started ")
        self.agents = Agents({worker: self.socket_of(worker) for worker in self.workers})

    def _daemon(self, name, arguments, ready):
        self.daemons[name] = Daemon(name, arguments, self.folder / f"{name}.log", ready)
        self.http[name] = Http(self.daemons[name])

    @staticmethod
    def tool(*arguments):
        done = subprocess.run([PROGRAMS["rollcall"], *arguments], capture_output=True, text=True,
                              check=False, timeout=60)
        if done.returncode != 0:
            raise Failure(f"rollcall {' '.join(map(str, arguments))}: {done.stdout}{done.stderr}")

    @staticmethod
    def standin_of(worker):
        return f"{worker}-wazuhdb"

    def socket_of(self, worker):
        return self.homes[worker] / "queue" / "db" / "wdb"

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

    def check(self):
        for daemon in self.daemons.values():
            daemon.check()
        if self.agents is not None and self.agents.error is not None:
            raise Failure(f"the agents cannot be played any more: {self.agents.error}")

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
        if self.agents is not None:
            self.agents.close()
        for daemon in reversed(self.daemons.values()):
            daemon.end()
        bad = []
        for daemon in self.daemons.values():
            daemon.ended(10)
            if daemon.process is not None and daemon.process.returncode != 0:
                bad.append(f"{daemon.name} ended with status {daemon.process.returncode}\n"
                           f"{daemon.tail(30)}")
        for relay in self.relays.values():
            relay.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        if bad:  # a sanitizer's last word, for example
            raise Failure("\n".join(bad))

    def status(self, name):
        return self.http[name].get("/status")

    def streaming(self, worker):
        return self.status(worker)["link"]["state"] == "streaming"

    def quiet(self):
        """All that the sidecars had to say has been delivered and acked."""
        for worker in self.workers:
            status = self.status(worker)
            if status["link"]["state"] != "streaming" or status["backlog"]["events"]:
                return False
        return True

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

    def until(self, what, fact, seconds=40):
        """Asks until `fact` is true, and returns what it said."""
        deadline = time.monotonic() + seconds
        while True:
            self.check()
            if result := fact():
                return result
            if time.monotonic() > deadline:
                tails = "\n".join(daemon.tail(8) for daemon in self.daemons.values())
                raise Failure(f"waited {seconds:.0f} s in vain: {what}\n{tails}")
            time.sleep(0.05)

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

    def decisions(self, after=0):
        found = []
        while True:
            page = self.http["master"].get(f"/decisions?after={after}&limit=1000")["decisions"]
            if not page:
                return found
            found += page
            after = page[-1]["number"]


def fields_of(line):
    """key=value and key="…" of a log's line."""
    return {key: quoted or plain for key, quoted, plain in
            re.findall(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|(\S+))', line)}
