#!/usr/bin/env python3
"""A new user's path: the commands under "First steps" in docs/operations.md, as they stand there, typed on
one of three fresh Debians with systemd, until a master and two workers agree. As root; run by
tests/packages/run, which says in BASE where the Debian is, and in PACKAGES the packages.

What is there before the first of them, as the document asks for it: the packages in root's home, names in
/etc/hosts, root's key for ssh on the workers, and Wazuh there, of which stand-ins for wazuh-db and remoted
play the part that counts. What the packages depend on is in apt's cache, since the three have no other
network.
"""

import json
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "packaging"), str(ROOT / "tests" / "support")]

from agents import Agents  # noqa: E402
from container import (APT, Debian, Network, STANDIN, of_kind, start_remoted, start_wazuh_db,  # noqa: E402
                       until, wazuh_package)

BASE = pathlib.Path(os.environ["BASE"])
PACKAGES = pathlib.Path(os.environ["PACKAGES"])
DOCUMENT = ROOT / "docs" / "operations.md"
WORKERS = ("worker-1", "worker-2")
MACHINES = ("master", *WORKERS)
AT_MOST = 12
AGENTS = {"worker-1": [1, 2, 3, 4], "worker-2": [5, 6, 7, 8]}


def commands_of(text):
    """A line of its fenced blocks is a command; one that ends with a backslash goes on in the next."""
    section = re.search(r"^## First steps\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)[1]
    blocks = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]


class FirstSteps(unittest.TestCase):
    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="rc-first-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.commands = commands_of(DOCUMENT.read_text())
        self.network = Network("rc-first", MACHINES)
        self.addCleanup(self.network.close)
        fresh = self.fresh()
        self.machines = {name: self.machine(name, fresh) for name in MACHINES}
        for debian in self.machines.values():
            debian.boot()
        for name in WORKERS:
            self.addCleanup(start_remoted(self.machines[name]).close)
        self.agents = Agents({name: start_wazuh_db(self.machines[name]) for name in WORKERS})
        self.addCleanup(self.agents.close)
        self.agents.enroll([agent for agents in AGENTS.values() for agent in agents])
        for worker, agents in AGENTS.items():
            for agent in agents:
                self.agents.connect(agent, worker)

    def fresh(self):
        """What the three have in common."""
        debian = Debian(BASE, self.work / "fresh")
        debs = of_kind(PACKAGES, "deb")
        debian.prepare(debs)
        refuse = debian.root / "usr/sbin/policy-rc.d"
        refuse.write_text("#!/bin/sh\nexit 101\n")
        refuse.chmod(0o755)
        debian.chroot(*APT, "install", "--no-install-recommends", "openssh-server", "libsqlite3-0")
        refuse.unlink()
        ssh = debian.root / "root/.ssh"
        ssh.mkdir(mode=0o700, exist_ok=True)
        debian.chroot("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/.ssh/id_ed25519")
        shutil.copy(ssh / "id_ed25519.pub", ssh / "authorized_keys")
        (ssh / "config").write_text("StrictHostKeyChecking accept-new\n")
        (debian.root / "etc/hosts").write_text("127.0.0.1 localhost\n" + self.network.hosts())
        shutil.rmtree(debian.root / "packages")
        return debian.root, debs

    def machine(self, name, fresh):
        root, debs = fresh
        folder = self.work / name
        debian = Debian(root, folder, name=name, network=self.network.of(name))
        self.addCleanup(debian.close)
        if name == "master":
            for deb in debs:
                shutil.copy(deb, debian.root / "root")
        else:
            (debian.root / "root/.ssh/id_ed25519").unlink()
            wazuh = wazuh_package(folder)
            shutil.copy(wazuh, debian.root / "tmp")
            debian.chroot("dpkg", "-i", f"/tmp/{wazuh.name}")
            shutil.copy(STANDIN, debian.root / "usr/local/bin")
        return debian

    def typed(self, command, status=0):
        return self.machines["master"].run("env", "-C", "/root", "HOME=/root", "bash", "-c", command,
                                           status=status)

    def nodes(self):
        said = json.loads(self.typed("rollcall nodes --json", status=None) or "{}")
        return {node["node"]: (node["agreement"], node["open_sessions"]) for node in said.get("nodes", [])}

    def test_lead_to_a_master_and_two_workers_that_agree(self):
        self.assertLessEqual(len(self.commands), AT_MOST)
        began = time.monotonic()
        for command in self.commands:
            print(f"  at {time.monotonic() - began:4.1f} s: {command}", flush=True)
            said = self.typed(f"set -e; {command}")
        print(said)
        agreed = {worker: ("equal", len(agents)) for worker, agents in AGENTS.items()}
        try:
            until("both workers agree with the master", lambda: self.nodes() == agreed)
        except Exception:
            print(self.nodes(), *(debian.journal("rollcall-*") for debian in self.machines.values()),
                  sep="\n")
            raise
        print(f"  {len(self.commands)} commands, and after {time.monotonic() - began:.1f} s all agree",
              flush=True)
        shown = self.typed("rollcall nodes")
        for worker in WORKERS:
            self.assertRegex(shown, rf"{worker}.*equal")


if __name__ == "__main__":
    unittest.main(verbosity=2)
