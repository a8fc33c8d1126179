#!/usr/bin/env python3
"""Checks that every crate in Cargo.lock may be shipped in a program under MIT OR Apache-2.0.

Reads `cargo metadata`. The same list stands in deny.toml for cargo-deny, which CI uses as well where
it is installed; this check needs nothing but cargo and Python.

  tools/licences.py
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tomllib

# Crates that name no licence in their manifest; read in their LICENSE file.
READ = {"rsip": "MIT", "rsip-derives": "MIT"}
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def holds(expression, allowed):
    """Whether an SPDX expression can be met by allowed licences. The old form `A/B` means OR."""
    words = re.findall(r"\(|\)|[^\s()/]+|/", expression)
    words = ["OR" if word == "/" else word for word in words]

    def either():
        good = both()
        while words and words[0] == "OR":
            words.pop(0)
            good = both() or good
        return good

    def both():
        good = one()
        while words and words[0] == "AND":
            words.pop(0)
            good = one() and good
        return good

    def one():
        word = words.pop(0)
        if word == "(":
            good = either()
            words.pop(0)
            return good
        if words and words[0] == "WITH":
            words.pop(0)
            word = f"{word} WITH {words.pop(0)}"
        return word in allowed

    return either()


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with open(os.path.join(ROOT, "deny.toml"), "rb") as file:
        deny = tomllib.load(file)["licenses"]
    allowed = set(deny["allow"])
    excepted = {entry["crate"]: set(entry["allow"]) for entry in deny.get("exceptions", [])}
    text = subprocess.run(["cargo", "metadata", "--format-version", "1", "--locked"], cwd=ROOT, check=True,
                          stdout=subprocess.PIPE).stdout
    metadata = json.loads(text)
    bad = 0
    for package in metadata["packages"]:
        name = package["name"]
        expression = package["license"] or READ.get(name, "")
        if not (expression and holds(expression, allowed | excepted.get(name, set()))):
            print(f"licences: {name} {package['version']}: `{expression or 'none'}` is not on the list of deny.toml")
            bad += 1
    print(f"licences: {len(metadata['packages'])} crates, {bad} not allowed")
    sys.exit(1 if bad else 0)


main()
