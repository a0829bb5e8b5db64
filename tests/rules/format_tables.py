#!/usr/bin/env python3
"""Holds the tables of docs/formats.md to what the plugins say of themselves, or, with --write, makes them.

A table lies between `<!-- table: ID -->` and `<!-- end of table -->`; every format that the binary brings has one."""

import argparse
import json
import pathlib
import re
import subprocess
import sys

PLACE = re.compile(r"<!-- table: (?P<id>[a-z0-9_.-]+) -->\n(?P<table>.*?)<!-- end of table -->\n", re.DOTALL)


def asked(binary, *words):
    done = subprocess.run([str(binary), "plugins", *words, "--json"], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def cell(text):
    return text.replace("|", "\\|") if text else " "


def rows(header, lines):
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)
    for line in lines:
        yield "| " + " | ".join(map(cell, line)) + " |"


def code(text):
    return f"`{text}`" if text else ""


def table_of(info):
    options = [(code(o["name"]), code(o["default"]), o["range"].replace(" | ", ", "), o["help"])
               for o in info["options"]]
    labels = [(code(l["label"]) or "(none)", code(l["options"]), l["loaders"] or "nobody", l["activations"],
               l["hardware"], l["remark"]) for l in info["labels"]]
    lines = list(rows(("Option", "Default", "Range", "Meaning"), options)) + [""] if options else []
    lines += rows(("Stored as", "With", "Loaded by", "Activations", "Fast on", "Remark"), labels)
    return "\n" + "\n".join(lines) + "\n\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    page = arguments.page.read_text(encoding="utf-8")
    brought = {p["id"] for p in asked(arguments.binary, "list")["plugins"] if p["kind"] == "format"}
    shown = {found["id"] for found in PLACE.finditer(page)}
    made = PLACE.sub(lambda found: f"<!-- table: {found['id']} -->\n"
                     f"{table_of(asked(arguments.binary, 'info', 'format-' + found['id']))}<!-- end of table -->\n", page)
    if arguments.write:
        arguments.page.write_text(made, encoding="utf-8")
    problems = [f"{arguments.page}: no table of {missing}" for missing in sorted(brought - shown)]
    if made != page and not arguments.write:
        problems.append(f"{arguments.page}: tables differ from what the plugins say; make them anew with --write")
    print("\n".join(problems) or f"{len(shown)} tables")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
