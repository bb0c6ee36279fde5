#!/usr/bin/env python3
"""Manual pages in scdoc's language from what is maintained anyway: an ini file with its comments, or
docs/cli.md. So none of them is forgotten when a key or a command is new.

usage: pages.py NAME(SECTION) "what it is" FILE [SEE-ALSO...]
"""

import pathlib
import re
import sys

KEY = re.compile(r"#? ?(\w+) = (.*)")


def plain(text):
    """As scdoc shows it unchanged."""
    return re.sub(r"([\\*_#\[\]`<~.|])", r"\\\1", text)


def marked(text):
    """Markdown within a line."""
    parts = re.split(r"(`[^`]+`|\*\*[^*]+\*\*)", text)
    return "".join(f"*{plain(part.strip('`*'))}*" if part[:1] == "`" or part[:2] == "**" else plain(part)
                   for part in parts)


def from_ini(text):
    """Each section, and in it the keys under the comment that explains them."""
    comment, keys, out, head = [], [], [], True

    def told():
        nonlocal comment, keys
        lines = [f"*{plain(key)}* = {plain(value)}" + ("" if given else " (not set)")
                 for given, key, value in keys]
        if lines:
            out.append("\n".join(lines[:1] + [f"\n{line}" for line in lines[1:]]) +
                       "".join(f"\n\t{plain(line)}" for line in comment or [""]) + "\n")
        elif comment:
            out.append("\n".join(map(plain, comment)) + "\n")
        comment, keys = [], []

    for line in text.splitlines() + [""]:
        found = KEY.fullmatch(line)
        if found:
            keys.append((line[0] != "#", *found.groups()))
        elif line.startswith("["):
            told()
            head = False
            out.append(f"# {line.upper()}\n")
        elif line.startswith("#"):
            if keys:
                told()
            comment.append(line[1:].strip())
        elif keys or (head and comment):
            told()
    told()
    return out


def from_markdown(text):
    """Headings, paragraphs, lists, tables with two columns, and what is indented by four spaces."""
    out = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = block.splitlines()
        if lines[0].startswith("# "):
            continue
        if lines[0].startswith("## "):
            out.append(f"# {lines.pop(0)[3:].upper()}\n")
        if not lines:
            continue
        if lines[0].startswith("|"):
            rows = [re.split(r"(?<!\\)\|", line.strip("| "), maxsplit=1) for line in lines]
            for row in rows:
                if len(row) == 2 and row[0].strip() and not re.fullmatch(r"[-| ]*", row[0]):
                    out.append(f"{marked(row[0].strip())}\n\t{marked(row[1].strip())}\n")
        elif lines[0].startswith("    "):
            out.append("```\n" + "\n".join(line[4:] for line in lines) + "\n```\n")
        elif lines[0].startswith("- "):
            joined = re.sub(r"\n\s+", " ", "\n".join(lines)).splitlines()
            out.append("\n".join(f"- {marked(line[2:])}" for line in joined) + "\n")
        else:
            out.append(marked("\n".join(line.strip() for line in lines)) + "\n")
    return out


def main(page, what, file, *see_also):
    text = pathlib.Path(file).read_text()
    name = page.split("(")[0]
    begins, body = {
        ".ini": ("_/etc/rollcall/" + plain(name) + "_", from_ini),
        ".md": (f"*{name}* [options] command ...", from_markdown),
    }[pathlib.Path(file).suffix]
    print("\n".join([page, "", "# NAME", "", f"{name} - {what}", "", "# SYNOPSIS", "", begins, "",
                     "# DESCRIPTION", "", *body(text),
                     "# SEE ALSO", "", ", ".join(f"*{plain(other)}*" for other in see_also)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
