#!/usr/bin/env python3
"""Checks what the documents say against what is there: links, commands with their options, and pipelines."""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

from source_tree import Finding, Tree

NOT_CHECKED = re.compile(r"<!--\s*not checked:\s*\S.*-->")


class Block:
    """A fenced block of a page."""

    def __init__(self, path, line, language, lines, checked):
        self.path, self.line, self.language, self.lines, self.checked = path, line, language, lines, checked

    @property
    def text(self):
        return "\n".join(self.lines) + "\n"


def pages(tree):
    return [path for path in tree.files if path.suffix == ".md"]


def blocks(tree, path):
    """A line `<!-- not checked: why -->` above a block leaves it out."""
    found, lines, start, language, before = [], None, 0, "", ""
    for number, line in enumerate(tree.lines(path), 1):
        if line.lstrip().startswith("```"):
            if lines is None:
                lines, start, language = [], number + 1, line.strip().strip("`").strip()
            else:
                found.append(Block(path, start, language, lines, not NOT_CHECKED.search(before)))
                lines, before = None, ""
        elif lines is not None:
            lines.append(line)
        elif line.strip():
            before = line
    return found


# -------------------------------------------------------------------------------------------------------- links
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchors(tree, path):
    """The names that headings get, as most renderers make them."""
    names = set()
    for line in tree.lines(path):
        if line.startswith("#"):
            heading = re.sub(r"[`*\[\]]|\([^)]*\)", "", line.lstrip("#").strip()).lower()
            names.add(re.sub(r"[^\w\- ]", "", heading).replace(" ", "-"))
    return names


def check_links(tree, _arguments):
    for path in pages(tree):
        for number, line in enumerate(tree.lines(path), 1):
            for target in LINK.findall(re.sub(r"`[^`]*`", "", line)):
                if re.match(r"[a-z]+:", target):
                    continue
                name, _, anchor = target.partition("#")
                place = path
                if name:
                    resolved = (tree.root / path.parent / name).resolve()
                    if not resolved.exists():
                        yield Finding(path, number, f"there is no {name}", line)
                        continue
                    place = pathlib.PurePosixPath(resolved.relative_to(tree.root).as_posix())
                if anchor and place.suffix == ".md" and anchor not in anchors(tree, place):
                    yield Finding(path, number, f"{place} has no heading #{anchor}", line)


# ----------------------------------------------------------------------------------------------------- commands
PROGRAM = re.compile(r"^(?:[A-Z_]+=\S*\s+)*(?:\S*/)?halftone\s+(?P<rest>[a-z].*)")
INLINE = re.compile(r"`([^`]+)`")


def run(*command, **settings):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          **settings)


class Program:
    """What the binary says that it can."""

    def __init__(self, binary):
        self.binary = binary
        self.commands = self._words(run(binary, "help").stdout)
        self._help = {}

    @staticmethod
    def _words(text):
        return set(re.findall(r"^  ([a-z]+) ", text.partition("commands:")[2], re.MULTILINE))

    def help(self, command):
        if command not in self._help:
            self._help[command] = run(self.binary, "help", command).stdout
        return self._help[command]

    def problem(self, rest):
        """What is wrong with `halftone REST`; None if nothing."""
        words = re.split(r"\s+", re.sub(r"\s[#|>].*|\s\\$", "", rest).strip())
        if words[0] not in self.commands:
            return f"halftone has no command '{words[0]}'"
        if words[0] == "help":
            return None if len(words) < 2 or words[1] in self.commands or words[1].isupper() else \
                f"halftone has no command '{words[1]}'"
        for word in words[1:]:
            option = re.match(r"\[?(--?[a-z][a-z-]*)", word)
            if option and not re.search(rf"(?<![\w-]){re.escape(option[1])}(?![\w-])", self.help(words[0])):
                return f"'halftone help {words[0]}' knows no {option[1]}"
        return None


def commands_of(tree, path):
    """(line number, text) of everything that a page shows as code."""
    for block in blocks(tree, path):
        if block.checked and block.language in ("console", "sh", "bash", "text", ""):
            for number, line in enumerate(block.lines, block.line):
                if block.language == "console" and not line.startswith("$ "):
                    continue  # what a command prints
                yield number, line.removeprefix("$ ")
    inside = False
    for number, line in enumerate(tree.lines(path), 1):
        if line.lstrip().startswith("```"):
            inside = not inside
        elif not inside:
            for text in INLINE.findall(line):
                yield number, text
            if line.startswith("    ") and path.name == "README.md":
                yield number, line.strip()


def check_commands(tree, arguments):
    program = Program(arguments.binary)
    if not program.commands:
        sys.exit(f"'{arguments.binary} help' lists no commands")
    own = set(re.findall(r"^  ([a-z]+)\b", run("bash", tree.root / "dev", "help").stdout, re.MULTILINE))
    own |= {"asan", "tsan"}
    for path in pages(tree):
        for number, text in commands_of(tree, path):
            found = PROGRAM.match(text)
            problem = program.problem(found["rest"]) if found else None
            script = re.search(r"(?:^|\s)\./dev ([a-z]+)", text)
            if script and script[1] not in own:
                problem = f"./dev has no command '{script[1]}'"
            if problem:
                yield Finding(path, number, problem, text)


# ---------------------------------------------------------------------------------------------------- pipelines
def check_pipelines(tree, arguments):
    """Every pipeline in a page or under docs/examples can be planned for a small model."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        model = folder / "model.safetensors"
        made = run(arguments.binary, "synth", "--family", "flux", "--layers", "1", "--scale", "tiny", "--dtype", "f32",
                   "--seed", "1", "-o", model)
        if made.returncode:
            sys.exit(f"no model to plan for: {made.stderr}")
        given = [Block(path, 1, "toml", tree.lines(path)[:-1], True) for path in tree.under("docs/examples")
                 if path.suffix == ".toml"]
        given += [block for path in pages(tree) for block in blocks(tree, path) if block.language == "toml"]
        for block in given:
            if block.checked:
                yield from plan(arguments.binary, folder, model, block)


def plan(binary, folder, model, block):
    pipeline = folder / "pipeline.toml"
    text = block.text
    if not re.search(r"^\s*\[quantize\]", text, re.MULTILINE):
        text += '[quantize]\nformat = "keep"\n'  # a fragment
    pipeline.write_text(text, encoding="utf-8")
    planned = run(binary, "plan", pipeline, "-i", model, "-o", folder / "output.safetensors", cwd=folder)
    if planned.returncode:
        place = re.search(r"pipeline\.toml:(\d+)", planned.stderr)
        line = block.line + (int(place[1]) - 1 if place else 0)
        yield Finding(block.path, line, planned.stderr.strip().replace(str(folder) + "/", ""))


CHECKS = {"links": check_links, "commands": check_commands, "pipelines": check_pipelines}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root")
    parser.add_argument("--check", choices=CHECKS, action="append")
    parser.add_argument("--binary", help="the program, for commands and pipelines")
    arguments = parser.parse_args()
    if arguments.binary:
        arguments.binary = pathlib.Path(arguments.binary).resolve()
    tree = Tree(arguments.root)
    total = 0
    for name in arguments.check or CHECKS:
        for finding in CHECKS[name](tree, arguments):
            print(finding.shown(name))
            total += 1
    print(f"{len(pages(tree))} pages, {total} findings")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
