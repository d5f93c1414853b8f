#!/usr/bin/env python3
"""Fails on a dependency between crates that goes against the data's way. --self-test shows that it can fail."""
import json
import subprocess
import sys

ALLOWED = {
    "types": set(),
    "standards": {"types"},
    "iq": {"types"},
    "capture": {"types", "iq"},
    "detect": {"types", "standards"},
    "locate": {"types"},
    "evidence": {"types", "iq", "locate"},
    "report": {"types"},
    "health": {"types", "standards"},
    "plan": {"types", "standards", "locate"},
    "sim": {"types", "standards", "iq"},
    "selftest": {"types", "standards", "detect", "sim"},
    "store": {"types"},
    "cli": {"types", "standards", "iq", "capture", "detect", "locate", "evidence", "store", "report", "health", "plan",
            "sim", "selftest"},
    "benches": {"types", "standards", "detect", "sim"},
}
PREFIX = "cellwarden-"


def wrong_edges(packages):
    """(from, to) of every edge that is not allowed; dev-dependencies on sim and iq are."""
    found = []
    for package in packages:
        name = package["name"].removeprefix(PREFIX)
        if name not in ALLOWED:
            found.append((name, "(a crate that the table does not know)"))
            continue
        for edge in package["dependencies"]:
            if not edge["name"].startswith(PREFIX):
                continue
            to = edge["name"].removeprefix(PREFIX)
            test_only = edge["kind"] == "dev" and to in {"sim", "iq"}
            if to not in ALLOWED[name] and not test_only:
                found.append((name, to))
    return found


def main():
    if sys.argv[1:] == ["--self-test"]:
        bad = [{"name": "cellwarden-detect", "dependencies": [{"name": "cellwarden-capture", "kind": None}]}]
        good = [{"name": "cellwarden-detect", "dependencies": [{"name": "cellwarden-sim", "kind": "dev"}]}]
        if wrong_edges(bad) != [("detect", "capture")] or wrong_edges(good):
            sys.exit("check_layers: the self-test failed")
        print("check_layers: the self-test passed")
        return
    text = subprocess.run(["cargo", "metadata", "--format-version", "1", "--no-deps"], check=True,
                          capture_output=True, text=True).stdout
    found = wrong_edges(json.loads(text)["packages"])
    for edge in found:
        print(f"check_layers: {edge[0]} must not depend on {edge[1]}", file=sys.stderr)
    if found:
        sys.exit(1)
    print("check_layers: all edges follow the data")


if __name__ == "__main__":
    main()
