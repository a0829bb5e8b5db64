#!/usr/bin/env python3
"""Learned rounding in closed form beside the plain loop, and the memory that learning takes.

    python3 learned_rounding.py HALFTONE [--rows 1024] [--cols 4096] [--rank 204]

One FP8 layer with a scale per tensor. Both sides get the same singular vectors as factors; the loop, in PyTorch on the
same processors, takes all its 1,000 steps. Prints seconds, their ratio, and the share of equal bytes; then the most
memory that each bundled optimizer takes, as copies of the layer in float32. Needs torch and safetensors.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import torch
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "interop"))
from make_rounding_golden import original, weights  # noqa: E402


def run(halftone, folder, optimizer, more=""):
    (folder / "p.toml").write_text(
        '[input]\npath = "in.safetensors"\n[output]\npath = "out.safetensors"\nreplace = true\nrecipe = false\n'
        '[model]\nprofile = "none"\n[quantize]\nformat = "fp8"\n'
        f'optimizer = "{optimizer}"\n[report]\njson = "report.json"\n{more}'
    )
    began = time.perf_counter()
    subprocess.run([halftone, "run", folder / "p.toml", "--quiet"], check=True)
    seconds = time.perf_counter() - began
    return seconds, json.loads((folder / "report.json").read_text())["run"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("halftone")
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--cols", type=int, default=4096)
    parser.add_argument("--rank", type=int, default=204)
    arguments = parser.parse_args()
    rows, cols, rank = arguments.rows, arguments.cols, arguments.rank
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        w = weights(rows, cols, 1)
        u, _, v = torch.svd_lowrank(w, q=rank + 10, niter=4)
        u, v = u[:, :rank].contiguous(), v[:, :rank].contiguous()
        save_file({"layer.weight": w}, folder / "in.safetensors")
        save_file({"layer.left": u.T.contiguous(), "layer.right": v}, folder / "factors.safetensors")

        began = time.perf_counter()
        codes = original(w, u, v.T.contiguous())
        loop = time.perf_counter() - began
        seconds, _ = run(arguments.halftone, folder, "original", '[rounding]\nobjective = "factors.safetensors"\n')
        stored = load_file(folder / "out.safetensors")["layer.weight"].view(torch.uint8)
        equal = (stored == codes).float().mean().item()
        print(f"layer {rows} x {cols}, rank {rank}, {torch.get_num_threads()} threads")
        print(f"plain loop, PyTorch: {loop:.2f} s; halftone, the whole run: {seconds:.3f} s; {loop / seconds:.0f} times")
        print(f"bytes equal: {equal:.4%}")

        copy = rows * cols * 4
        factors = (rows + cols) * rank * 4
        for optimizer in ("original", "integral", "adamw"):
            few = "" if optimizer != "adamw" else "[optimizer.adamw]\niterations = 30\n"
            seconds, report = run(arguments.halftone, folder, optimizer, few)
            peak = report["anonymous_memory_peak"]
            print(
                f"{optimizer:9s} {seconds:6.2f} s, {peak / copy:.2f} copies in memory, "
                f"{(peak - factors) / copy:.2f} without the factors"
            )


if __name__ == "__main__":
    main()
