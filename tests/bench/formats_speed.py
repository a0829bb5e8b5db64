#!/usr/bin/env python3
"""Rounds a model to nearest in every format that is found, whole runs, and says how fast each is beside fp8.

    formats_speed.py [--halftone BINARY] [--layers 1] [--rounds 3] [--folder FOLDER]

The model is Flux-shaped, in BF16, and lies in the page cache. Formats take turns, so that a slow minute of the machine
meets all of them; the least time counts."""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

# Not the defaults alone: what a format does by other options may take another way through the weights.
MORE = {"fp8": ['scaling = "row"', 'scaling = "block"'],
        "int8": ['scaling = "block"', 'rotation = "hadamard"']}


def call(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def seconds_of(halftone, folder, model, format_id, options):
    pipeline, output = folder / "p.toml", folder / "out.safetensors"
    pipeline.write_text(f'[input]\npath = "{model}"\n[output]\npath = "{output}"\nreplace = true\n'
                        f'[run]\ndevice = "cpu"\n[quantize]\nformat = "{format_id}"\n{options}\n', encoding="utf-8")
    took = json.loads(call(halftone, "run", pipeline, "--no-progress", "--json"))["run"]["seconds"]
    output.unlink()
    return took


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--halftone", default="halftone")
    parser.add_argument("--layers", default="1")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="for the model and what is written; a memory file system leaves the disk out")
    arguments = parser.parse_args()
    plugins = json.loads(call(arguments.halftone, "plugins", "list", "--json"))["plugins"]
    formats = [p["id"] for p in plugins if p["kind"] == "format"]
    trials = [(f, options) for f in formats for options in ["", *MORE.get(f, [])]]
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = pathlib.Path(name)
        model = folder / "model.safetensors"
        call(arguments.halftone, "synth", "--family", "flux", "--scale", "full", "--layers", arguments.layers,
             "--no-progress", "-o", model)
        size = model.stat().st_size
        least = {trial: float("inf") for trial in trials}
        for _ in range(arguments.rounds):
            for trial in trials:
                least[trial] = min(least[trial], seconds_of(arguments.halftone, folder, model, *trial))
    print("| Format | Options | GB/s | beside fp8 |\n|---|---|---|---|")
    for (format_id, options), took in least.items():
        shown = options.replace("\n", ", ")
        print(f"| {format_id} | {shown} | {size / took / 1e9:.2f} | {least['fp8', ''] / took:.2f} |")


if __name__ == "__main__":
    main()
