#!/usr/bin/env python3
"""The committed golden vectors of learned rounding are still what PyTorch's loops make of the same matrices."""

import sys

import make_rounding_golden as golden

import torch
from safetensors.torch import load_file


def main():
    stored = load_file(golden.PLACE)
    failures = 0
    for name in ("wide", "tall", "square"):
        w, left, right, codes = (stored[f"original.{name}.{part}"] for part in ("weight", "left", "right", "codes"))
        # Late steps depend on the last bits of a loss that is all rounding: a few codes in a thousand may differ.
        differing = (golden.original(w, left.T, right.T) != codes).float().mean().item()
        print(f"original {name}: {differing:.4%} of the codes differ")
        failures += differing > 1e-3
    deltas = golden.adamw(stored["adamw.weight"], stored["adamw.left"].T, stored["adamw.right"].T)
    close = torch.allclose(deltas, stored["adamw.deltas"], rtol=1e-4, atol=1e-6)
    print(f"adamw: {'the same' if close else 'DIFFERENT'}")
    return failures > 0 or not close


if __name__ == "__main__":
    sys.exit(main())
