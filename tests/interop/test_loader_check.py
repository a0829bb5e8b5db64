#!/usr/bin/env python3
"""`halftone check --for comfyui` says of every file what the loader does with it: files as Halftone writes them, and
such files changed in one thing each, as other programs or people write them.

For each, loader_emulation.py does what the loader does, multiplies, and compares with the numbers that the file means.

test_loader_check.py HALFTONE [--list]
"""

import json
import subprocess
import sys

import references as ref  # first: without PyTorch it ends the test as skipped

from loader_files import outcomes
from loader_trials import trials
from whole_files import run_test

from safetensors.torch import save_file  # whole_files skips the test where it is missing


def said(program, path):
    """Layer -> whether it is taken, and the file as a whole."""
    done = subprocess.run([program, "check", path, "--for", "comfyui", "--json"], capture_output=True, text=True)
    assert done.returncode in (0, 1), f"{done.returncode}: {done.stderr}"
    found = json.loads(done.stdout)
    layers = {layer["name"]: layer["reason"] if not layer["taken"] else "" for layer in found["layers"]}
    whole = [one["reason"] for one in found["obstacles"]]
    return layers, whole, found["passed"]


def check(program, folder, report):
    path = folder / "trial.safetensors"
    count = agreed = taken = 0
    for trial in trials(program, folder):
        save_file({key: value.contiguous().clone() for key, value in trial.tensors.items()}, path, trial.metadata)
        truth = outcomes(trial)
        layers, whole, passed = said(program, path)
        right = all(not why for why in truth.values())
        count += 1
        taken += right
        per_layer = all((not why) == (not layers.get(layer, "") and not whole) for layer, why in truth.items())
        agreed += passed == right and per_layer
        if "--list" in sys.argv:
            print(f"{'taken  ' if right else 'refused'} {trial.name}: {layers or whole or 'plain'}")
        report.check(passed == right and per_layer, f"{trial.name}: the loader: {truth}, halftone check: {layers} {whole}")
    print(f"{agreed} of {count} trials agree; {taken} are files that the loader takes")
    report.check(taken > 200 and count - taken > 200, f"too few trials of a kind: {taken} of {count}")


if __name__ == "__main__":
    run_test(check)
