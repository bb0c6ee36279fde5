"""A disk that can be filled. Only root may mount one, so a test that asks for it may be skipped."""

import os
import pathlib
import subprocess
import tempfile


def small_disk(test, size):
    """Its folder, until the test ends."""
    if os.geteuid() != 0:
        test.skipTest("only root may mount a small disk")
    folder = tempfile.TemporaryDirectory(prefix="rc-disk-")
    test.addCleanup(folder.cleanup)
    disk = pathlib.Path(folder.name) / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        test.skipTest(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    test.addCleanup(subprocess.run, ["umount", "-l", disk], check=False)
    return disk


def fill(disk):
    """Up to the last page; whoever removes the file that is returned makes room again."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\1" * 4096)
        except OSError:
            pass
    return ballast
