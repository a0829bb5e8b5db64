#!/usr/bin/env python3
"""What e5m2 loses with scales of amax/57344 and of amax/448, where a loader computes code * scale in F32, BF16 or F16.

Prints relative squared errors, without the largest weight. Needs PyTorch (./dev interop).
"""

import torch

LARGEST, ROWS, COLS = (57344.0, 448.0), 1024, 1024
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def cases():
    normal = torch.randn(ROWS, COLS)
    yield "normal, largest 0.1", normal / normal.abs().max() * 0.1
    yield "normal, largest 0.01", normal / normal.abs().max() * 0.01
    yield "normal, largest 0.002", normal / normal.abs().max() * 0.002
    for degrees in (3.0, 1.5):
        yield f"Student's t, {degrees} degrees", torch.distributions.StudentT(degrees).sample((ROWS, COLS)) * 0.02
    for deviations in (1e3, 1e5):
        weights = torch.randn(ROWS, COLS) * 0.02
        weights[3, 5] = 0.02 * deviations
        yield f"normal, one of {deviations:.0f} deviations", weights


def error(weights, largest, dtype):
    pre = weights.abs().max().reciprocal() * largest
    codes = (weights * pre).clamp(-57344, 57344).to(torch.float8_e5m2)
    values = codes.to(dtype) * pre.reciprocal().to(dtype)
    rest = torch.ones(weights.numel(), dtype=torch.bool)
    rest[weights.abs().argmax()] = False
    w, v = weights.double().flatten()[rest], values.double().flatten()[rest]
    return ((v - w).square().sum() / w.square().sum()).item()


def main():
    torch.manual_seed(0)
    print("| Weights | " + " | ".join(f"amax/{largest:.0f}, {str(d)[6:]}" for largest in LARGEST for d in DTYPES) + " |")
    print("|" + "---|" * (1 + len(LARGEST) * len(DTYPES)))
    for name, weights in cases():
        errors = [error(weights, largest, dtype) for largest in LARGEST for dtype in DTYPES]
        print(f"| {name} | " + " | ".join(f"{e:.3e}" for e in errors) + " |")


if __name__ == "__main__":
    main()
