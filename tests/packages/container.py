"""A Debian 12 of its own, with systemd as its first process: what packages are installed in.

    debian = Debian(base, work)        # base: what debootstrap made; it is copied
    debian.prepare(debs)               # has what they depend on fetched
    debian.boot()
    debian.run("apt-get", "install", ...)
    debian.close()

As root only. It has no network but its own loopback, unless systemd-nspawn is told of another.
"""

import os
import pathlib
import shutil
import subprocess
import time

from daemons import socket_in
from remoted import Remoted, agent_socket_in

STANDIN = pathlib.Path(__file__).resolve().parents[2] / "build/release/tests/support/standin-wazuhdb"
WITHIN_S = 120.0
APT = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y", "-o", "Dpkg::Use-Pty=0")


class Failed(AssertionError):
    """Names the command and what it said."""


def run(*command, status=0, **more):
    """What it says; fails if it ends with another status. None: any."""
    command = [str(part) for part in command]
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=600, **more)
    if status is not None and done.returncode != status:
        raise Failed(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def until(what, fact, seconds=WITHIN_S):
    deadline = time.monotonic() + seconds
    while True:
        if result := fact():
            return result
        if time.monotonic() > deadline:
            raise Failed(f"waited {seconds:.0f} s in vain: {what}")
        time.sleep(0.1)


def of_kind(folder, kind):
    found = sorted(folder.glob(f"rollcall-*.{kind}"))
    assert len(found) == 3, f"three .{kind} should be in {folder}, not {found}"
    return found


def wazuh_package(folder):
    """What ours see of wazuh-manager's: its group and its home."""
    tree = folder / "wazuh-manager"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "var/ossec/bin").mkdir(parents=True)
    (tree / "var/ossec/bin/wazuh-control").write_text("#!/bin/sh\n")
    (tree / "DEBIAN/control").write_text(
        "Package: wazuh-manager\nVersion: 4.14.7-1\nArchitecture: all\nDepends: passwd\n"
        "Maintainer: nobody <root@localhost>\nDescription: a stand-in\n")
    postinst = tree / "DEBIAN/postinst"
    postinst.write_text(
        "#!/bin/sh\nset -e\ngetent group wazuh >/dev/null || groupadd --system wazuh\n"
        "id wazuh >/dev/null 2>&1 || useradd --system -g wazuh -d /var/ossec wazuh\n"
        "cd /var/ossec && mkdir -p queue/db queue/alerts etc && chown root:wazuh . etc && chmod 750 . etc\n"
        "chown -R wazuh:wazuh queue && chmod -R 750 queue\n")
    postinst.chmod(0o755)
    run("dpkg-deb", "--root-owner-group", "-b", tree, folder)
    return folder / "wazuh-manager_4.14.7-1_all.deb"


def start_wazuh_db(debian):
    """The stand-in, as Wazuh's user, in a Debian that has Wazuh's package; its socket."""
    debian.run("systemd-run", "--unit=wazuh-db", "-p", "User=wazuh", "-p", "UMask=0007",
               "/usr/local/bin/standin-wazuhdb", "--socket", "/var/ossec/queue/db/wdb",
               "--max-seconds", "3600")
    wdb = socket_in(debian.root / "var/ossec")
    until("the stand-in listens", wdb.exists)
    return wdb


def start_remoted(debian):
    """Who takes what agents are to be told, in such a Debian."""
    remoted = Remoted(debian.root / "var/ossec")
    where = agent_socket_in(pathlib.Path("/var/ossec"))
    debian.run("chown", "wazuh:wazuh", where)
    debian.run("chmod", "660", where)
    return remoted


class Network:
    """A wire between machines of these names, and nothing else on it."""

    def __init__(self, prefix, names):
        self._wire = f"{prefix}-wire"
        self._addresses = {name: f"10.71.0.{number}" for number, name in enumerate(names, 1)}
        self._namespaces = {name: f"{prefix}-{name}" for name in names}
        self.close()  # what an earlier one may have left behind
        run("ip", "netns", "add", self._wire)
        run("ip", "-n", self._wire, "link", "add", "wire", "type", "bridge")
        run("ip", "-n", self._wire, "link", "set", "wire", "up")
        for name, there in self._namespaces.items():
            run("ip", "netns", "add", there)
            run("ip", "-n", self._wire, "link", "add", "name", name, "type", "veth", "peer", "name", "eth0",
                "netns", there)
            run("ip", "-n", self._wire, "link", "set", "dev", name, "master", "wire", "up")
            run("ip", "-n", there, "address", "add", f"{self._addresses[name]}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                run("ip", "-n", there, "link", "set", device, "up")

    def hosts(self):
        return "".join(f"{address} {name}\n" for name, address in self._addresses.items())

    def of(self, name):
        """What tells systemd-nspawn of it."""
        return f"--network-namespace-path=/run/netns/{self._namespaces[name]}"

    def close(self):
        for namespace in (*self._namespaces.values(), self._wire):
            run("ip", "netns", "delete", namespace, status=None)


def control_groups(name):
    """Folders below this process's control groups: two systemd in the same one would take each other's
    services for their own."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        mounts = {"name=systemd": ["systemd"], "": ["unified", ""]}.get(controllers, [])
        for mount in (pathlib.Path("/sys/fs/cgroup", mount) for mount in mounts):
            if (mount / "cgroup.procs").exists():
                yield mount / path.lstrip("/") / f"rollcall-{os.getpid()}-{name}"
                break


class Debian:
    def __init__(self, base, work, name="root", network="--private-network"):
        self.work = pathlib.Path(work)
        self.root = self.work / "root"
        self._name, self._network = name, network
        self._groups = []
        self.work.mkdir(exist_ok=True)
        self._nspawn = None
        self._first = None  # its first process
        run("cp", "-a", "--reflink=auto", base, self.root)
        shutil.copy("/etc/resolv.conf", self.root / "etc/resolv.conf")

    def chroot(self, *command, **more):
        return run("chroot", self.root, *command, **more)

    def prepare(self, debs, *more):
        """`debs` will be in /packages, and what they and `more` depend on in apt's cache."""
        folder = self.root / "packages"
        folder.mkdir(exist_ok=True)
        for deb in debs:
            shutil.copy(deb, folder)
        self.chroot(*APT, "update")
        self.chroot(*APT, "install", "--no-install-recommends", "--download-only",
                    *(f"/packages/{deb.name}" for deb in debs), *more)

    def boot(self):
        log = (self.work / "console").open("wb")
        self._groups = list(control_groups(self._name))
        for group in self._groups:
            group.mkdir()
        self._nspawn = subprocess.Popen(
            ["sh", "-c", 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; exec "$@"',
             "sh", *map(str, self._groups), "--",
             "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit",
             f"--machine={self._name}", self._network, "--console=pipe", f"--directory={self.root}"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        pid = self._nspawn.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
        self._first = until("the container begins", lambda: self._alive() and
                            children.read_text().split())[0]
        until("systemd is up", lambda: self._alive() and self.run(
            "systemctl", "is-system-running", status=None).strip() in ("running", "degraded"))

    def _alive(self):
        if self._nspawn.poll() is not None:
            raise Failed("the container ended: " + (self.work / "console").read_text(errors="replace"))
        return True

    def run(self, *command, **more):
        return run("nsenter", "--target", self._first, "--mount", "--uts", "--ipc", "--net", "--pid",
                   "--cgroup", "--", *command, **more)

    def install(self, *packages):
        """From /packages and the cache, as an operator does who keeps what he changed."""
        self.run(*APT, "install", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold", *packages)

    # Its services.

    def shown(self, unit, key):
        return self.run("systemctl", "show", "--value", "-p", key, unit).strip()

    def active(self, unit):
        return self.shown(unit, "ActiveState") == "active"

    def end_processes_of(self, unit, signal):
        self.run("systemctl", "kill", f"--signal={signal}", "--kill-whom=main", unit)

    def journal(self, unit):
        return self.run("journalctl", "--no-pager", "-n", "30", "-u", unit)

    def close(self):
        if self._nspawn is not None:
            if self._nspawn.poll() is None:
                self.run("systemctl", "--no-block", "poweroff", status=None)
            try:
                self._nspawn.wait(60)
            except subprocess.TimeoutExpired:
                self._nspawn.kill()
                self._nspawn.wait()
        for group in self._groups:
            for folder, _, _ in os.walk(group, topdown=False):
                os.rmdir(folder)
        shutil.rmtree(self.root, ignore_errors=True)
