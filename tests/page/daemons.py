#!/usr/bin/env python3
"""What the page's tests are played on: real daemons as processes, steered by lines of JSON.

    daemons.py small     w1 and w2 are told of their agents by this script, w3 watches a stand-in for
                         wazuh-db
    daemons.py large     100 workers with 500 agents each: eight are real sidecars, whose agents move,
                         the others are played by bench_load and only stay connected
    daemons.py guarded   a master without workers that asks who reads
    daemons.py picture   three workers with agents as they may be called: for the picture in docs/page.md
    ... [--agents N] [--show]    --show prints the addresses, and moves agents until Ctrl-C

It answers each line with one: {"ok": ...} or {"error": "..."}. The programs come from BUILD, without it
from build/release.
"""

import argparse
import json
import os
import pathlib
import random
import shlex
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "packaging"), str(ROOT / "tests" / "support")]

from daemons import (Daemons, Failure, master_configuration, programs,  # noqa: E402
                     sidecar_configuration, socket_in)
from wdb import Manager  # noqa: E402

BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build" / "release")).absolute()
BENCH_LOAD = BUILD / "bench" / "bench_load"
TOLD_WITHIN_S = 60.0
STANDIN_LIVES_S = 1200
SYSTEMS = (("Debian GNU/Linux", "12"), ("Ubuntu", "24.04 LTS"), ("Microsoft Windows Server 2022", "10.0.20348"))


PARTS = ("web", "web", "db", "mail", "build", "vpn")


def info_of(agent, kind="small"):
    name, version = SYSTEMS[agent % len(SYSTEMS)]
    called = f"{PARTS[agent % len(PARTS)]}-{agent:02}" if kind == "picture" else f"web-{agent:03}"
    return {"name": called, "ip": f"10.0.{agent >> 8 & 255}.{agent & 255}", "os_name": name,
            "os_version": version, "version": "Wazuh v4.14.7", "group": "default"}


class Teller:
    """Tells one sidecar what its agents do. As long as it is connected they count as watched."""

    def __init__(self, path):
        self.peer = socket.socket(socket.AF_UNIX)
        self.peer.settimeout(TOLD_WITHIN_S)
        self.peer.connect(str(path))
        self.lines = self.peer.makefile("r")
        self.told = 0

    def tell(self, events):
        """Returns when the sidecar has stored them."""
        self.peer.sendall(b"".join(json.dumps(event).encode() + b"\n" for event in events))
        self.told += len(events)
        stored = 0
        while stored < self.told:
            answer = json.loads(self.lines.readline())
            if not answer.get("stored"):
                raise Failure(f"the sidecar refused a line: {answer}")
            stored = answer["lines"][1] if "lines" in answer else answer["line"]


class Cluster(Daemons):
    def __init__(self, kind, agents):
        super().__init__(programs(BUILD), "rc-page-")
        self.kind = kind
        self.played = None  # bench_load
        self.where = {}
        self.sockets = {}
        self.tellers = {}
        {"small": self.small, "large": self.large, "guarded": self.guarded,
         "picture": self.picture}[kind](agents)

    def begin_master(self, timing):
        more = {"timing": timing}
        daemon = self.add_master(master_configuration(self.pki, self.folder / "master", **more))
        daemon.start()
        # So that it comes back where the page asks for it.
        more["inspect"] = {"address": f"127.0.0.1:{daemon.port('inspect')}"}
        (self.folder / "master.ini").write_text(master_configuration(
            self.pki, self.folder / "master", daemon.port("listen"), **more))
        daemon.kill()
        daemon.start()

    def begin_sidecar(self, name, source):
        port = self.daemons["master"].port("listen")
        self.add_sidecar(name, sidecar_configuration(name, self.pki, self.folder / name, port, source)).start()

    def begin_told(self, names):
        for name in names:
            self.sockets[name] = self.folder / f"{name}.events"
            self.begin_sidecar(name, {"type": "events", "events_socket": self.sockets[name],
                                      "keepalive": "10s"})
        for name in names:
            self.until(f"{name} is connected", lambda name=name: self.streaming(name))

    def small(self, agents):
        self.issue("test", ("master", "w1", "w2", "w3"))
        self.begin_master({"heartbeat": "200ms", "ttl": "2s", "grace": "3s"})
        home = self.folder / "w3-home"
        self.add_standin("w3", home, STANDIN_LIVES_S).start()
        self.begin_sidecar("w3", {"wazuh_home": home, "poll": "100ms", "keepalive": "10s"})
        self.begin_told(("w1", "w2"))
        for name, first in (("w1", 1), ("w2", agents // 2 + 1)):
            self.connect(name, range(first, first + agents // 2))
        with Manager(socket_in(home), standin=True) as manager:
            for agent in range(901, 906):
                manager.enroll(agent)
                manager.connect_agent(agent, "w3")
        self.until("all agents are there", lambda: self.active() >= agents + 5)

    def guarded(self, _):
        self.issue("test", ("master",))
        self.add_master(master_configuration(self.pki, self.folder / "master",
                                             inspect={"read_token": "true"})).start()

    def picture(self, agents):
        names = ("worker-1", "worker-2", "worker-3")
        self.issue("example", ("master", *names))
        self.begin_master({"heartbeat": "200ms"})
        self.begin_told(names)
        for agent in range(1, agents + 1):
            self.connect(names[agent % 5 % 3], [agent])

    def large(self, agents, workers=100, real=8):
        each = agents // workers
        played = workers - real
        subprocess.run([BENCH_LOAD, "pki", self.pki, str(workers)], check=True, stdout=subprocess.DEVNULL)
        # Those that are played say nothing after they told their agents.
        self.begin_master({"heartbeat": "1s", "ttl": "1h"})
        names = [f"w{n}" for n in range(played + 1, workers + 1)]
        self.begin_told(names)
        self.played = subprocess.Popen(
            [BENCH_LOAD, "workers", self.pki, str(self.daemons["master"].port("listen")), str(played), str(each), "7"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        said = [self.played.stdout.readline() for _ in range(3)]
        if said[2].strip() != "broken 0":
            raise Failure(f"bench_load: {' '.join(said)}")
        for n, name in enumerate(names):
            first = (played + n) * each + 1
            self.connect(name, range(first, first + each))
        self.until("all agents are there", lambda: self.active() >= workers * each)

    def active(self):
        return self.http["master"].get("/status")["active"]

    # What the tests ask for.

    def tell(self, worker, events):
        if worker not in self.tellers:
            self.tellers[worker] = Teller(self.sockets[worker])
        self.tellers[worker].tell(events)
        return len(events)

    def connect(self, worker, agents):
        events = [{"agent": agent, "event": "connect", "info": info_of(agent, self.kind)} for agent in agents]
        self.where.update((agent, worker) for agent in agents)
        return self.tell(worker, events)

    def move(self, agents, to):
        """They come to another worker; returns when the one they left has heard it from the master."""
        left = [(agent, self.where[agent]) for agent in agents if self.where[agent] != to]
        self.connect(to, agents)
        for agent, worker in left:
            self.until(f"{worker} knows that {agent} went", lambda agent=agent, worker=worker: self.http[
                worker].get(f"/agents/{agent}")["session"]["phase"] != "open")
        return len(left)

    def mix(self, count, seed=0):
        """So many agents of those that can move go elsewhere."""
        chance = random.Random(seed or time.time_ns())
        for to in self.sockets:
            some = [agent for agent, where in self.where.items() if where != to]
            self.connect(to, chance.sample(some, min(len(some), count // len(self.sockets) + 1)))
        return count

    def start(self, name):
        self.daemons[name].start()
        if name in self.tellers:  # whoever tells it comes again, too
            self.tellers[name] = Teller(self.sockets[name])
        return True

    def kill(self, name):
        self.daemons[name].kill()
        return True

    def renew(self, name, days=825):
        """Its certificate, which it takes by itself."""
        self.tool("pki", "renew", name, "--days", str(days), "--dir", self.pki)
        return True

    def configure(self, name, key, value):
        """One key of its ini file, which it takes by itself; returns what it was."""
        ini = self.folder / f"{name}.ini"
        lines = ini.read_text().splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith(f"{key} = "))
        before = lines[at].removeprefix(f"{key} = ")
        lines[at] = f"{key} = {value}"
        ini.write_text("\n".join(lines) + "\n")
        return before

    def run(self, command, name):
        """As an operator of this daemon types it."""
        words = shlex.split(command)
        if words[0] != "rollcall":
            raise Failure(f"that is no command of rollcall: {command}")
        side = "--master" if name == "master" else "--sidecar"
        self.tool(*words[1:], side, self.http[name].url, "--token", self.folder / name / "token")
        return True

    def help(self, words):
        """What `rollcall ... --help` says."""
        return subprocess.run([self.programs["rollcall"], *words, "--help"], capture_output=True,
                              text=True, check=True, timeout=60).stdout

    def token(self):
        return (self.folder / "master" / "token").read_text().strip()

    def pages(self):
        return {name: daemon.url for name, daemon in self.http.items()}

    def close(self, *arguments, **options):
        if self.played:
            self.played.kill()
            self.played.wait()
        super().close(*arguments, **options)


ASKED = ("tell", "connect", "move", "mix", "start", "kill", "renew", "configure", "run", "help", "token",
         "pages")


def serve(cluster):
    print(json.dumps({"ok": cluster.pages()}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            name = asked.pop("do")
            if name not in ASKED:
                raise Failure(f"there is no {name}")
            answer = {"ok": getattr(cluster, name)(**asked)}
        except (Failure, OSError, ValueError) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


def show(cluster):
    for name, url in cluster.pages().items():
        print(f"{name:8} {url}/", flush=True)
    while True:
        cluster.mix(40 if cluster.kind == "large" else 4)
        time.sleep(2)


def main():
    parser = argparse.ArgumentParser(prog="daemons.py", description=__doc__.split("\n\n")[0])
    parser.add_argument("kind", choices=("small", "large", "guarded", "picture"))
    parser.add_argument("--agents", type=int)
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    agents = options.agents or (50_000 if options.kind == "large" else 40)
    cluster = None
    try:
        cluster = Cluster(options.kind, agents)
        (show if options.show else serve)(cluster)
    except KeyboardInterrupt:
        pass
    except Failure as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 1
    finally:
        if cluster:
            cluster.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
