#!/usr/bin/env python3
"""Every rule of check_rules.py finds its violations in a tree made for it, and nothing in a clean one."""

import contextlib
import pathlib
import subprocess
import sys
import tempfile
import unittest

import check_rules

HERE = pathlib.Path(__file__).resolve().parent

ARROWS = """# Architecture
```arrows
cli > report > run > {plan, rounding}
rounding > linalg > device > {tensor, plugins}
plan > pipeline > {checkpoint, plugins}
checkpoint > tensor > base > sdk
plugins > base
```
"""

# A small tree that keeps every rule, close to the edge of some.
CLEAN = {
    "docs/architecture.md": ARROWS,
    "sdk/include/halftone/abi.h": "#include <stdint.h>\n",
    "sdk/include/halftone/format.h": "#include <halftone/abi.h>\n",
    "core/base/error.hpp": "#include <string>\n",
    "core/base/json.hpp": "#include <nlohmann/json.hpp>\n",
    "core/base/os/file.cpp": '#include <fcntl.h>\n#include <sys/stat.h>\n#include "core/base/error.hpp"\n',
    "core/tensor/convert.cpp": '#include <halftone/abi.h>\n#include "core/base/error.hpp"\n',
    "core/run/engine.cpp": '#include <oneapi/tbb/task_group.h>\n#include "core/base/error.hpp"\n'
                           "int8_t narrow(int x) { return static_cast<int8_t>(x); }  // influx, fp80, fp8x\n",
    "core/cli/synth/families.cpp": 'const char* name = "flux";\n',
    "core/cli/convert/flags.cpp": 'const char* flag = "--int8";\n',
    "core/device/device.hpp": '#include "core/tensor/convert.hpp"\n',
    "core/tensor/convert.hpp": "#pragma once\n",
    "core/device/cuda/CMakeLists.txt": "halftone_add_plugin(KIND device ID cuda SOURCES cuda.cpp)\n",
    "core/device/cuda/cuda.cpp": "#include <cuda.h>\n#include <halftone/abi.h>\n",
    "core/CMakeLists.txt": "add_library(halftone_base)\n",
    "plugins/format.hpp": '#include "core/base/json.hpp"\n#include <halftone/format.h>\n',
    "formats/fp8/CMakeLists.txt": "halftone_add_plugin(KIND format ID fp8 SOURCES fp8.cpp) # not halftone_base\n",
    "formats/fp8/fp8.cpp": "#include <cmath>\n#include <immintrin.h>\n#include <halftone/format.h>\n"
                           '#include "element.hpp"\n',
    "formats/fp8/element.hpp": "#pragma once\n",
    "formats/int8/int8.cpp": '#include "formats/int8/detail/block.hpp"\n',
    "formats/int8/detail/block.hpp": "#pragma once\n",
    "formats/cast/cast.cpp": "#include <halftone/format.h>\n",
    "models/flux/table.hpp": "#include <halftone/format.h>\n",
    "optimizers/adamw/adamw.cpp": "#include <halftone/format.h>\n",
    "core/plan/plan.hpp": "enum class Action { quantize, keep, cast };\n",
    "tests/unit/base/text.cpp": 'const char* text = "\u00fc";\n',
    "README.md": "# Halftone \u2014 https://github.com/halftone\n\nTwo blanks end a line.  \n",
}

# Split, so that the rule does not find them in this file.
HOME, WORK, WHEELS = "/ho" "me/jsmith", "/wo" "rk/main", "/op" "t/wheels"

# rule, file, its text, line of the finding (0: the file as a whole)
VIOLATIONS = [
    ("plugin_includes", "formats/fp8/bad.cpp", '#include <cmath>\n#include "core/base/error.hpp"\n', 2),
    ("plugin_includes", "formats/fp8/bad.cpp", "#include <core/base/error.hpp>\n", 1),
    ("plugin_includes", "formats/fp8/bad.cpp", '#include "../../core/base/error.hpp"\n', 1),
    ("plugin_includes", "formats/fp8/bad.cpp", '#include "../int8/int8.cpp"\n', 1),
    ("plugin_includes", "formats/fp8/bad.cpp", '#  include "plugins/format.hpp"\n', 1),
    ("plugin_includes", "formats/fp8/bad.cpp", "#include <halftone/nowhere.h>\n", 1),
    ("plugin_includes", "formats/fp8/bad.cpp", '#include "sdk/include/halftone/abi.h"\n', 1),
    ("plugin_includes", "formats/fp8/bad.cpp", "#include <boost/regex.hpp>\n", 1),
    ("plugin_includes", "formats/fp8/bad.cpp", "#include SOME_HEADER\n", 1),
    ("plugin_includes", "formats/fp8/bad.cpp", '#include "gone.hpp"\n', 1),
    ("plugin_includes", "models/flux/bad.hpp", '#include "core/base/error.hpp"\n', 1),
    ("plugin_includes", "optimizers/adamw/bad.hpp", '#include "core/base/error.hpp"\n', 1),
    ("plugin_includes", "core/device/cuda/bad.cpp", '#include "core/device/device.hpp"\n', 1),
    ("plugin_includes", "formats/int8/CMakeLists.txt", "target_link_libraries(format-int8 halftone_base)\n", 1),
    ("concrete_names", "core/plan/bad.cpp", 'if (id == "fp8") {}\n', 1),
    ("concrete_names", "core/plan/bad.cpp", "// flux needs more\n", 1),
    ("concrete_names", "core/plan/bad.cpp", "int a;\nauto x = make_fp8_plan();\n", 2),
    ("concrete_names", "core/plan/bad.cpp", "class FluxProfile {};\n", 1),
    ("concrete_names", "core/plan/bad.cpp", "constexpr int INT8_BLOCK = 1;\n", 1),
    ("concrete_names", "core/cli/main.cpp", 'plan(x, "int8");\n', 1),
    ("concrete_names", "core/run/bad.cpp", 'choose("adamw");\n', 1),
    ("concrete_names", "core/run/bad.cpp", 'choose("cuda");\n', 1),
    ("concrete_names", "core/run/bad.cpp", 'choose("cast");\n', 1),
    ("concrete_names", "plugins/bad.hpp", "// format 'fp8'\n", 1),
    ("concrete_names", "core/base/CMakeLists.txt", "add_subdirectory(../../formats/fp8)\n", 1),
    ("arrows", "core/base/bad.cpp", '#include "core/tensor/convert.hpp"\n', 1),
    ("arrows", "core/tensor/bad.cpp", '#include <vector>\n#include "plugins/format.hpp"\n', 2),
    ("arrows", "core/checkpoint/bad.cpp", '#include "plugins/format.hpp"\n', 1),
    ("arrows", "plugins/bad.cpp", '#include "core/tensor/convert.hpp"\n', 1),
    ("arrows", "plugins/bad.cpp", '#include "core/plan/plan.hpp"\n', 1),
    ("arrows", "core/plan/bad.cpp", '#include "core/run/engine.cpp"\n', 1),
    ("arrows", "core/plan/bad.cpp", '#include "formats/fp8/element.hpp"\n', 1),
    ("arrows", "core/plan/bad.cpp", '#include "plan.hpp"\n', 1),
    ("arrows", "core/plan/bad.cpp", '#include "core/plan/gone.hpp"\n', 1),
    ("arrows", "core/tensor/bad.cpp", '#include "halftone/abi.h"\n', 1),
    ("arrows", "core/attic/new.cpp", "#include <vector>\n", 0),
    ("arrows", "sdk/include/halftone/bad.hpp", '#include "core/base/error.hpp"\n', 1),
    ("include_loops", "core/base/error.hpp", '#include "core/base/other.hpp"\n', None),
    ("include_loops", "core/base/self.hpp", '#include "core/base/self.hpp"\n', 1),
    ("system_headers", "core/run/bad.cpp", "#include <vector>\n#include <unistd.h>\n", 2),
    ("system_headers", "core/base/bad.cpp", "#include <sys/mman.h>\n", 1),
    ("system_headers", "core/cli/bad.cpp", "#include <csignal>\n", 1),
    ("system_headers", "plugins/bad.cpp", "#include <dlfcn.h>\n", 1),
    ("system_headers", "formats/fp8/bad.cpp", "#include <pthread.h>\n", 1),
    ("system_headers", "sdk/include/halftone/bad.h", "#include <fcntl.h>\n", 1),
    ("heavy_headers", "core/plan/bad.hpp", "#include <boost/regex.hpp>\n", 1),
    ("heavy_headers", "core/plan/bad.hpp", "#include <nlohmann/json.hpp>\n", 1),
    ("heavy_headers", "plugins/bad.hpp", "#include <toml++/toml.h>\n", 1),
    ("machine_paths", "docs/bad.md", f"Look into\n{HOME}/models.\n", 2),
    ("machine_paths", "core/run/bad.cpp", f'open("{WORK}/build");\n', 1),
    ("machine_paths", "dev", "#!/bin/sh\npip install --find-" f"links {WHEELS} torch\n", 2),
    ("machine_paths", ".ci/run", "#!/bin/sh\npip install --extra-inde" "x-url https://example.com x\n", 2),
    ("machine_paths", ".ci/run", "#!/bin/sh\ncurl http://1" "0.0.0.7:3141/simple\n", 2),
    ("machine_paths", "docs/bad.md", "https://files.pythonhoste" "d.org/packages\n", 1),
    ("machine_paths", "docs/bad.md", "docker pull ghcr.i" "o/someone/image\n", 1),
    ("text", "core/base/bad.cpp", "int a;\r\n", 1),
    ("text", "core/base/bad.cpp", "int a;  \n", 1),
    ("text", "core/base/bad.cpp", "int a;", 1),
    ("text", "core/base/bad.cpp", 'auto dots = "\u2026";\n', 1),
    ("text", "docs/bad.md", b"\xef\xbb\xbf# Title\n", 1),
    ("text", "docs/bad.md", b"# Title\n\xff\n", 2),
    ("length", "core/base/bad.cpp", "int a;\n" * 801, 0),
    ("length", "dev", "#!/usr/bin/env bash\n" + "true\n" * 801, 0),
    ("file_names", "core/base/string_utils.cpp", "int a;\n", 0),
    ("file_names", "tests/unit/common/text.cpp", "int a;\n", 0),
    ("file_names", "sdk/include/halftone/helpers.hpp", "\n", 0),
]


def write(root, files):
    for name, text in files.items():
        path = pathlib.Path(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))


@contextlib.contextmanager
def tree_of(files):
    with tempfile.TemporaryDirectory() as root:
        write(root, files)
        yield root


def findings(files, *rules):
    with tree_of(files) as root:
        tree = check_rules.read_tree(root)
        return [finding.shown(rule) for rule in rules or check_rules.RULES for finding in check_rules.RULES[rule](tree)]


class Rules(unittest.TestCase):
    def test_a_clean_tree_passes(self):
        self.assertEqual(findings(CLEAN), [])

    def test_every_rule_has_a_violation_here(self):
        self.assertEqual(set(check_rules.RULES), {rule for rule, *_ in VIOLATIONS})

    def test_every_violation_is_found_at_its_line(self):
        for rule, path, text, line in VIOLATIONS:
            files = {**CLEAN, path: text}
            if rule == "include_loops":
                files["core/base/other.hpp"] = '#include "core/base/error.hpp"\n'
            with self.subTest(rule=rule, path=path, text=text[:60]):
                found = "\n".join(findings(files, rule))
                place = path if line == 0 else f"{path}:{line}" if line else ""
                self.assertIn(f"{place}: ", found)
                self.assertIn(f"[{rule}]", found)
                if line and isinstance(text, str) and rule != "text":
                    self.assertIn(text.split("\n")[line - 1].strip(), found)

    def test_a_loop_of_files_is_shown_as_a_whole(self):
        loop = {"core/base/error.hpp": '#include "core/base/other.hpp"\n',
                "core/base/other.hpp": '#include "core/base/error.hpp"\n'}
        found = findings({**CLEAN, **loop}, "include_loops")
        self.assertIn("core/base/error.hpp > core/base/other.hpp > core/base/error.hpp", found[0])

    def test_arrows_that_form_a_loop_are_refused(self):
        with self.assertRaisesRegex(check_rules.Unreadable, "the arrows form a loop"):
            findings({**CLEAN, "docs/architecture.md": "```arrows\nbase > tensor > base\n```\n"}, "arrows")

    def test_a_page_without_arrows_is_refused(self):
        with self.assertRaisesRegex(check_rules.Unreadable, "no block ```arrows"):
            findings({**CLEAN, "docs/architecture.md": "# Architecture\n"}, "arrows")


class CommandLine(unittest.TestCase):
    def run_on(self, files, *rules):
        with tree_of(files) as root:
            command = [sys.executable, "-B", str(HERE / "check_rules.py"), root]
            for rule in rules:
                command += ["--rule", rule]
            return subprocess.run(command, capture_output=True, text=True)

    def test_a_clean_tree_is_a_success(self):
        done = self.run_on(CLEAN)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(" 0 findings", done.stdout)

    def test_a_violation_is_a_failure_and_is_printed(self):
        done = self.run_on({**CLEAN, "core/run/bad.cpp": "#include <unistd.h>\n"})
        self.assertEqual(done.returncode, 1)
        self.assertIn("core/run/bad.cpp:1: ", done.stdout)
        self.assertIn("#include <unistd.h>", done.stdout)

    def test_a_file_of_401_lines_is_only_noted(self):
        done = self.run_on({**CLEAN, "core/base/long.cpp": "int a;\n" * 401}, "length")
        self.assertEqual(done.returncode, 0)
        self.assertIn("note: core/base/long.cpp: 401 lines", done.stdout)

    def test_a_tree_without_sources_is_no_success(self):
        self.assertNotEqual(self.run_on({"README.md": "# Nothing\n"}).returncode, 0)


if __name__ == "__main__":
    unittest.main()
