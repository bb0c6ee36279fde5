#!/usr/bin/env python3
"""The packages as files: what they hold, what their programs ask of the system that they are for, and what
lintian, rpmlint and systemd-analyze say of them. Nothing is installed; container_test.py does that.

Makes them with packaging/build, unless PACKAGES names a folder that has them.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ("lintian", "rpmlint", "rpm", "rpm2cpio", "scdoc", "dpkg-deb", "dpkg-shlibdeps", "systemd-analyze")
SKIPPED = 77  # as ctest is told
NAMES = ("rollcall-sidecar", "rollcall-master", "rollcall-cli")
SERVICES = {"rollcall-sidecar": "rollcalld", "rollcall-master": "rollcall-master"}

# RHEL 9: glibc 2.34, the libstdc++ and libgcc of GCC 11, OpenSSL 3.0; what its newest symbols are called.
NEWEST = {"GLIBC": (2, 34), "GLIBCXX": (3, 4, 29), "CXXABI": (1, 3, 13), "GCC": (7, 0, 0),
          "OPENSSL": (3, 0, 0)}
# Of its packages glibc, libgcc and openssl-libs, which are in every installation.
LIBRARIES = {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "libgcc_s.so.1", "libssl.so.3",
             "libcrypto.so.3"}
EXPOSURE_AT_MOST = 1.5


def said(*command, status=0, **more):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False,
                          **more)
    if status is not None and done.returncode != status:
        raise AssertionError(f"{' '.join(map(str, command))}: status {done.returncode}\n"
                             f"{done.stdout}{done.stderr}")
    return done.stdout


def is_elf(file):
    if file.is_symlink() or not file.is_file():
        return False
    with file.open("rb") as content:
        return content.read(4) == b"\x7fELF"


class Packages:
    """All of them, made, and unpacked side by side."""

    def __init__(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="rc-packages-"))
        self.folder = pathlib.Path(os.environ.get("PACKAGES", self.work / "made")).absolute()
        if "PACKAGES" not in os.environ:
            said(ROOT / "packaging" / "build", "--no-install", self.folder)
        self.unpacked = {}
        for name in NAMES:
            deb, rpm = self.file(name, "deb"), self.file(name, "rpm")
            said("dpkg-deb", "-x", deb, self._place(name, "deb"))
            said("sh", "-c", 'rpm2cpio "$0" | cpio -idm --quiet', rpm, cwd=self._place(name, "rpm"))

    def _place(self, name, kind):
        place = self.unpacked[name, kind] = self.work / kind / name
        place.mkdir(parents=True)
        return place

    def file(self, name, kind):
        found = sorted(self.folder.glob(f"{name}[-_][0-9]*.{kind}"))
        if len(found) != 1:
            raise AssertionError(f"one .{kind} of {name} should be in {self.folder}, not {found}")
        return found[0]

    def files(self, kind):
        return [self.file(name, kind) for name in NAMES]

    def elfs(self, kind):
        return [file for name in NAMES for file in self.unpacked[name, kind].rglob("*") if is_elf(file)]

    def page(self, name, kind, page):
        section = page[-1]
        text = said("gzip", "-dc",
                    self.unpacked[name, kind] / f"usr/share/man/man{section}" / f"{page}.gz")
        return re.sub(r"\\(?:&|f[BIR])|\\", "", text)  # as it is shown


def setUpModule():
    global packages
    packages = Packages()
    unittest.addModuleCleanup(shutil.rmtree, packages.work, ignore_errors=True)


class Rpm(unittest.TestCase):
    def test_programs_ask_for_no_newer_symbol_than_rhel_9_has(self):
        elfs = packages.elfs("rpm")
        self.assertEqual(len(elfs), 3)
        for elf in elfs:
            wanted = set()
            for line in said("objdump", "-p", elf).splitlines():
                if match := re.fullmatch(r"\s+0x[0-9a-f]+ 0x[0-9a-f]+ \d+ ([A-Z]+)_([0-9.]+)", line):
                    wanted.add((match[1], tuple(map(int, match[2].split(".")))))
            self.assertIn("GLIBC", {kind for kind, _ in wanted})
            for kind, version in wanted:
                with self.subTest(elf=elf.name, kind=kind):
                    self.assertLessEqual(version, NEWEST.get(kind, ()))

    def test_programs_ask_for_no_library_that_rhel_9_may_lack(self):
        for elf in packages.elfs("rpm"):
            needed = set(re.findall(r"NEEDED\s+(\S+)", said("objdump", "-p", elf)))
            self.assertLessEqual(needed, LIBRARIES, elf.name)

    def test_what_is_linked_in_has_its_licence_beside_it(self):
        for name in NAMES:
            folder = packages.unpacked[name, "rpm"] / "usr/share/licenses" / name
            there = {file.name for file in folder.iterdir() if file.stat().st_size > 500}
            self.assertLessEqual({"LICENSE", "libuv1", "liblmdb", "libinih", "libxxhash", "libzstd",
                                  "libspdlog", "libfmt", "libsimdjson", "libcpp-httplib",
                                  "libmsgpack-cxx", "libcli11", "nlohmann-json3", "prometheus-cpp"}, there)

    def test_configuration_is_kept_over_upgrades(self):
        for name in SERVICES:
            self.assertEqual(said("rpm", "-qp", "--qf", "[%{FILENAMES} %{FILEFLAGS:fflags}\n]",
                                  packages.file(name, "rpm")).splitlines()[0:2],
                             ["/etc/rollcall ", f"/etc/rollcall/{name}.ini cn"])

    def test_rpmlint_finds_nothing_that_is_not_explained(self):
        found = said("rpmlint", "-c", ROOT / "packaging/rpm/rpmlint.toml", *packages.files("rpm"))
        self.assertIn(" 0 errors, 0 warnings,", found)


class Deb(unittest.TestCase):
    def test_configuration_is_kept_over_upgrades(self):
        for name in SERVICES:
            self.assertEqual(said("dpkg-deb", "-I", packages.file(name, "deb"), "conffiles"),
                             f"/etc/rollcall/{name}.ini\n")

    def test_lintian_finds_nothing_that_is_not_explained(self):
        self.assertEqual(said("lintian", "--allow-root", "--fail-on", "error,warning",
                              *packages.files("deb")), "")


class Service(unittest.TestCase):
    def test_units_are_exposed_little(self):
        for name in SERVICES:
            said_of = said("systemd-analyze", "security", "--offline=true", "--no-pager",
                           self.unit(name, packages.unpacked[name, "deb"]))
            exposure = float(re.search(r"exposure level for \S+: ([0-9.]+)", said_of)[1])
            self.assertLessEqual(exposure, EXPOSURE_AT_MOST, said_of)

    def test_systemd_understands_every_line_of_the_units(self):
        for name in SERVICES:
            done = subprocess.run(["systemd-analyze", "verify", "--man=no",
                                   self.unit(name, packages.unpacked[name, "deb"])],
                                  capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def unit(self, name, root):
        """As it is in the package, but for the place of the program."""
        text = (root / "usr/lib/systemd/system" / f"{name}.service").read_text()
        self.assertEqual(text, (packages.unpacked[name, "rpm"] / "usr/lib/systemd/system" /
                                f"{name}.service").read_text())
        program = f"/usr/sbin/{SERVICES[name]}"
        self.assertIn(f"ExecStart={program}\n", text)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        copy = pathlib.Path(folder.name) / f"{name}.service"
        copy.write_text(text.replace(f"ExecStart={program}", f"ExecStart={root}{program}"))
        return copy


class Manuals(unittest.TestCase):
    def test_each_key_of_a_configuration_has_its_place(self):
        for kind in ("deb", "rpm"):
            for name in SERVICES:
                page = packages.page(name, kind, f"{name}.ini.5")
                ini = (ROOT / "packaging" / f"{name}.ini").read_text()
                for key in re.findall(r"(?m)^(?:# ?)?(\w+) = ", ini):
                    self.assertIn(f"\n{key} = ", page, name)

    def test_each_command_of_the_tool_has_its_place(self):
        tool = packages.unpacked["rollcall-cli", "rpm"] / "usr/bin/rollcall"
        page = packages.page("rollcall-cli", "rpm", "rollcall.1")
        commands = re.findall(r"(?m)^  (\w[\w-]*)  +\S", said(tool, "--help").split("Subcommands:")[1])
        self.assertGreater(len(commands), 10)
        for command in commands:
            self.assertIn(f"rollcall {command}", page)

    def test_bash_completes_the_commands(self):
        for kind in ("deb", "rpm"):
            script = (packages.unpacked["rollcall-cli", kind] /
                      "usr/share/bash-completion/completions/rollcall").read_text()
            self.assertIn('"rollcall log verify")', script)

    def test_daemons_have_one_each(self):
        for name, program in SERVICES.items():
            self.assertIn(f"{name}.ini", packages.page(name, "deb", f"{program}.8"))


class Documents(unittest.TestCase):
    def test_what_is_named_in_a_package_is_in_it(self):
        for (name, kind), root in packages.unpacked.items():
            beside = root / "usr/share/doc" / name
            texts = [root / "etc/rollcall" / f"{name}.ini", beside / "CHANGELOG.md",
                     *beside.glob("docs/*.md"), *root.glob("usr/share/rollcall/monitoring/*")]
            named = {match for text in texts if text.exists()
                     for match in re.findall(r"\bdocs/[\w/.-]+\w", text.read_text())}
            self.assertLess({"docs/operations.md", "docs/cli.md", "docs/http.md"}, named)
            missing = {each for each in named if not (beside / each).exists()}
            self.assertEqual(missing, set(), (name, kind))


class Programs(unittest.TestCase):
    def test_run_as_they_are_and_say_their_version(self):
        version = packages.file("rollcall-cli", "rpm").name.split("-")[2]
        for kind in ("deb", "rpm"):
            for elf in packages.elfs(kind):
                self.assertEqual(said(elf, "--version"), f"{elf.name} {version}\n")


if __name__ == "__main__":
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        print(f"skipped: {', '.join(missing)} missing; packaging/install-packages packages-packaging",
              file=sys.stderr)
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
