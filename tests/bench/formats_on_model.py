#!/usr/bin/env python3
"""Stores a real model in every format, reads it back and says what was lost: a row of a table for each.

    formats_on_model.py MODEL --evaluate SCRIPT [--halftone BINARY] [--windows 128] [--statistics FILE] [--keep GLOB]
        [--only TEXT]

MODEL is a checkpoint with an evaluation script beside it that takes the original and dequantized checkpoints and prints
a line "KL x ± y ... PATH" for each. --statistics: activations per layer, for the error that a loader makes when it
rounds them too. Columns: bits a weight takes with its scales (of the tensors that were quantized), the relative squared
error of the weights, the divergence, and the error of the outputs, with exact activations and as loaders multiply."""

import argparse
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile

FORMATS = [  # a format and its options; a third text goes into [output]
    ("fp8", ""),
    ("fp8", 'scaling = "row"'),
    ("fp8", 'scaling = "block"'),
    ("fp8", 'scaling = "block3d"'),
    ("fp8", 'element = "e5m2"'),
    ("mxfp8", ""),
    ("int8", 'scaling = "block"'),
    ("int8", 'scaling = "lode"'),
    ("int8", 'scaling = "tensor"'),
    ("int8", 'scaling = "row"'),
    ("int8", 'scaling = "row"\nrotation = "hadamard"'),
    ("nf4", ""),
    ("nf4", 'scale = "mse"'),
    ("nf4", "", 'layout = "bitsandbytes"'),
    ("nf4", 'scale = "mse"', 'layout = "bitsandbytes"'),
    ("fp4", ""),
    ("fp4", 'scale = "mse"'),
    ("fp4", "", 'layout = "bitsandbytes"'),
    ("fp4", 'scale = "mse"', 'layout = "bitsandbytes"'),
    ("nvfp4", ""),
    ("nvfp4", 'scale = "mse"'),
    ("convrot_w4a4", ""),
    ("convrot_w4a4", 'scale = "mse"'),
    ("convrot_w4a4", 'linear_dtype = "int4"'),
    ("asym_w4a8_int8", ""),
    ("cast", 'to = "f16"'),
    ("cast", 'to = "e4m3fn"'),
    ("cast", 'to = "e5m2"'),
]


def call(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def bits(plan):
    """Of what was quantized: bits of all that is stored for it, a value."""
    stored = elements = 0
    for tensor in plan["tensors"]:
        if tensor["action"] == "quantize":
            stored += sum(output["bytes"] for output in tensor["outputs"])
            elements += math.prod(tensor["shape"])
    return 8 * stored / elements


class Trial:
    def __init__(self, arguments, folder, index, format_id, options, output=""):
        self.arguments, self.format_id = arguments, format_id
        self.shown = "\n".join(text for text in (output, options) if text)
        self.pipeline, self.stored = folder / f"{index}.toml", folder / f"{index}.safetensors"
        self.plain = folder / f"{index}-plain.safetensors"
        kept = f'[[rule]]\nmatch = {json.dumps(arguments.keep)}\naction = "keep"' if arguments.keep else ""
        self.pipeline.write_text(f"""[input]
path = "{arguments.model.resolve()}"
[output]
path = "{self.stored}"
{output}
[model]
profile = "none"
[quantize]
format = "{format_id}"
{options}
{kept}
""", encoding="utf-8")

    def figures(self):
        halftone = self.arguments.halftone
        plan = json.loads(call(halftone, "plan", self.pipeline, "--json"))
        call(halftone, "run", self.pipeline)
        if self.format_id == "cast":  # plain numbers already, which dequantize has nothing to do with
            self.stored.rename(self.plain)
            self.stored = self.plain
        else:
            call(halftone, "dequantize", self.stored, "-o", self.plain, "--dtype", "f32")
        more = ["--stats", self.arguments.statistics] if self.arguments.statistics else []
        compared = json.loads(call(halftone, "compare", self.arguments.model, self.stored, "--json", *more))
        divergence = call(sys.executable, self.arguments.evaluate, self.arguments.model, self.plain, "--windows",
                          self.arguments.windows)
        found = re.search(r"KL (\S+) ± (\S+)", divergence)
        self.plain.unlink()
        self.stored.unlink(missing_ok=True)
        return plan, compared, found[1], found[2]

    def row(self):
        plan, compared, divergence, error = self.figures()
        total = compared["total"]
        cells = [self.format_id, self.shown.replace("\n", ", "), f"{bits(plan):.2f}",
                 f"{total['relmse']:.3g}", f"{divergence} ± {error}"]
        if self.arguments.statistics:
            cells += [f"{total[name]:.3g}" if total.get(name) is not None else "-"
                      for name in ("output", "run_time")]
        return "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--evaluate", required=True, type=pathlib.Path)
    parser.add_argument("--halftone", default="halftone")
    parser.add_argument("--windows", default="128")
    parser.add_argument("--statistics", type=pathlib.Path)
    parser.add_argument("--keep", action="append", help="a glob of tensors that stay as they are")
    parser.add_argument("--only", default="", help="rows whose format or options hold this text")
    arguments = parser.parse_args()
    header = ["Format", "Options", "Bits", "relMSE", "KL, nats"]
    if arguments.statistics:
        header += ["Outputs, exact activations", "Outputs, as loaders multiply"]
    print("| " + " | ".join(header) + " |\n|" + "---|" * len(header), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for index, row in enumerate(FORMATS):
            if arguments.only in " ".join(row):
                print(Trial(arguments, pathlib.Path(folder), index, *row).row(), flush=True)


if __name__ == "__main__":
    main()
