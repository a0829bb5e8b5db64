"""The files of a source tree, and what a line of C++ includes and says."""

import functools
import os
import pathlib
import re
import subprocess

CXX = {".cpp", ".hpp", ".c", ".h", ".cu", ".cuh"}
CODE = CXX | {".py", ".sh", ".cmake", ".in"}
TEXT = CODE | {".md", ".toml", ".json", ".txt", ".map", ".supp", ".yml", ".yaml"}
IGNORED_FOLDERS = {".git", "build", ".venv", ".cache", "__pycache__"}

INCLUDE = re.compile(r'^\s*#\s*include(?P<next>_next)?\s*(?:"(?P<quoted>[^"]+)"|<(?P<angled>[^>]+)>|(?P<macro>\w+))')


class Unreadable(Exception):
    """The tree is not what the rules are made for."""


class Finding:
    """A violation, at a line of a file."""

    def __init__(self, path, line, what, text=""):
        self.path, self.line, self.what, self.text = path, line, what, text.strip()

    def shown(self, rule):
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{place}: {self.what}  [{rule}]" + (f"\n    {self.text}" if self.text else "")


class Include:
    """One #include, with the file of the tree that it means, if it is one."""

    def __init__(self, line, text, name, quoted, resolved):
        self.line, self.text, self.name, self.quoted, self.resolved = line, text, name, quoted, resolved


class Tree:
    """A repository, or a folder shaped like one."""

    def __init__(self, root):
        self.root = pathlib.Path(root).resolve()
        self.files = sorted(self._find())
        self._known = set(self.files)

    def _find(self):
        try:
            top = self._git("rev-parse", "--show-toplevel").strip()
            if pathlib.Path(top).resolve() == self.root:
                names = self._git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
                return {pathlib.PurePosixPath(n) for n in names if n and (self.root / n).is_file()}
        except (OSError, subprocess.CalledProcessError):
            pass  # no git, or an exported tree
        found = set()
        for folder, folders, names in os.walk(self.root):
            folders[:] = [f for f in folders if f not in IGNORED_FOLDERS]
            for name in names:
                found.add(pathlib.PurePosixPath((pathlib.Path(folder) / name).relative_to(self.root).as_posix()))
        return found

    def _git(self, *arguments):
        return subprocess.run(["git", "-C", str(self.root), *arguments], check=True, capture_output=True,
                              text=True).stdout

    def under(self, *folders, suffixes=None):
        for path in self.files:
            if any(str(path).startswith(f"{folder}/") for folder in folders):
                if suffixes is None or path.suffix in suffixes:
                    yield path

    def subfolders(self, folder):
        depth = len(pathlib.PurePosixPath(folder).parts)
        return sorted({p.parts[depth] for p in self.under(folder) if len(p.parts) > depth + 1})

    @functools.lru_cache(maxsize=None)
    def data(self, path):
        return (self.root / path).read_bytes()

    @functools.lru_cache(maxsize=None)
    def lines(self, path):
        return self.data(path).decode("utf-8", errors="replace").split("\n")

    def exists(self, path):
        return pathlib.PurePosixPath(path) in self._known

    @functools.lru_cache(maxsize=None)
    def includes(self, path):
        found = []
        for number, text in enumerate(self.lines(path), 1):
            match = INCLUDE.match(text)
            if not match:
                continue
            name = match["quoted"] or match["angled"] or match["macro"]
            found.append(Include(number, text, name, bool(match["quoted"]), self._resolve(path, name)))
        return found

    def _resolve(self, path, name):
        """What the compiler would find, with the include folders of this project."""
        for base in (path.parent, pathlib.PurePosixPath(), pathlib.PurePosixPath("sdk/include")):
            candidate = pathlib.PurePosixPath(os.path.normpath(base / name))
            if candidate in self._known:
                return candidate
        return None
