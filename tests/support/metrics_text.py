"""Reads what /metrics says, strictly: whatever is not the text form of Prometheus fails."""

import re
import urllib.request

SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"(?:,|$)')


class Metrics:
    """`types`: {family: type}; `samples`: {(name, frozenset of labels): value}."""

    def __init__(self, text):
        self.text, self.types, self.samples = text, {}, {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name not in self.types, f"{name} has two types"
                self.types[name] = kind
            elif line and not line.startswith("# HELP "):
                name, labels, value = SAMPLE.match(line).groups()
                key = name, frozenset(LABEL.findall(labels or ""))
                assert key not in self.samples, f"{line} comes twice"
                self.samples[key] = float(value)

    @classmethod
    def of(cls, url, token=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(url + "/metrics", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            return cls(answer.read().decode())

    def value(self, name, **labels):
        return self.samples[name, frozenset(labels.items())]

    def by(self, name, label, **others):
        """{value of the label: value} of a family's samples that have the other labels."""
        found = {}
        for (its, labels), value in self.samples.items():
            labels = dict(labels)
            if its == name and all(labels.get(k) == v for k, v in others.items()):
                found[labels[label]] = value
        return found

    def is_counted(self, name):
        """Of a counter, or a part of a histogram: never less than before."""
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        return self.types.get(name) == "counter" or self.types.get(family) == "histogram"
