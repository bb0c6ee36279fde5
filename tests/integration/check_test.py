#!/usr/bin/env python3
"""rollcall check with real daemons: what is wrong is said with the command that mends it; rollcall
support: what is packed can be unpacked, and holds no secrets."""

import json
import socket
import subprocess
import tarfile
import unittest

from cluster import PROGRAMS, Cluster
from terminal import Terminal


class Quiet(Cluster):
    def source_of(self, worker):
        return {**super().source_of(worker), "agent_socket": "none"}


class Check(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Quiet(workers=("w1",))
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.begin()

    def setUp(self):
        self.ini = self.cluster.folder / "w1.ini"
        self.pki = self.cluster.pki
        good = {path: (path.read_bytes(), path.stat().st_mode & 0o777)
                for path in (self.ini, *self.pki.iterdir()) if path.is_file()}

        def restore():
            for path, (content, mode) in good.items():
                path.write_bytes(content)
                path.chmod(mode)
            (self.pki / "ca.crl").unlink(missing_ok=True)

        self.addCleanup(restore)

    def with_port(self, name="w1"):
        """In a file of its own, the daemon's page is where it really is."""
        ini = self.cluster.folder / f"{name}-port.ini"
        ini.write_text((self.cluster.folder / f"{name}.ini").read_text().replace(
            "[inspect]\naddress = 127.0.0.1:0\n",
            f"[inspect]\naddress = 127.0.0.1:{self.cluster.daemons[name].port('inspect')}\n"))
        return ini

    def check(self, name="w1", *more):
        done = subprocess.run([PROGRAMS["rollcall"], "check", "--config",
                               self.cluster.folder / f"{name}.ini", *more],
                              capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def assert_wrong(self, what, text, mend, name="w1"):
        status, said = self.check(name, "--json")
        self.assertEqual(status, 1, said)
        found = [one for one in json.loads(said)["checks"] if one["state"] == "wrong"]
        self.assertTrue(any(one["check"] == what and text in one["text"] and mend in one["mend"]
                            for one in found), found)

    def test_all_is_well(self):
        for name in ("w1", "master"):
            status, said = self.check(name)
            self.assertEqual(status, 0, said)
            for what in ("configuration", "ca", "certificate", "clock", "disk", "master"):
                self.assertRegex(said, rf"(?m)^(good|warning|skipped) +{what} ")
        self.assertRegex(self.check("w1")[1], r"(?m)^good +master ")

    def test_the_running_daemon_says_whether_it_was_let_in(self):
        self.cluster.until_right()
        self.with_port()
        status, said = self.check("w1-port")
        self.assertEqual(status, 0, said)
        self.assertRegex(said, r"(?m)^good +link +the master has let rollcalld in")
        self.assertRegex(said, r"(?m)^good +master +.* accepts this node's certificate")

    def test_a_master_that_does_not_run_yet_is_not_asked(self):
        ini = self.cluster.folder / "new.ini"
        ini.write_text(self.with_port("master").read_text().replace(
            f":{self.cluster.daemons['master'].port('inspect')}", ":1"))
        status, said = self.check("new")
        self.assertEqual(status, 0, said)
        self.assertRegex(said, r"(?m)^skipped +master +not tried: rollcall-master does not run")

    def test_a_master_whose_certificate_is_for_servers_only(self):
        own = self.cluster.folder / "server"
        own.mkdir()
        (own / "names").write_text("subjectAltName=DNS:master\nextendedKeyUsage=serverAuth\n")
        for arguments in (("req", "-new", "-key", self.pki / "master.key", "-subj", "/CN=master",
                           "-out", own / "csr"),
                          ("x509", "-req", "-in", own / "csr", "-CA", self.pki / "ca.crt", "-CAkey",
                           self.pki / "ca.key", "-CAcreateserial", "-CAserial", own / "serial",
                           "-days", "90", "-extfile", own / "names", "-out", own / "master.crt")):
            subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=30)
        (self.cluster.folder / "server.ini").write_text(
            (self.cluster.folder / "master.ini").read_text().replace(
                f"certificate = {self.pki}/master.crt", f"certificate = {own}/master.crt"))
        status, said = self.check("server")
        self.assertEqual(status, 0, said)
        self.assertRegex(said, r"(?m)^skipped +master +not tried: its certificate is for servers only")

    def test_a_word_that_is_not_known(self):
        self.ini.write_text(self.ini.read_text() + "[log]\nlevle = info\n")
        self.assert_wrong("configuration", 'the key "levle" is not known', "man ")

    def test_a_key_that_everybody_can_read(self):
        (self.pki / "w1.key").chmod(0o644)
        self.assert_wrong("key", "can be read by every user", f"chmod o-rwx {self.pki}/w1.key")

    def test_a_key_that_does_not_fit(self):
        (self.pki / "w1.key").write_bytes((self.pki / "master.key").read_bytes())
        self.assert_wrong("certificate", "does not belong to the certificate",
                          f"scp CA-HOST:/etc/rollcall/pki/w1.key {self.pki}/w1.key")

    def test_a_certificate_that_is_not_there(self):
        (self.pki / "w1.crt").unlink()
        self.assert_wrong("certificate", "cannot be read",
                          f"scp CA-HOST:/etc/rollcall/pki/w1.crt {self.pki}/w1.crt")

    def test_a_certificate_of_another_ca(self):
        other = self.cluster.folder / "other"
        for arguments in (("init",), ("issue", "w1")):
            self.cluster.tool("pki", *arguments, "--dir", other)
        for name in ("ca.crt", "w1.crt", "w1.key"):
            (self.pki / name).write_bytes((other / name).read_bytes())
        self.assert_wrong("master", "not signed by this cluster's CA",
                          f"scp CA-HOST:/etc/rollcall/pki/ca.crt {self.pki}/ca.crt")

    def test_a_revoked_one(self):
        self.cluster.tool("pki", "revoke", "w1", "--dir", self.pki)
        self.assert_wrong("certificate", "is revoked by", "rollcall pki renew w1")

    def test_a_master_of_another_name(self):
        self.ini.write_text(self.ini.read_text().replace("[master]\n", "[master]\nname = boss\n"))
        self.assert_wrong("master", "is for master, not for boss", "[master] name = master")

    def test_a_master_that_is_not_there(self):
        self.ini.write_text(self.ini.read_text().replace(
            f"address = 127.0.0.1:{self.cluster.relays['w1'].port}", "address = 127.0.0.1:1"))
        self.assert_wrong("master", "127.0.0.1:1", "systemctl start rollcall-master")

    def test_a_terminal_shows_how_far_it_is(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            ini = self.cluster.folder / "silent.ini"
            ini.write_text(self.ini.read_text().replace(
                f"address = 127.0.0.1:{self.cluster.relays['w1'].port}",
                f"address = 127.0.0.1:{silent.getsockname()[1]}"))
            terminal = Terminal([PROGRAMS["rollcall"], "check", "--config", ini], 80, 24, {})
            self.addCleanup(terminal.close)
            terminal.until("a bar", lambda: "Checking  [##" in terminal.shown)
            terminal.until("what it found", lambda: "WRONG    master" in terminal.shown)
            self.assertEqual(terminal.ended(), 1)

    def test_a_wazuh_that_is_not_there(self):
        self.ini.write_text(self.ini.read_text().replace("[source]\n",
                                                         "[source]\nwazuh_db = /nonexistent\n"))
        self.assert_wrong("wazuh-db", "/nonexistent", "systemctl start wazuh-manager")

    def test_a_disk_that_cannot_be_written(self):
        self.ini.write_text(self.ini.read_text().replace(
            f"path = {self.cluster.stores['w1']}", "path = /proc/rollcall"))
        self.assert_wrong("disk", "cannot be written", "install -d")

    def test_no_file_is_a_wrong_call(self):
        done = subprocess.run([PROGRAMS["rollcall"], "check", "--config", "/nonexistent.ini"],
                              capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nonexistent.ini: cannot be read", done.stdout)

    def test_support_holds_what_helps_and_no_secrets(self):
        token = (self.cluster.stores["w1"] / "token").read_text().strip()
        key = (self.pki / "w1.key").read_text()
        # As people do it.
        self.ini.write_text(self.ini.read_text() + f"# curl with {token}\n#" +
                            key.replace("\n", "\n#") + "\n")
        out = self.cluster.folder / "help.tar.gz"
        done = subprocess.run([PROGRAMS["rollcall"], "support", "--json", "--out", out,
                               "--config", self.with_port("w1"),
                               "--config", self.with_port("master")],
                              check=True, capture_output=True, timeout=120)
        self.assertEqual(json.loads(done.stdout), {"file": str(out)})
        self.assertEqual(out.stat().st_mode & 0o777, 0o600)
        with tarfile.open(out) as archive:
            files = {member.name.split("/", 1)[1]: archive.extractfile(member).read().decode()
                     for member in archive.getmembers()}
        for name in ("about.txt", "w1-port.ini", "w1-port/check.json", "w1-port/certificates.json",
                     "w1-port/files.txt", "w1-port/status.json", "w1-port/sync.json",
                     "master-port/check.json", "master-port/nodes.json"):
            self.assertIn(name, files)
        for name in ("w1-port/metrics.txt", "master-port/metrics.txt"):
            self.assertIn("rollcall_build_info{", files[name])
        self.assertNotIn("w1-port/nodes.json", files, "a sidecar has no such page")
        for name, text in files.items():
            if name.endswith(".json"):
                page = json.loads(text)
                self.assertFalse(isinstance(page, dict) and set(page) == {"error"}, (name, page))
        self.assertIn("w1.key", files["w1-port/files.txt"])
        secrets = [token, (self.cluster.stores["master"] / "token").read_text().strip()]
        for path in self.pki.glob("*.key"):
            secrets += [line for line in path.read_text().splitlines() if "-----" not in line]
        for name, text in files.items():
            for secret in secrets:
                self.assertNotIn(secret, text, name)


if __name__ == "__main__":
    unittest.main()
