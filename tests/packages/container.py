"""A Debian 12 of its own, with systemd as its first process: what container_test.py installs packages in.

    debian = Debian(base, work)        # base: what debootstrap made; it is copied
    debian.prepare(debs)               # has what they depend on fetched
    debian.boot()
    debian.run("apt-get", "install", ...)
    debian.close()

As root only. It has no network but its own loopback.
"""

import pathlib
import shutil
import subprocess
import time

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


class Debian:
    def __init__(self, base, work):
        self.work = pathlib.Path(work)
        self.root = self.work / "root"
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
        self._nspawn = subprocess.Popen(
            ["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit",
             "--private-network", "--console=pipe", f"--directory={self.root}"],
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
        shutil.rmtree(self.root, ignore_errors=True)
