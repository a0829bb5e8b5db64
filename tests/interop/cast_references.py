"""Casts by PyTorch: its .to(), after a clamp to the finite numbers of the type."""

import references as ref  # first: without PyTorch it ends as skipped

import torch
from matrices import adversarial

TYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32} | ref.TORCH


def cast(weights, to):
    most = torch.finfo(TYPES[to]).max
    return weights.clamp(-most, most).to(TYPES[to])


def between(dtype):
    """Numbers of a type of 16 bits, those half way to the next, and what lies beside these."""
    steps = torch.arange(0, 0x7C00 if dtype == torch.float16 else 0x7F80, 97, dtype=torch.int16)
    low, high = steps.view(dtype).double(), (steps + 1).view(dtype).double()
    half = ((low + high) / 2).float()
    half = half[torch.isfinite(half)]
    every = torch.cat([half, torch.nextafter(half, torch.zeros(())), torch.nextafter(half, 2 * half)])
    every = torch.cat([every, -every])
    return every[torch.isfinite(every)]


def hard(to):
    made = adversarial(to if to in ref.TORCH else "e5m2")
    made = {name: made[name] for name in ("normal", "all_zero", "subnormal", "huge", "wide_range", "zero_row", "next_to_ties")}
    for name, dtype in (("near_bf16", torch.bfloat16), ("near_f16", torch.float16)):
        values = between(dtype)[:: 1 if TYPES[to] == dtype else 7]
        made[name] = values[: len(values) // 4 * 4].reshape(4, -1)
    most = torch.finfo(TYPES[to]).max
    edge = torch.tensor([most, torch.finfo(torch.float32).max])
    made["too_large"] = torch.cat([edge, torch.nextafter(edge[:1], 2 * edge[1:]).clamp(max=edge[1]), -edge]).reshape(1, -1)
    return made


def write_golden(out):
    out.write("# matrix NAME TO ROWS COLS, then weights and bytes in hexadecimal.\n")
    out.write(f"# torch {torch.__version__.split('+')[0]}\n")
    for to in TYPES:
        for name, weights in hard(to).items():
            rows, cols = weights.shape
            ref.write_matrix(out, f"{name} {to} {rows} {cols}", weights, cast(weights, to), [])
