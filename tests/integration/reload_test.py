#!/usr/bin/env python3
"""Certificates and configuration that change while the daemons run: what is good is taken without a
restart, what is bad changes nothing and is named, and a peer that counts no more is refused."""

import os
import signal
import subprocess
import unittest

from cluster import Cluster


class ReloadTest(unittest.TestCase):
    """One cluster for the tests of a class: each leaves it as it found it."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(workers=("w1", "w2"))
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.begin()

    def setUp(self):
        self.marks = {name: self.cluster.mark(name) for name in ("master", "w1", "w2")}
        self.addCleanup(self.until_streaming, "w1", "w2")

    # What is done.

    def pki(self, *arguments):
        self.cluster.tool("pki", *arguments, "--dir", self.cluster.pki)

    def hup(self, name):
        os.kill(self.cluster.daemons[name].process.pid, signal.SIGHUP)

    def hup_until(self, name, result):
        """SIGHUP, until the files were read once more, with that result: `done` or `failed`."""
        before = self.reload(name)[result]
        self.hup(name)
        self.cluster.until(f"a reload of {name} is {result}",
                           lambda: self.reload(name)[result] > before)

    def change(self, name, old, new):
        """In the daemon's ini file, as an editor writes it, until the end of the test."""
        ini = self.cluster.folder / f"{name}.ini"
        text = ini.read_text()
        self.assertIn(old, text)
        self.addCleanup(self.hup_until, name, "done")
        self.addCleanup(ini.write_text, text)
        ini.write_text(text.replace(old, new))

    # What is seen.

    def status(self, name):
        return self.cluster.http[name].get("/status")

    def reload(self, name):
        return self.status(name)["reload"]

    def log_level(self, name):
        return self.cluster.http[name].get("/log")["level"]

    def looks(self, name):
        return self.status(name)["source"]["looks"]

    def serial(self, name):
        return self.status(name)["certificates"][0]["serial"]

    def said(self, name, text):
        return any(text in line for line in self.cluster.said_since(name, self.marks[name]))

    def until_said(self, name, text):
        self.cluster.until(f"{name} says {text!r}", lambda: self.said(name, text))

    def until_streaming(self, *workers):
        for worker in workers:
            self.cluster.until(f"{worker} is connected", lambda w=worker: self.cluster.streaming(w))


class Configuration(ReloadTest):
    def test_sighup_takes_intervals_and_the_level_of_the_log(self):
        self.assertEqual(self.log_level("w1"), "info")
        self.change("w1", "poll = 100ms", "poll = 1m\n[log]\nlevel = debug\n[source]")
        self.hup_until("w1", "done")
        self.assertEqual(self.reload("w1")["needs_restart"], [])
        self.assertEqual(self.log_level("w1"), "debug")
        # The other worker is the clock: it looks as often as before.
        before = self.looks("w1"), self.looks("w2")
        self.cluster.until("w2 has looked 20 times", lambda: self.looks("w2") >= before[1] + 20)
        self.assertLessEqual(self.looks("w1") - before[0], 2)
        self.assertTrue(self.cluster.streaming("w1"))

    def test_a_changed_ini_file_is_taken_without_a_signal(self):
        self.change("w2", "poll = 100ms", "poll = 100ms\n[log]\nlevel = debug\n[source]")
        self.cluster.until("w2 has read it", lambda: self.log_level("w2") == "debug")
        self.assertEqual(self.reload("w2")["needs_restart"], [])
        self.assertIsNone(self.reload("w2")["error"])

    def test_times_of_the_master_reach_the_workers(self):
        self.change("master", "ttl = 3s", "ttl = 4s")
        self.hup_until("master", "done")
        self.until_said("w1", "connection to the master closed")
        self.until_streaming("w1", "w2")

    def test_what_needs_a_restart_is_named(self):
        self.change("w1", "[store]\n", "[store]\nmax_events = 5000\n")
        self.hup_until("w1", "done")
        self.until_said("w1", "needs a restart")
        self.assertEqual(self.reload("w1")["needs_restart"], ["[store] max_events"])

    def test_a_bad_file_changes_nothing_and_is_named_with_its_line(self):
        self.change("w1", "poll = 100ms", "poll = soon\n[log]\nlevel = debug\n[source]")
        self.hup_until("w1", "failed")
        self.until_said("w1", "everything stays as it was")
        self.assertRegex(self.reload("w1")["error"], r"w1\.ini:\d+: \[source\] poll")
        self.assertEqual(self.log_level("w1"), "info")
        self.assertTrue(self.cluster.streaming("w1"))

    def test_a_storm_of_sighups_is_lived_through(self):
        before = {name: self.reload(name)["done"] for name in ("master", "w1")}
        for _ in range(3000):
            self.hup("master")
            self.hup("w1")
        for name, done in before.items():
            self.cluster.until(f"{name} has read its files",
                               lambda n=name, d=done: self.reload(n)["done"] > d)
        self.until_streaming("w1", "w2")
        self.assertFalse(self.said("w1", "connection to the master closed"))


class Certificates(ReloadTest):
    def test_status_shows_every_certificate_with_the_days_that_are_left(self):
        for name, files in (("master", 2), ("w1", 2)):
            certificates = self.status(name)["certificates"]
            self.assertEqual(len(certificates), files)
            self.assertIn(f"CN = {name}", certificates[0]["subject"])
            self.assertIn(certificates[0]["days_left"], (824, 825))
            self.assertTrue(certificates[0]["file"].endswith(f"{name}.crt"))

    def test_a_renewed_certificate_is_taken_when_its_files_are_there(self):
        before = self.serial("w1")
        self.pki("renew", "w1")
        self.cluster.until("w1 has its new certificate", lambda: self.serial("w1") != before)
        self.until_said("w1", "this node has a new certificate")
        self.until_streaming("w1")
        self.assertTrue(self.cluster.streaming("w2"))

    def test_half_a_certificate_and_a_key_that_does_not_fit_change_nothing(self):
        serial = self.serial("master")
        certificate = self.cluster.pki / "master.crt"
        key = self.cluster.pki / "master.key"
        good = certificate.read_text(), key.read_text()
        certificate.write_text(good[0][:200])
        self.hup_until("master", "failed")
        self.assertIn("master.crt", self.reload("master")["error"])
        certificate.write_text(good[0])
        key.write_text((self.cluster.pki / "w1.key").read_text())
        self.hup_until("master", "failed")
        self.assertIn("does not belong", self.reload("master")["error"])
        self.until_said("master", "everything stays as it was")
        key.write_text(good[1])
        self.hup_until("master", "done")
        self.assertIsNone(self.reload("master")["error"])
        self.assertEqual(self.serial("master"), serial)
        self.until_streaming("w1", "w2")

    def test_a_revoked_worker_is_cut_off_and_refused_and_comes_back_with_a_new_certificate(self):
        self.pki("revoke", "w1")
        self.until_said("master", "a worker's connection is ended")
        self.until_said("master", "is revoked (serial ")
        self.until_said("w1", "the peer refused our certificate: it is revoked")
        self.assertTrue(self.cluster.streaming("w2"))
        self.pki("renew", "w1")
        self.until_streaming("w1")

    def test_a_revoked_master_is_refused_by_the_workers(self):
        self.pki("revoke", "master")
        self.until_said("w1", "is revoked (serial ")
        self.pki("renew", "master")
        self.until_streaming("w1", "w2")

    def test_a_change_of_the_ca_while_all_of_them_run(self):
        self.pki("issue", "stolen")
        self.pki("revoke", "stolen")
        refused = {name: self.reload(name)["failed"] for name in ("master", "w1", "w2")}
        self.pki("change-ca")
        self.cluster.until("both know both", lambda: all(
            len(self.status(name)["certificates"]) == 3 for name in ("master", "w1", "w2")))
        for name in ("w1", "master", "w2"):
            before = self.serial(name)
            self.pki("renew", name)
            self.cluster.until(f"{name} has its new certificate",
                               lambda n=name, b=before: self.serial(n) != b)
            self.until_streaming("w1", "w2")
        self.pki("change-ca", "--finish")
        self.cluster.until("all know one", lambda: all(
            len(self.status(name)["certificates"]) == 2 for name in ("master", "w1", "w2")))
        self.until_streaming("w1", "w2")
        for name, failed in refused.items():
            self.assertEqual(self.reload(name)["failed"], failed, name)

    def test_an_expired_certificate_is_said_loudly_and_mended_without_a_restart(self):
        self.cluster.kill("w1")
        expired = self.cluster.folder / "expired.crt"
        request = self.cluster.folder / "expired.csr"
        for arguments in (
                ("req", "-new", "-key", self.cluster.pki / "w1.key", "-subj", "/CN=w1",
                 "-addext", "subjectAltName=DNS:w1", "-out", request),
                ("x509", "-req", "-in", request, "-CA", self.cluster.pki / "ca.crt", "-CAkey",
                 self.cluster.pki / "ca.key", "-days", "0", "-copy_extensions", "copyall",
                 "-out", expired)):
            subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=30)
        good = (self.cluster.pki / "w1.crt").read_text()
        (self.cluster.pki / "w1.crt").write_text(expired.read_text())
        self.cluster.start("w1")
        self.until_said("w1", "a certificate has expired")
        self.until_said("w1", "the peer refused our certificate: it has expired")
        self.assertLess(self.status("w1")["certificates"][0]["days_left"], 0)
        (self.cluster.pki / "w1.crt").write_text(good)
        self.until_streaming("w1")


if __name__ == "__main__":
    unittest.main()
