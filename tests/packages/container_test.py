#!/usr/bin/env python3
"""The life of an installation in a Debian with systemd: the older packages, Wazuh, certificates, agents,
a crash, a loop that is stuck, an upgrade, the end. And the .rpm in a root of their own. As root; run by
tests/packages/run, which says in BASE where the Debian is, and in PACKAGES and OLDER the packages.
"""

import json
import os
import pathlib
import shutil
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "packaging"), str(ROOT / "tests" / "support")]

from agents import Agents  # noqa: E402
from container import (APT, Debian, Failed, STANDIN, of_kind, run, start_remoted,  # noqa: E402
                       start_wazuh_db, until, wazuh_package)

BASE = pathlib.Path(os.environ["BASE"])
PACKAGES = pathlib.Path(os.environ["PACKAGES"])
OLDER = pathlib.Path(os.environ["OLDER"])
MASTER, SIDECAR = "rollcall-master.service", "rollcall-sidecar.service"
SERVICES = (MASTER, SIDECAR)
AGENTS = list(range(1, 9))


class Installation(unittest.TestCase):
    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="rc-ct-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.debian = Debian(BASE, self.work)
        self.addCleanup(self.debian.close)
        self.new, self.old = of_kind(PACKAGES, "deb"), of_kind(OLDER, "deb")
        self.wazuh = wazuh_package(self.work)
        self.debian.prepare([*self.new, *self.old, self.wazuh], "libsqlite3-0")
        shutil.copy(STANDIN, self.debian.root / "usr/local/bin")

    def test_lives(self):
        self.debian.boot()
        began = time.monotonic()
        for step in (self.is_installed_and_not_started, self.joins_wazuh_when_that_comes,
                     self.is_up_before_wazuh_and_says_what_it_waits_for, self.agents_flow,
                     self.agents_can_be_told_something, self.comes_back_after_kill_9,
                     self.comes_back_when_its_loop_is_stuck, self.is_upgraded_with_a_changed_ini,
                     self.is_removed_but_for_its_state, self.is_purged):
            print(f"  {step.__name__.replace('_', ' ')} (at {time.monotonic() - began:.0f} s)",
                  flush=True)
            with self.subTest(step=step.__name__):
                try:
                    step()
                except Exception:
                    for unit in SERVICES:
                        print(self.debian.journal(unit))
                    raise
            if self._outcome.result.failures or self._outcome.result.errors:
                return  # the next ones build on it

    def path(self, name):
        return self.debian.root / name.lstrip("/")

    def table(self):
        """{agent: its status and its node} as the tool shows the master's."""
        said = self.debian.run("rollcall", "agents", "--json", status=None)
        found = {}
        for page in said.splitlines():
            found.update({agent["id"]: (agent["status"], agent["node"])
                          for agent in json.loads(page)["agents"]})
        return found

    def until_the_table_is(self, expected):
        try:
            until("the master's table is right", lambda: self.table() == expected)
        except Failed as failed:
            raise Failed(f"{failed}: {self.table()} instead of {expected}") from None

    def until_restarted(self, unit, before):
        until(f"{unit} is back", lambda: self.debian.active(unit) and
              self.debian.shown(unit, "MainPID") not in ("0", before))

    # The steps.

    def is_installed_and_not_started(self):
        self.debian.install("libsqlite3-0", *(f"/packages/{deb.name}" for deb in self.old))
        for unit in SERVICES:
            self.assertEqual(self.debian.shown(unit, "ActiveState"), "inactive")
        self.assertEqual(self.debian.run("id", "-Gn", "rollcall"), "rollcall\n")

    def joins_wazuh_when_that_comes(self):
        self.debian.install(f"/packages/{self.wazuh.name}")
        self.assertEqual(self.debian.run("id", "-Gn", "rollcall"), "rollcall wazuh\n")

    def is_up_before_wazuh_and_says_what_it_waits_for(self):
        pki = ("rollcall", "pki")
        self.debian.run(*pki, "init", "--dir", "/etc/rollcall/pki", "--cluster", "test")
        for node, name in (("master", "master"), ("w1", "node")):
            self.debian.run(*pki, "issue", node, "--dir", "/etc/rollcall/pki")
            for end, mode in (("crt", "644"), ("key", "640")):
                self.debian.run("install", "-g", "rollcall", "-m", mode,
                                f"/etc/rollcall/pki/{node}.{end}", f"/etc/rollcall/{name}.{end}")
        self.debian.run("install", "-m", "644", "/etc/rollcall/pki/ca.crt", "/etc/rollcall/ca.crt")
        ini = self.path("/etc/rollcall/rollcall-sidecar.ini")
        ini.write_text(ini.read_text().replace("#name = worker-1", "name = w1")
                       .replace("#address = master.example.org", "address = 127.0.0.1")
                       .replace("poll = 1s", "poll = 200ms"))
        self.has_a_disk_before_its_state_is_there()
        for unit in SERVICES:
            self.debian.run("systemctl", "enable", "--now", unit)
        until("it says what it waits for", lambda: "not ready: the source was not looked at" in
              self.debian.shown(SIDECAR, "StatusText"))
        self.assertTrue(all(map(self.debian.active, SERVICES)))

    def has_a_disk_before_its_state_is_there(self):
        for line in self.debian.run("rollcall", "check", "--json", status=None).splitlines():
            found = json.loads(line)
            states = [each["state"] for each in found["checks"] if each["check"] == "disk"]
            self.assertIn("skipped", states, found)
            self.assertLessEqual(set(states), {"good", "skipped"}, found)

    def agents_flow(self):
        self.agents = Agents({"w1": start_wazuh_db(self.debian)})
        self.addCleanup(self.agents.close)
        self.agents.enroll(AGENTS)
        for agent in AGENTS:
            self.agents.connect(agent, "w1")
        self.right = {agent: ("active", "w1") for agent in AGENTS}
        self.until_the_table_is(self.right)
        until("systemd knows", lambda: self.debian.shown(SIDECAR, "StatusText") ==
              f"{len(AGENTS)} agents, 0 events to be acked")
        entry, = self.debian.run("journalctl", "-u", MASTER, "-o", "json", "ROLLCALL_NODE=w1",
                                 "ROLLCALL_EVENT=worker connected").splitlines()
        self.assertEqual(json.loads(entry)["PRIORITY"], "6")

    def agents_can_be_told_something(self):
        remoted = start_remoted(self.debian)
        self.addCleanup(remoted.close)
        self.debian.run("rollcall", "restart", "1", "--timeout", "5s", status=None)
        until("the datagram comes", lambda: any("restart" in text for text in remoted.texts))

    def comes_back_after_kill_9(self):
        for unit in SERVICES:
            before = self.debian.shown(unit, "MainPID")
            self.debian.end_processes_of(unit, "SIGKILL")
            self.until_restarted(unit, before)
        self.agents.goodbye(2)
        self.right[2] = ("disconnected", "w1")
        until("the news is told", lambda: self.table().get(2, ("",))[0] == "disconnected")
        self.assertEqual({a: s for a, s in self.table().items() if a != 2},
                         {a: s for a, s in self.right.items() if a != 2})

    def comes_back_when_its_loop_is_stuck(self):
        for unit in SERVICES:
            soon = self.path(f"/etc/systemd/system.control/{unit}.d/soon.conf")
            soon.parent.mkdir(parents=True, exist_ok=True)
            # A process that is stopped does not hear what ends one that is stuck.
            soon.write_text("[Service]\nWatchdogSec=3s\nTimeoutAbortSec=1s\n")
            self.debian.run("systemctl", "daemon-reload")
            self.debian.run("systemctl", "restart", unit)
            before = self.debian.shown(unit, "MainPID")
            self.debian.end_processes_of(unit, "SIGSTOP")
            self.until_restarted(unit, before)
            self.assertIn("watchdog", self.debian.journal(unit).lower())
            shutil.rmtree(soon.parent)
            self.debian.run("systemctl", "daemon-reload")

    def is_upgraded_with_a_changed_ini(self):
        before = {unit: self.debian.shown(unit, "MainPID") for unit in SERVICES}
        changed = self.path("/etc/rollcall/rollcall-sidecar.ini").read_text()
        self.assertIn("an older default", self.path("/etc/rollcall/rollcall-master.ini").read_text())
        self.debian.install(*(f"/packages/{deb.name}" for deb in self.new))
        for unit in SERVICES:
            self.until_restarted(unit, before[unit])
        kept = self.path("/etc/rollcall/rollcall-sidecar.ini")
        self.assertEqual(kept.read_text(), changed)
        for fresh in (kept.with_name(kept.name + ".dpkg-dist"),
                      self.path("/etc/rollcall/rollcall-master.ini")):
            self.assertEqual(fresh.read_text(),
                             (ROOT / "packaging" / fresh.name.replace(".dpkg-dist", "")).read_text())
        self.agents.connect(2, "w1")
        self.right[2] = ("active", "w1")
        self.until_the_table_is(self.right)

    def is_removed_but_for_its_state(self):
        self.debian.run(*APT, "remove", "rollcall-sidecar", "rollcall-master")
        for unit in SERVICES:
            self.assertEqual(self.debian.shown(unit, "ActiveState"), "inactive")
        for name in ("sidecar", "master"):
            self.assertFalse(self.path(f"/usr/lib/systemd/system/rollcall-{name}.service").exists())
            self.assertTrue(self.path(f"/etc/rollcall/rollcall-{name}.ini").exists())
            self.assertTrue(any(self.path(f"/var/lib/rollcall/{name}").iterdir()))

    def is_purged(self):
        self.debian.run(*APT, "purge", "rollcall-sidecar", "rollcall-master")
        self.assertFalse(self.path("/var/lib/rollcall").exists())
        self.assertEqual({file.name for file in self.path("/etc/rollcall").iterdir()},
                         {"pki", "ca.crt", "node.crt", "node.key", "master.crt", "master.key"})
        self.assertEqual(list(self.path("/etc/systemd").rglob("rollcall-*")), [])


class Rpm(unittest.TestCase):
    """In a root whose libraries are Debian's; that those of RHEL 9 do, quick_test.py reads from the files."""

    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="rc-rpm-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.root = self.work / "root"
        run("cp", "-a", "--reflink=auto", BASE, self.root)
        self.new, self.old = of_kind(PACKAGES, "rpm"), of_kind(OLDER, "rpm")

    def rpm(self, *arguments, **more):
        # What they depend on is there as .deb only.
        return run("rpm", "--force-debian", "--root", self.root, *arguments, **more)

    def test_is_installed_verified_upgraded_and_erased(self):
        ini = self.root / "etc/rollcall/rollcall-sidecar.ini"
        run("chroot", self.root, "groupadd", "--system", "wazuh")
        self.rpm("--install", "--nodeps", *self.old)
        self.assertEqual(run("chroot", self.root, "id", "-Gn", "rollcall").split(), ["rollcall", "wazuh"])
        self.assertEqual(self.rpm("--verify", "--nodeps", "rollcall-sidecar", "rollcall-master"), "")
        changed = ini.read_text() + "# changed\n"
        ini.write_text(changed)

        self.rpm("--upgrade", "--nodeps", *self.new)
        self.assertEqual(ini.read_text(), changed)
        default = (ROOT / "packaging/rollcall-sidecar.ini").read_text()
        self.assertEqual(ini.with_name(ini.name + ".rpmnew").read_text(), default)
        self.assertRegex(self.rpm("--verify", "--nodeps", "rollcall-sidecar", "rollcall-master",
                                  "rollcall-cli", status=None),
                         r"^S\.5\S* +c /etc/rollcall/rollcall-sidecar\.ini\n$")
        for program in ("rollcall", "rollcalld", "rollcall-master"):
            self.assertIn(program, run("chroot", self.root, program, "--version"))

        state = self.root / "var/lib/rollcall/sidecar/data.mdb"
        state.parent.mkdir(parents=True)
        state.write_text("state")
        self.rpm("--erase", "rollcall-sidecar", "rollcall-master", "rollcall-cli")
        self.assertEqual(ini.with_name(ini.name + ".rpmsave").read_text(), changed)
        self.assertEqual(state.read_text(), "state")
        self.assertFalse((self.root / "usr/sbin/rollcalld").exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
