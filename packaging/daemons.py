"""rollcall's daemons as children of a script, on loopback, in a temporary folder: their certificates
and configuration, how they are started, asked and ended. packaging/quickstart.py, bench/run and the
tests with real daemons are built on it.
"""

import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

STEP_WITHIN_S = 40.0
LONGEST_SOCKET_PATH = 107


class Failure(Exception):
    """Says what is wrong and what to do."""


def programs(build):
    """Where a build has them: {name: path}."""
    return {name: build / where / name
            for name, where in (("rollcall", "cli"), ("rollcall-master", "master"),
                                ("rollcalld", "sidecar"), ("standin-wazuhdb", "tests/support"))}


def socket_in(home):
    """Where wazuh-db listens in Wazuh's home."""
    return home / "queue" / "db" / "wdb"


def http_socket_in(home):
    """Where wazuh-db listens for HTTP, since 4.13."""
    return home / "queue" / "sockets" / "wdb-http.sock"


def configuration(node, pki, folder, more):
    """The ini file of a daemon that stores in `folder`; `more` is {section: {key: value}}."""
    sections = {
        "node": {"name": node},
        "tls": {"ca": f"{pki}/ca.crt", "certificate": f"{pki}/{node}.crt",
                "key": f"{pki}/{node}.key"},
        "store": {"path": folder},
        "inspect": {"address": "127.0.0.1:0"},
    }
    for section, keys in more.items():
        sections.setdefault(section, {}).update(keys)
    return "".join(f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())
                   for section, keys in sections.items())


def master_configuration(pki, folder, port=0, **more):
    """Without a word of it, it leaves alone whatever Wazuh there is on this machine."""
    return configuration("master", pki, folder,
                         {"listen": {"address": f"127.0.0.1:{port}"}, "sink": {"mode": "off"},
                          **more})


def sidecar_configuration(node, pki, folder, port, source, **more):
    """`port` is the master's, `source` the keys of that section."""
    return configuration(node, pki, folder,
                         {"master": {"address": f"127.0.0.1:{port}"}, "source": source, **more})


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
            print(f"{self.name} did not end within {seconds} s of SIGTERM; killed",
                  file=sys.stderr)
            self.kill()


class Http:
    """GET of one daemon's pages. One thread per object. `token`: the file of one that asks for it."""

    def __init__(self, daemon, token=None):
        self.daemon = daemon
        self.token = token

    @property
    def url(self):
        return f"http://127.0.0.1:{self.daemon.port('inspect')}"

    def get(self, path):
        """The JSON of a page, None if there is no such thing (404)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port("inspect"),
                                                timeout=10)
        try:
            secret = self.token and self.token.read_text().strip()
            connection.request("GET", path,
                               headers={"Authorization": f"Bearer {secret}"} if secret else {})
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


class Daemons:
    """Some daemons and a CA in a folder of their own. Everything ends with close()."""

    def __init__(self, programs, prefix):
        for program in programs.values():
            if not os.access(program, os.X_OK):
                raise Failure(f"{program} is not there; build it first (packaging/quickstart does)")
        self.programs = programs
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
        self.pki = self.folder / "pki"
        self.daemons = {}
        self.http = {}
        self.relays = {}
        self.agents = None  # who plays them, if anybody does

    def close(self, seconds=5, complain=None):
        """Gives those that ended with another status than 0 to `complain`."""
        if self.agents is not None:
            self.agents.close()
        for daemon in reversed(self.daemons.values()):
            daemon.end()
        for daemon in self.daemons.values():
            daemon.ended(seconds)
            if complain and daemon.process is not None and daemon.process.returncode != 0:
                complain(daemon)
        for relay in self.relays.values():
            relay.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def tool(self, *arguments):
        done = subprocess.run([self.programs["rollcall"], *arguments], capture_output=True,
                              text=True, check=False, timeout=60)
        if done.returncode != 0:
            raise Failure(f"rollcall {' '.join(map(str, arguments))} failed:\n"
                          f"{done.stdout}{done.stderr}")

    def issue(self, cluster, nodes):
        self.tool("pki", "init", "--dir", self.pki, "--cluster", cluster)
        for node in nodes:
            self.tool("pki", "issue", node, "--dir", self.pki)

    # What can be started: each of these returns its Daemon.

    def add_master(self, configuration):
        return self._configured("master", "rollcall-master", configuration, " ready ")

    def add_sidecar(self, node, configuration):
        return self._configured(node, "rollcalld", configuration, " started ")

    def add_standin(self, worker, home, seconds, *more):
        """For wazuh-db, in this home; it ends by itself after so many seconds. `more`: further
        arguments of the program."""
        path = socket_in(home)
        if len(str(path)) > LONGEST_SOCKET_PATH:
            raise Failure(f"the temporary folder's name is too long for a socket: {self.folder}; "
                          "set TMPDIR to a shorter one")
        path.parent.mkdir(parents=True)
        return self._add(f"{worker}-wazuhdb", [self.programs["standin-wazuhdb"], "--socket", path,
                                               "--max-seconds", seconds, *more],
                         "listening on ")

    def _configured(self, name, program, configuration, ready):
        ini = self.folder / f"{name}.ini"
        ini.write_text(configuration)
        daemon = self._add(name, [self.programs[program], "--config", ini], ready)
        self.http[name] = Http(daemon)
        return daemon

    def _add(self, name, arguments, ready):
        self.daemons[name] = Daemon(name, arguments, self.folder / f"{name}.log", ready)
        return self.daemons[name]

    # What they say.

    def check(self):
        for daemon in self.daemons.values():
            daemon.check()
        if self.agents is not None and self.agents.error is not None:
            raise Failure(f"the agents cannot be played any more: {self.agents.error}")

    def until(self, what, fact, seconds=STEP_WITHIN_S):
        """Asks until `fact` is true, and returns what it said."""
        deadline = time.monotonic() + seconds
        while True:
            self.check()
            if result := fact():
                return result
            if time.monotonic() > deadline:
                tails = "\n".join(daemon.tail(8) for daemon in self.daemons.values())
                raise Failure(f"waited {seconds:.0f} s in vain: {what}\n{tails}")
            time.sleep(0.02)

    def streaming(self, worker):
        return self.http[worker].get("/status")["link"]["state"] == "streaming"

    def delivered(self, worker):
        """All that this sidecar had to say has been acked."""
        status = self.http[worker].get("/status")
        return status["link"]["state"] == "streaming" and not status["backlog"]["events"]

    def decisions(self, after=0):
        found = []
        while True:
            page = self.http["master"].get(f"/decisions?after={after}&limit=1000")["decisions"]
            if not page:
                return found
            found += page
            after = page[-1]["number"]
