#!/usr/bin/env python3
"""Disks that are lost, older than they were, torn or damaged: either it is noticed and everything is
told anew until the table is right, or the daemon refuses to start and says where."""

import ctypes
import ctypes.util
import shutil
import struct
import subprocess
import time
import unittest

from cluster import Cluster
from wire import FRAME_HEADER_BYTES, FRAME_MARKER, SEGMENT_HEADER_BYTES, Term, log_records, segments

AGENTS = list(range(1, 31))
WORKERS = ("w1", "w2")


class Restore(unittest.TestCase):
    def setUp(self):
        # Small segments, so that there is a middle.
        self.cluster = Cluster(master_store={"segment": "64KiB"})
        self.addCleanup(self.cluster.close)
        self.agents = self.cluster.begin().agents
        self.agents.enroll(AGENTS)
        for id in AGENTS:
            self.agents.connect(id, WORKERS[id % 2])
        self.cluster.until_right()
        self.before = self.cluster.status("master")

    def moves(self):
        before = {id: worker for id, worker in self.agents.where.items() if worker}
        for id in before:
            self.agents.goodbye(id)
        for id, worker in before.items():
            if id % 5:
                self.agents.connect(id, "w1" if worker == "w2" else "w2")

    def copy_of(self, name):
        copy = self.cluster.folder / f"{name}-copy"
        shutil.copytree(self.cluster.stores[name], copy)
        return copy

    def put_back(self, copy, name):
        shutil.rmtree(self.cluster.stores[name])
        shutil.copytree(copy, self.cluster.stores[name])

    def empty(self, name):
        shutil.rmtree(self.cluster.stores[name])
        self.cluster.stores[name].mkdir()

    def said(self, name, sign, mark=0):
        return [line for line in self.cluster.said_since(name, mark) if sign in line]

    def assert_new_term(self, cause):
        now = self.cluster.status("master")
        self.assertEqual(now["master"], self.before["master"])
        self.assertNotEqual(now["term"], self.before["term"])
        causes = [record.cause for record in log_records(self.cluster.stores["master"])
                  if isinstance(record, Term)]
        self.assertRegex(causes[-1], cause)

    # The master's log.

    def test_an_empty_log_is_another_master_and_is_told_everything(self):
        self.cluster.stop("master")
        self.moves()
        self.empty("master")
        self.cluster.start("master")
        self.cluster.until_right()
        now = self.cluster.status("master")
        self.assertNotEqual(now["master"], self.before["master"])
        self.assertNotEqual(now["term"], self.before["term"])
        for worker in WORKERS:
            self.assertEqual(len(self.said(worker, "another master")), 1)
        for id, agent in self.cluster.table().items():
            if agent["status"] == "active":
                self.assertTrue(agent["info_complete"], id)

    def test_an_older_copy_of_the_log_begins_a_new_term(self):
        self.cluster.stop("master")
        copy = self.copy_of("master")
        self.cluster.start("master")
        self.moves()
        self.cluster.until_right()
        self.cluster.stop("master")
        self.put_back(copy, "master")
        self.cluster.start("master")
        self.cluster.until("the sidecars are back", lambda: all(
            self.cluster.streaming(worker) for worker in WORKERS))
        self.cluster.until_right()
        self.assert_new_term("acked more than this log has: an older copy")

    def test_an_older_copy_of_the_log_and_sidecars_that_restarted(self):
        self.cluster.stop("master")
        copy = self.copy_of("master")
        self.cluster.start("master")
        self.moves()
        self.cluster.until_right()
        for name in ("master", *WORKERS):
            self.cluster.stop(name)
        self.put_back(copy, "master")
        for name in ("master", *WORKERS):
            self.cluster.start(name)
        self.cluster.until_right()
        self.assert_new_term("older copy")

    def newest_with_frames(self):
        return [s for s in segments(self.cluster.stores["master"])
                if s.stat().st_size > SEGMENT_HEADER_BYTES][-1]

    def test_a_torn_end_is_cut_off_and_begins_a_new_term(self):
        self.moves()
        self.cluster.until_right()
        self.cluster.stop("master")
        segment = self.newest_with_frames()
        with segment.open("r+b") as file:
            file.truncate(segment.stat().st_size - 5)
        mark = self.cluster.mark("master")
        self.cluster.start("master")
        self.cluster.until_right()
        (line,) = self.said("master", "the log was repaired", mark)
        self.assertIn(segment.name, line)
        self.assertRegex(line, r"at byte \d+")
        self.assert_new_term("the end of the log was torn")
        # Once: the next start finds nothing torn.
        term = self.cluster.status("master")["term"]
        self.cluster.stop("master")
        mark = self.cluster.mark("master")
        self.cluster.start("master")
        self.cluster.until_right()
        self.assertEqual(self.cluster.status("master")["term"], term)
        self.assertEqual(self.said("master", "repaired", mark), [])

    def test_a_start_that_is_killed_after_the_repair_still_begins_a_new_term(self):
        self.moves()
        self.cluster.until_right()
        self.cluster.stop("master")
        segment = self.newest_with_frames()
        with segment.open("r+b") as file:
            file.truncate(segment.stat().st_size - 5)
        # Killed at once, mostly before it has appended anything.
        process = subprocess.Popen(self.cluster.daemons["master"].arguments,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        marker = self.cluster.stores["master"] / "tail-dropped"
        while not marker.exists() and process.poll() is None and time.monotonic() < deadline:
            pass
        process.kill()
        process.wait()
        self.cluster.start("master")
        self.cluster.until_right()
        self.assert_new_term("the end of the log was torn")

    def test_a_flipped_byte_in_an_old_segment_is_refused_with_file_and_offset(self):
        for _ in range(30):
            if len(segments(self.cluster.stores["master"])) > 1:
                break
            self.moves_of_labels()
        self.cluster.until_right()
        self.cluster.stop("master")
        old, *newer = segments(self.cluster.stores["master"])
        self.assertTrue(newer)
        data = bytearray(old.read_bytes())
        at = data.index(FRAME_MARKER, len(data) // 2)  # a frame somewhere in the middle
        data[at + FRAME_HEADER_BYTES + 3] ^= 0x10
        old.write_bytes(data)
        said = self.cluster.refuses_to_start("master")
        self.assertEqual(len(said.splitlines()), 1, said)
        self.assertIn(str(old), said)
        self.assertRegex(said, rf"\b{at}\b")
        self.assertEqual(old.read_bytes(), data)  # nothing was changed
        data[at + FRAME_HEADER_BYTES + 3] ^= 0x10
        old.write_bytes(data)
        self.cluster.start("master")
        self.cluster.until_right()

    def moves_of_labels(self):
        """Much to write for the master: other fields of all agents that are connected."""
        self.serial = getattr(self, "serial", 0) + 1
        for id in AGENTS:
            self.agents.goodbye(id)
        time.sleep(0.3)
        for id in AGENTS:
            self.agents.connect(id, WORKERS[id % 2],
                                labels={f"l{n}": f"{self.serial}-{id}-" + "x" * 60
                                        for n in range(12)})
        self.cluster.until("it is told", self.cluster.quiet)

    def test_a_log_of_a_newer_format_is_refused(self):
        self.cluster.stop("master")
        segment = segments(self.cluster.stores["master"])[0]
        data = bytearray(segment.read_bytes())
        data[8:12] = struct.pack("<I", 2)
        data[16:32] = b"9.8.7".ljust(16, b"\0")
        data[56:64] = struct.pack("<Q", xxh3(bytes(data[:56])))
        segment.write_bytes(data)
        said = self.cluster.refuses_to_start("master")
        self.assertEqual(len(said.splitlines()), 1, said)
        self.assertRegex(said, r"format 2.*9\.8\.7|9\.8\.7.*format 2")
        self.assertIn(str(segment), said)
        self.assertEqual(segment.read_bytes(), data)

    # A sidecar's store.

    def test_a_sidecar_without_its_store_takes_up_what_wazuh_knows(self):
        self.cluster.stop("w1")
        self.moves()
        self.empty("w1")
        self.cluster.start("w1")
        self.cluster.until_right()

    def test_an_older_copy_of_a_sidecar_s_store_is_noticed(self):
        self.cluster.stop("w1")
        copy = self.copy_of("w1")
        self.cluster.start("w1")
        self.moves()
        self.cluster.until_right()
        self.cluster.stop("w1")
        self.moves()
        self.put_back(copy, "w1")
        mark = self.cluster.mark("master")
        self.cluster.start("w1")
        self.cluster.until_right()
        (line,) = self.said("master", "store is an older copy", mark)
        self.assertIn("node=w1", line)

    def test_both_sides_from_older_copies(self):
        for name in ("w1", "master"):
            self.cluster.stop(name)
        copies = {name: self.copy_of(name) for name in ("w1", "master")}
        for name in ("master", "w1"):
            self.cluster.start(name)
        self.moves()
        self.cluster.until_right()
        for name in ("w1", "master"):
            self.cluster.stop(name)
            self.put_back(copies[name], name)
        for name in ("master", "w1"):
            self.cluster.start(name)
        self.cluster.until_right()

    def test_a_store_of_a_newer_format_is_refused(self):
        self.cluster.stop("w1")
        path = self.cluster.stores["w1"] / "data.mdb"
        data = path.read_bytes()
        newer = data.replace(b"number1", b"number2").replace(b"oldest program0.1.0",
                                                             b"oldest program9.8.7")
        self.assertNotEqual(newer, data)
        path.write_bytes(newer)
        said = self.cluster.refuses_to_start("w1")
        self.assertEqual(len(said.splitlines()), 1, said)
        self.assertRegex(said, r"format 2.*9\.8\.7|9\.8\.7.*format 2")
        self.assertIn(str(self.cluster.stores["w1"]), said)
        self.assertEqual(path.read_bytes(), newer)

    def test_a_damaged_store_is_refused(self):
        self.cluster.stop("w1")
        path = self.cluster.stores["w1"] / "data.mdb"
        data = path.read_bytes()
        path.write_bytes(data[:len(data) // 2])
        said = self.cluster.refuses_to_start("w1")
        self.assertEqual(len(said.splitlines()), 1, said)
        self.assertIn(str(self.cluster.stores["w1"]), said)
        path.write_bytes(data)
        self.cluster.start("w1")
        self.cluster.until_right()


def xxh3(data):
    """XXH3-64, by the library that the daemons are built with."""
    library = ctypes.util.find_library("xxhash")
    if library is None:
        raise unittest.SkipTest("libxxhash is not there")
    function = ctypes.CDLL(library).XXH3_64bits
    function.argtypes = (ctypes.c_char_p, ctypes.c_size_t)
    function.restype = ctypes.c_uint64
    return function(data, len(data))


if __name__ == "__main__":
    unittest.main()
