#!/usr/bin/env python3
"""Who may include whom: the folders' order, and the one folder for each outside library.

A core that includes a socket or a file cannot be simulated, and a library that leaks out of its
folder cannot be exchanged. Run in the tree, or give another one as the first argument.
"""

import os
import re
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Folder -> the folders of this project that it may include; the longest matching folder counts.
ALLOWED = {
    "protocol": ["protocol"],
    "persist": ["protocol", "persist"],
    "net": ["protocol", "net"],
    "wazuh": ["protocol", "net", "wazuh"],
    "sidecar/core": ["protocol", "sidecar/core"],
    "master/core": ["protocol", "master/core"],
    "master/sink": ["protocol", "net", "wazuh", "master/core", "master/sink"],
    "app": ["protocol", "persist", "net", "sidecar/core", "master/core", "app"],
    "inspect": ["protocol", "persist", "net", "wazuh", "sidecar/core", "master/core", "master/sink",
                "app", "inspect"],
    "sidecar": ["protocol", "persist", "net", "wazuh", "app", "inspect", "sidecar"],
    "master": ["protocol", "persist", "net", "wazuh", "app", "inspect", "master"],
    "cli": ["protocol", "persist", "net", "master/core", "app", "inspect", "cli"],
}

# What an outside header's name begins with -> the folders that may include it.
OUTSIDE = {
    "uv.h": ["net"],
    "uv/": ["net"],
    "openssl/": ["net"],
    "httplib.h": ["inspect", "cli"],
    "lmdb.h": ["persist"],
    "prometheus/": ["inspect"],
    "msgpack": ["protocol"],
    "zstd.h": ["protocol"],
}

# What tests say -> the header, or one that includes it, which they reach by includes of their own.
# Their programs are compiled with both in hand (tests/CMakeLists.txt), so that no compiler asks.
GOOGLETEST = {
    re.compile(r"\b(?:(?:EXPECT|ASSERT)_THAT|MATCHER(?:_P\d?)?|MOCK_METHOD)\("):
        ("gmock/gmock.h",),
    re.compile(r"\b(?:TEST|TEST_F|TEST_P|ADD_FAILURE|(?:EXPECT|ASSERT)_[A-Z_]+)\(|\bpublic testing::"):
        ("gmock/gmock.h", "gtest/gtest.h"),
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def inside(path, folder):
    return path == folder or path.startswith(folder + "/")


def violations(root):
    """A line for each forbidden include below `root`: "file:line: what, and why not"."""
    found = []
    for top in sorted({folder.split("/")[0] for folder in ALLOWED}):
        for where, _, names in sorted(os.walk(os.path.join(root, top))):
            for name in sorted(names):
                if not name.endswith((".h", ".cc")):
                    continue
                path = os.path.relpath(os.path.join(where, name), root).replace(os.sep, "/")
                with open(os.path.join(where, name), encoding="utf-8") as lines:
                    for number, line in enumerate(lines, 1):
                        why = forbidden(path, line)
                        if why:
                            found.append(f"{path}:{number}: {why}")
    return found


def forbidden(path, line):
    match = INCLUDE.match(line)
    if not match:
        return None
    header = match.group(2)
    for prefix, folders in OUTSIDE.items():
        if header.startswith(prefix) and not any(inside(path, f) for f in folders):
            return f"<{header}> belongs to {' and '.join(f + '/' for f in folders)}"
    if match.group(1) != '"':
        return None
    if header.startswith(".") or "/" not in header:
        return f'"{header}": name it by its path in the tree'
    folder = max((f for f in ALLOWED if inside(path, f)), key=len)
    if not any(inside(header, f) for f in ALLOWED[folder]):
        return f'{folder}/ does not include "{header}"'
    return None


def includes(root, path, seen=None):
    """The headers that a file reaches over the tree's own."""
    seen = set() if seen is None else seen
    with open(os.path.join(root, path), encoding="utf-8") as lines:
        for line in lines:
            match = INCLUDE.match(line)
            if match and match.group(2) not in seen:
                seen.add(match.group(2))
                if os.path.isfile(os.path.join(root, match.group(2))):
                    includes(root, match.group(2), seen)
    return seen


def without_googletest(root):
    """A line for each file of tests that uses GoogleTest and does not include it."""
    found = []
    for where, _, names in sorted(os.walk(os.path.join(root, "tests"))):
        for name in sorted(names):
            if not name.endswith((".h", ".cc")):
                continue
            path = os.path.relpath(os.path.join(where, name), root).replace(os.sep, "/")
            with open(os.path.join(where, name), encoding="utf-8") as file:
                text = file.read()
            for words, headers in GOOGLETEST.items():
                if words.search(text) and not includes(root, path).intersection(headers):
                    found.append(f"{path}: it uses what is in <{headers[0]}>")
                    break
    return found


class Includes(unittest.TestCase):
    def test_the_tree_keeps_the_directions(self):
        self.assertEqual(violations(TREE), [])

    def test_tests_include_googletest_themselves(self):
        self.assertEqual(without_googletest(TREE), [])

    def test_the_tree_was_found(self):
        for folder in ALLOWED:
            self.assertTrue(os.path.isdir(os.path.join(TREE, folder)), folder)

    def assert_caught(self, path, line, expected=True):
        with self.subTest(path=path, line=line), tempfile.TemporaryDirectory() as root:
            os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write("// A file.\n" + line + "\n")
            found = violations(root)
            self.assertEqual(len(found), 1 if expected else 0, found)
            if expected:
                self.assertTrue(found[0].startswith(path + ":2: "), found)

    def test_a_violating_file_is_caught(self):
        for path, line in [
            ("protocol/x.h", '#include "persist/event_log.h"'),
            ("persist/x.cc", '#include "net/loop.h"'),
            ("net/x.cc", '#include "app/clock.h"'),
            ("wazuh/x.cc", '#include "sidecar/core/observation.h"'),
            ("sidecar/core/x.cc", '#include "wazuh/wdb_frame.h"'),
            ("sidecar/core/x.cc", '#include "persist/session_store.h"'),
            ("sidecar/core/x.cc", '#include "net/loop.h"'),
            ("sidecar/core/x.cc", '#include "app/clock.h"'),
            ("sidecar/core/x.cc", '#include "inspect/pages.h"'),
            ("sidecar/core/x.cc", '#include "sidecar/source/wazuh_db_scan.h"'),
            ("sidecar/core/x.cc", '#include "master/core/state.h"'),
            ("sidecar/source/x.cc", '#include "master/core/state.h"'),
            ("sidecar/main.cc", '#include "master/core/state.h"'),
            ("master/core/x.h", '#include "persist/event_log.h"'),
            ("master/core/x.h", '#include "sidecar/core/tracker.h"'),
            ("master/core/deep/x.h", '#include "app/clock.h"'),
            ("master/main.cc", '#include "sidecar/core/tracker.h"'),
            ("master/core/x.cc", '#include "master/sink/sink_core.h"'),
            ("master/sink/x.cc", '#include "app/clock.h"'),
            ("master/sink/x.cc", '#include "sidecar/source/look_plan.h"'),
            ("app/x.cc", '#include "inspect/pages.h"'),
            ("app/x.cc", '#include "tests/support/standin_server.h"'),
            ("app/x.cc", "#include <uv.h>"),
            ("sidecar/main.cc", "#include <uv.h>"),
            ("inspect/x.cc", "#include <openssl/ssl.h>"),
            ("cli/x.cc", '  #  include "openssl/evp.h"'),
            ("cli/x.cc", '#include "sidecar/core/tracker.h"'),
            ("app/x.cc", "#include <httplib.h>"),
            ("net/x.cc", "#include <httplib.h>"),
            ("app/x.cc", "#include <lmdb.h>"),
            ("persist/x.cc", "#include <msgpack.hpp>"),
            ("app/x.cc", "#include <msgpack/unpack.hpp>"),
            ("app/x.cc", '#include "clock.h"'),
            ("app/x.cc", '#include "../protocol/ids.h"'),
        ]:
            self.assert_caught(path, line)

    def test_a_test_without_googletest_is_caught(self):
        for header, text, expected in [
            ("<string>", "TEST(A, B) {}", 1),
            ("<gtest/gtest.h>", "TEST(A, B) {}", 0),
            ('"tests/unit/fixture.h"', "TEST(A, B) { EXPECT_EQ(1, 1); }", 0),
            ('"tests/unit/fixture.h"', "TEST(A, B) { EXPECT_THAT(1, Eq(1)); }", 1),
            ("<gmock/gmock.h>", "TEST(A, B) { EXPECT_THAT(1, Eq(1)); }", 0),
            ("<string>", "std::string text;", 0),
        ]:
            with self.subTest(header=header, text=text), tempfile.TemporaryDirectory() as root:
                os.makedirs(os.path.join(root, "tests", "unit"))
                for name, lines in (("fixture.h", "#include <gtest/gtest.h>\n"),
                                    ("a_test.cc", f"#include {header}\n{text}\n")):
                    with open(os.path.join(root, "tests", "unit", name), "w",
                              encoding="utf-8") as file:
                        file.write(lines)
                self.assertEqual(len(without_googletest(root)), expected)

    def test_what_is_allowed_is_not_caught(self):
        for path, line in [
            ("sidecar/core/x.cc", '#include "protocol/ids.h"'),
            ("sidecar/core/x.cc", "#include <vector>"),
            ("master/main.cc", '#include "app/ports.h"'),
            ("net/x.cc", "#include <uv.h>"),
            ("net/x.cc", "#include <openssl/ssl.h>"),
            ("inspect/x.cc", "#include <httplib.h>"),
            ("cli/x.cc", "#include <httplib.h>"),
            ("cli/x.cc", '#include "master/core/state.h"'),
            ("persist/x.cc", "#include <lmdb.h>"),
            ("protocol/x.cc", "#include <msgpack.hpp>"),
            ("protocol/x.cc", '// #include "app/clock.h"'),
        ]:
            self.assert_caught(path, line, expected=False)


TREE = ROOT
if __name__ == "__main__":
    if len(sys.argv) > 1 and os.path.isdir(sys.argv[1]):
        TREE = sys.argv.pop(1)
    unittest.main()
