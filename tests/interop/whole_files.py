"""How tests of whole files go: they have Halftone write some, read them with the safetensors package, and count what is
wrong with them."""

import os
import pathlib
import subprocess
import sys
import tempfile

import references as ref  # first: without PyTorch it ends the test as skipped

try:
    from safetensors import safe_open
except ImportError:
    ref.skip("the safetensors package is not installed; ./dev interop installs it")


class Report:
    def __init__(self):
        self.failures = 0

    def check(self, condition, what):
        if not condition:
            self.failures += 1
            print(f"WRONG: {what}")


def read(path):
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}


def halftone(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def quantized(program, source, target, weight_format, options="", layout="comfyui"):
    """Tensors and metadata of what `halftone run` writes; options are lines of TOML."""
    pipeline = target.with_suffix(".toml")
    pipeline.write_text(
        f'[input]\npath = "{source}"\n[output]\npath = "{target}"\nlayout = "{layout}"\n[model]\nprofile = "none"\n'
        f'[quantize]\nformat = "{weight_format}"\n[format.{weight_format}]\n{options}\n'
    )
    halftone(program, "run", "--quiet", pipeline)
    return read(target)


def dequantized(program, path):
    target = path.with_suffix(".back.safetensors")
    halftone(program, "dequantize", "--quiet", path, "-o", target, "--dtype", "f32")
    return read(target)[0]


def run_test(check):
    """Calls it with the program of the command line, a folder for files and a report, whose failures it ends with."""
    program = pathlib.Path(sys.argv[1])
    if not os.access(program, os.X_OK):
        ref.skip(f"there is no {program}; build it first")
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        check(program, pathlib.Path(folder), report)
    sys.exit(report.failures > 0)
