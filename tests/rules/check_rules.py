#!/usr/bin/env python3
"""Checks what the sources may include, name and look like. Each rule prints file:line and the offending line."""

import argparse
import pathlib
import re
import sys

from source_tree import CODE, CXX, TEXT, Finding, Tree, Unreadable

PLUGIN_FOLDERS = ("formats", "optimizers", "models")
HOST_FOLDERS = ("core", "plugins")
OWN_FOLDERS = HOST_FOLDERS + PLUGIN_FOLDERS + ("sdk", "tests")
DEVICE_PLUGINS = "core/device"
BUILT_IN_DEVICES = {"cpu"}  # part of core, not of a plugin
MAY_NAME_PLUGINS = ("core/cli/convert", "core/cli/synth")
POSIX_FOLDER = "core/base/os"
LINES_WARN, LINES_MOST = 400, 800


# ---------------------------------------------------------------------------------------- plugins know only sdk/
def device_plugins(tree):
    return [d for d in tree.subfolders(DEVICE_PLUGINS) if d not in BUILT_IN_DEVICES]


def plugin_roots(tree):
    """The folder of every bundled plugin."""
    roots = [pathlib.PurePosixPath(kind, name) for kind in PLUGIN_FOLDERS for name in tree.subfolders(kind)]
    return roots + [pathlib.PurePosixPath(DEVICE_PLUGINS, d) for d in device_plugins(tree)]


OTHER_LIBRARIES = re.compile(r"^(boost|fmt|spdlog|nlohmann|toml\+\+|tbb|oneapi|gtest|benchmark)/")
HOST_TARGETS = re.compile(r"\bhalftone_(base|tensor|checkpoint|pipeline|plan|plugins|run|report|cli|device|linalg|"
                          r"rounding)\b|PROJECT_SOURCE_DIR|CMAKE_SOURCE_DIR")


def check_plugin_includes(tree):
    """A bundled plugin includes halftone/ headers of sdk/, its own folder and the system, nothing else."""
    for root in plugin_roots(tree):
        for path in tree.under(root, suffixes=CXX):
            for include in tree.includes(path):
                problem = plugin_include_problem(include, root)
                if problem:
                    yield Finding(path, include.line, problem, include.text)
        for path in tree.under(root):
            if path.name == "CMakeLists.txt" or path.suffix == ".cmake":
                for number, line in enumerate(tree.lines(path), 1):
                    if HOST_TARGETS.search(line.split("#")[0]):
                        yield Finding(path, number, "a plugin links halftone::sdk and nothing else of ours", line)


def plugin_include_problem(include, root):
    if include.resolved is not None:
        inside = include.resolved.parts
        if inside[:3] == ("sdk", "include", "halftone") and include.name.startswith("halftone/"):
            return None
        if inside[: len(root.parts)] == root.parts:
            return None
        return f"a plugin may include halftone/ headers and its own folder, not {include.resolved}"
    if include.quoted:
        return "a quoted include must name a file of the plugin's own folder"
    if include.name.startswith("halftone/"):
        return "there is no such header in sdk/include"
    if OTHER_LIBRARIES.match(include.name):
        return "a bundled plugin needs no library that the SDK does not bring"
    if re.match(r"\w+$", include.name) and include.name.isupper():
        return "the file that a macro includes cannot be checked"
    return None


# ------------------------------------------------------------------------------------- the host names no plugin
# Ids that are words of the host's own as well; of these only a whole text literal is an offence.
ORDINARY_WORDS = {"cast"}
LANGUAGE_WORDS = re.compile(r"\b(u?int(_fast|_least)?\d+_t|u?int(ptr|max)_t|\w+_cast)\b")
CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z0-9]+")


def plugin_ids(tree):
    ids = {name: kind for kind in PLUGIN_FOLDERS for name in tree.subfolders(kind)}
    ids.update({name: DEVICE_PLUGINS for name in device_plugins(tree)})
    return ids


def id_in_line(line, ids):
    """The id that a line names, in code, text or comment; also as part of an identifier."""
    line = LANGUAGE_WORDS.sub(" ", line)
    for quoted in re.findall(r"\"([^\"]*)\"|'([^']*)'", line):
        for text in quoted:
            if text.lower() in ids:
                return text.lower()
    words = re.findall(r"[A-Za-z0-9]+", line)
    words += [part for word in words for part in CAMEL.findall(word)]
    # An id may hold a separator: acme.int4, bnb_nf4.
    lowered = line.lower()
    for name in ids:
        if name in ORDINARY_WORDS:
            continue
        if name in (word.lower() for word in words):
            return name
        if re.search(r"[_.-]", name) and re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", lowered):
            return name
    return None


def check_concrete_names(tree):
    """core/ and plugins/ name no concrete format, optimizer, profile or device, not even in a comment."""
    ids = plugin_ids(tree)
    for path in tree.under(*HOST_FOLDERS):
        inside = str(path)
        if path.suffix not in CODE | {".txt"} or inside.startswith(tuple(f"{f}/" for f in MAY_NAME_PLUGINS)):
            continue
        if any(inside.startswith(f"{DEVICE_PLUGINS}/{d}/") for d in device_plugins(tree)):
            continue
        for number, line in enumerate(tree.lines(path), 1):
            name = id_in_line(line, ids)
            if name:
                yield Finding(path, number, f"'{name}' is a plugin under {ids[name]}/; the host names none", line)


# ------------------------------------------------------------------------------------------------- the arrows
ARROWS_PAGE = pathlib.PurePosixPath("docs/architecture.md")


def read_arrows(tree):
    """The block ```arrows of the architecture page: what may include what. Returns part -> everything below it."""
    below = {}
    inside = False
    for line in tree.lines(ARROWS_PAGE):
        if line.startswith("```"):
            inside = line.strip() == "```arrows"
            continue
        if inside and line.strip():
            groups = [re.findall(r"\w+", group) for group in line.split(">")]
            for upper, lower in zip(groups, groups[1:]):
                for name in upper:
                    below.setdefault(name, set()).update(lower)
                for name in lower:
                    below.setdefault(name, set())
    if not below:
        raise Unreadable(f"{ARROWS_PAGE}: no block ```arrows that says what may include what")
    changed = True
    while changed:
        changed = False
        for name, direct in below.items():
            reached = set().union(direct, *(below[d] for d in direct))
            if reached != direct:
                below[name] = reached
                changed = True
    for name, reached in below.items():
        if name in reached:
            raise Unreadable(f"{ARROWS_PAGE}: the arrows form a loop through '{name}'")
    return below


def part_of(path):
    """core/base/os/file.hpp -> base; plugins/format.hpp -> plugins; sdk/... -> sdk."""
    if path.parts[0] == "core" and len(path.parts) > 2:
        return path.parts[1]
    if path.parts[0] in ("plugins", "sdk"):
        return path.parts[0]
    return None


def check_arrows(tree):
    """Includes inside core/, plugins/ and sdk/ follow the arrows of docs/architecture.md."""
    below = read_arrows(tree)
    outside = {pathlib.PurePosixPath(DEVICE_PLUGINS, d) for d in device_plugins(tree)}
    for path in tree.under("core", "plugins", "sdk/include", suffixes=CXX):
        if any(root in path.parents for root in outside):
            continue
        part = part_of(path)
        if part not in below:
            yield Finding(path, 0, f"'{part}' has no place in the arrows of {ARROWS_PAGE}")
            continue
        for include in tree.includes(path):
            problem = arrow_problem(include, part, below)
            if problem:
                yield Finding(path, include.line, problem, include.text)


def arrow_problem(include, part, below):
    if include.resolved is None:
        return "there is no such file from the root of the repository" if include.quoted else None
    target = part_of(include.resolved)
    if target is None:
        return f"{part} may not include anything of {include.resolved.parts[0]}/"
    if target == "sdk":
        if not include.name.startswith("halftone/") or include.quoted:
            return "a header of the SDK is included as <halftone/...>"
    elif include.name != str(include.resolved):
        return f'includes are written from the root of the repository: "{include.resolved}"'
    if target != part and target not in below[part]:
        return f"{part} may not include {target}: the arrows of {ARROWS_PAGE} do not lead there"
    return None


def check_include_loops(tree):
    """No file includes itself, by whatever way."""
    state = {}

    def visit(path, trail):
        state[path] = "open"
        for include in tree.includes(path):
            target = include.resolved
            if target is None:
                continue
            if state.get(target) == "open":
                loop = trail[trail.index(target):] if target in trail else [path]
                way = " > ".join(map(str, loop + [target]))
                yield Finding(path, include.line, f"closes a loop: {way}", include.text)
            elif target not in state:
                yield from visit(target, trail + [target])
        state[path] = "done"

    for path in tree.under(*OWN_FOLDERS, suffixes=CXX):
        if path not in state:
            yield from visit(path, [path])


# -------------------------------------------------------------------------------------------- systems and weight
POSIX = re.compile(r"^(sys|linux|netinet|arpa|mach|mach-o)/|^(aio|dirent|dlfcn|elf|execinfo|fcntl|fnmatch|ftw|glob|grp|"
                   r"io|langinfo|libgen|link|netdb|poll|pthread|pwd|sched|semaphore|signal|spawn|strings|syslog|"
                   r"termios|ucontext|unistd|utime|wait|windows|wordexp)\.h$|^csignal$")


def check_system_headers(tree):
    """Calls of the operating system stay in one folder, where another system can be added."""
    for path in tree.under(*HOST_FOLDERS, *PLUGIN_FOLDERS, "sdk", suffixes=CXX):
        if str(path).startswith(f"{POSIX_FOLDER}/"):
            continue
        if any(str(path).startswith(f"{DEVICE_PLUGINS}/{d}/") for d in device_plugins(tree)):
            continue  # a driver is looked up when it is asked for, and a plugin cannot ask the host to
        for include in tree.includes(path):
            if not include.quoted and POSIX.match(include.name):
                yield Finding(path, include.line, f"headers of the operating system belong into {POSIX_FOLDER}/",
                              include.text)


HEAVY = re.compile(r"^(boost|toml\+\+|nlohmann|spdlog|tbb|oneapi/tbb)/|^(toml\+\+|tbb)")
HEAVY_PLACES = {"core/base/json.hpp"}


def check_heavy_headers(tree):
    """Large libraries are included by .cpp files, not by headers."""
    for path in tree.under(*HOST_FOLDERS, "sdk/include", suffixes={".hpp", ".h", ".cuh"}):
        if str(path) in HEAVY_PLACES:
            continue
        for include in tree.includes(path):
            if HEAVY.match(include.name):
                yield Finding(path, include.line, "a header that everyone includes must not include this library",
                              include.text)


# ------------------------------------------------------------------------------------------------ all text files
# Brackets keep these expressions from finding themselves. Ada, someone, user and you are
# nobody's accounts, and /mnt/c is where every WSL2 has its Windows.
MACHINE = re.compile(
    r"(?<![\w.])/(?:hom[e]/(?!(?:ada|someone|user|you)\b)\w|roo[t]/|Use[r]s/\w|wor[k]/|mn[t]/(?!c\b)\w"
    r"|medi[a]/\w|nf[s]/\w|op[t]/(?:wheels|pypi))"
    r"|[A-Za-z]:\\\\?Use[r]s\\"
    r"|--(?:extra-)?inde[x]-url|--find-link[s]|--trusted-hos[t]|inde[x]\.docker"
    r"|\b(?:files\.)?pythonhoste[d]\.org|\bpypi\.or[g]/simple|\bdownload\.pytorc[h]\.org|\b(?:deb|ftp)\.debia[n]\.org"
    r"|\barchive\.ubunt[u]\.com|\b(?:ghcr|quay|docker)\.i[o]/|\bregistr[y]\.[\w-]+\.\w+|\bregistr[y]-1\."
    r"|https?://(?:localhos[t]|127\.|10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.)"
    r"|\b[\w-]+\.(?:interna[l]|corp|lan)\b(?=[:/])")


def check_machine_paths(tree):
    """Nothing in the repository depends on the machine or the network it was written on."""
    for path in tree.files:
        if b"\0" in tree.data(path)[:8192]:
            continue
        for number, line in enumerate(tree.lines(path), 1):
            found = MACHINE.search(line)
            if found:
                yield Finding(path, number, f"'{found[0]}' belongs to one machine or network", line)


def is_script(tree, path):
    return tree.data(path).startswith(b"#!")


def check_text(tree):
    """UTF-8 without a mark, line feeds, a final one, no trailing blanks; ASCII in what compilers and shells read."""
    for path in tree.files:
        data = tree.data(path)
        if path.suffix not in TEXT and not is_script(tree, path) and path.name not in ("LICENSE", ".gitignore"):
            continue
        if data.startswith(b"\xef\xbb\xbf"):
            yield Finding(path, 1, "starts with a byte order mark")
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as problem:
            yield Finding(path, data[: problem.start].count(b"\n") + 1, "is not UTF-8")
            continue
        if data and not data.endswith(b"\n"):
            yield Finding(path, len(tree.lines(path)), "the last line has no end")
        ascii_only = (path.suffix in CODE or is_script(tree, path)) and path.parts[0] != "tests"
        for number, line in enumerate(tree.lines(path), 1):
            if "\r" in line:
                yield Finding(path, number, "a carriage return")
            elif line != line.rstrip() and path.suffix != ".md":
                yield Finding(path, number, "blanks at the end of a line", line)
            elif ascii_only and not line.isascii():
                yield Finding(path, number, "a character beyond ASCII; write it as an escape", line)


def check_length(tree):
    """A file of more than 400 lines wants to be two; one of more than 800 has to be."""
    for path in tree.files:
        if path.suffix not in CODE and not is_script(tree, path):
            continue
        lines = len(tree.lines(path)) - 1
        if lines > LINES_MOST:
            yield Finding(path, 0, f"{lines} lines; more than {LINES_MOST} are too many")
        elif lines > LINES_WARN:
            print(f"note: {path}: {lines} lines; over {LINES_WARN} a file wants to be two")


EMPTY_NAMES = re.compile(r"(^|[_.-])(util|utils|utilities|helper|helpers|misc|common)([_.-]|$)", re.IGNORECASE)


def check_file_names(tree):
    """Files and folders say what is inside."""
    for path in tree.under(*OWN_FOLDERS):
        for part in path.parts:
            if EMPTY_NAMES.search(part):
                yield Finding(path, 0, f"'{part}' does not say what is inside")


RULES = {
    "plugin_includes": check_plugin_includes,
    "concrete_names": check_concrete_names,
    "arrows": check_arrows,
    "include_loops": check_include_loops,
    "system_headers": check_system_headers,
    "heavy_headers": check_heavy_headers,
    "machine_paths": check_machine_paths,
    "text": check_text,
    "length": check_length,
    "file_names": check_file_names,
}


def read_tree(root):
    tree = Tree(root)
    if not any(tree.under("core", suffixes=CXX)):
        raise Unreadable(f"{root}: there are no sources under core/; is this the root of the repository?")
    return tree


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?")
    parser.add_argument("--list", action="store_true", help="the names of the rules")
    parser.add_argument("--rule", action="append", choices=RULES, help="only this one; may be given again")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(RULES))
        return 0
    if not arguments.root:
        parser.error("the root of the repository is missing")

    total = 0
    try:
        tree = read_tree(arguments.root)
        for name in arguments.rule or RULES:
            for finding in RULES[name](tree):
                print(finding.shown(name))
                total += 1
    except Unreadable as problem:
        sys.exit(str(problem))
    print(f"{len(arguments.rule or RULES)} rules, {len(tree.files)} files, {total} findings")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
