#!/usr/bin/env python3
"""check_docs.py finds what documents get wrong, and nothing in a clean one, with a program made for the test."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent

# Knows two commands, and no pipeline that says "wrong".
PROGRAM = """#!/usr/bin/env python3
import sys
arguments = sys.argv[1:]
if arguments == ["help"]:
    print("usage: halftone COMMAND\\n\\ncommands:\\n  plan       show\\n  synth      make\\n")
elif arguments == ["help", "plan"]:
    print("options:\\n  -i [ --input ] PATH  read\\n  --json  print")
elif arguments[0] == "synth":
    open(arguments[-1], "w").close()
elif arguments[0] == "plan":
    for number, line in enumerate(open(arguments[1]), 1):
        if "wrong" in line:
            sys.exit(f"error: pipeline.toml:{number}:1: unknown key 'wrong'")
"""
DEV = "#!/usr/bin/env bash\necho '  demo   build'\n"
PAGE = """# Title

See [the other](docs/other.md#a-part) and [the web](https://example.com).

    ./dev demo

```console
$ halftone plan p.toml -i model --json
halftone nonsense that is printed
```

`halftone synth` and `build/bin/halftone plan p.toml`.

```toml
[output]
kept = "bf16"
```

<!-- not checked: an example of a mistake -->
```toml
wrong = 1
```
"""


class Docs(unittest.TestCase):
    def findings(self, page, check):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "docs").mkdir()
            (root / "README.md").write_text(page)
            (root / "docs" / "other.md").write_text("# Other\n\n## A part\n")
            (root / "dev").write_text(DEV)
            binary = root / "halftone"
            binary.write_text(PROGRAM)
            binary.chmod(0o755)
            done = subprocess.run([sys.executable, "-B", str(HERE / "check_docs.py"), folder, "--binary", str(binary),
                                   "--check", check], capture_output=True, text=True)
            self.assertEqual(done.stderr, "")
            self.assertEqual(done.returncode, 1 if done.stdout.count("\n") > 1 else 0)
            return done.stdout

    def assert_found(self, old, new, check, *texts):
        page = PAGE.replace(old, new)
        self.assertNotEqual(page, PAGE)
        found = self.findings(page, check)
        for text in texts:
            self.assertIn(text, found)

    def test_a_clean_page_passes(self):
        for check in ("links", "commands", "pipelines"):
            self.assertIn(" 0 findings", self.findings(PAGE, check))

    def test_dead_links_are_found(self):
        self.assert_found("docs/other.md#a-part", "docs/gone.md", "links", "README.md:3: there is no docs/gone.md")
        self.assert_found("#a-part", "#no-part", "links", "README.md:3: docs/other.md has no heading #no-part")

    def test_commands_and_options_that_are_not_there_are_found(self):
        self.assert_found("$ halftone plan", "$ halftone plane", "commands", "README.md:8:", "no command 'plane'")
        self.assert_found("--json", "--jsn", "commands", "README.md:8:", "'halftone help plan' knows no --jsn")
        self.assert_found("-i model", "-x model", "commands", "knows no -x")
        self.assert_found("`halftone synth`", "`halftone syn`", "commands", "README.md:12:", "no command 'syn'")
        self.assert_found("bin/halftone plan", "bin/halftone pln", "commands", "no command 'pln'")
        self.assert_found("./dev demo", "./dev dmeo", "commands", "README.md:5: ./dev has no command 'dmeo'")

    def test_pipelines_that_cannot_be_planned_are_found_at_their_line(self):
        self.assert_found('kept = "bf16"', "wrong = 1", "pipelines", "README.md:16:", "unknown key 'wrong'")
        self.assert_found("<!-- not checked: an example of a mistake -->", "", "pipelines", "README.md:21:")
        self.assert_found("not checked: an example of a mistake", "not checked:", "pipelines", "README.md:21:")


if __name__ == "__main__":
    unittest.main()
