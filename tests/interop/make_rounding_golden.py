#!/usr/bin/env python3
"""Writes tests/interop/golden/rounding.safetensors anew: what plain loops in PyTorch make of learned rounding.

Small matrices with their leading singular vectors, so that both sides minimize the same thing:
  original.*  the loop with its adaptive schedule, every step taken: the codes of its best iterate
  adamw.*     torch.optim.AdamW on the codes' distance from round to nearest: the distance after some steps
"""

import pathlib

import references as ref  # first: without PyTorch it ends as skipped

import torch
from safetensors.torch import save_file

PLACE = pathlib.Path(__file__).resolve().parent / "golden" / "rounding.safetensors"
STEPS = (1, 2, 3, 10, 50, 100, 200)


def weights(rows, cols, seed):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(rows, cols, generator=generator) * 0.02
    low = torch.randn(rows, 8, generator=generator) @ torch.randn(8, cols, generator=generator) * 0.01
    return noise + low


def factors(w, k):
    u, _, vh = torch.linalg.svd(w.double(), full_matrices=False)
    return u[:, :k].float().contiguous(), vh[:k].float().contiguous()


def fp8(values):
    return values.clamp(-448, 448).to(torch.float8_e4m3fn)


def original(w, u, vh, iterations=1000, lr=8.077300000003e-3):
    scale = (1.0 / w.abs().max()) * 448
    q = (w * scale).to(torch.float8_e4m3fn).float()
    small = 0.95 if w.shape[0] == w.shape[1] else 1.0
    tiers = ((25, 0.95, 9e-8), (50, 0.97, 8e-8), (75, 0.985, 7e-8), (100, 0.9875, 6e-8), (150, 0.98875, 5e-8),
             (200, 0.99, 4e-8), (250, 0.99125, 3e-8), (300, 0.9925, 2e-8), (10**9, 0.995, 5e-9))
    best, best_q, worse = float("inf"), None, 0
    for _ in range(iterations):
        p = u.T @ (q / scale - w) @ vh.T
        loss = p.norm().item()
        if loss < best:
            best, best_q, worse = loss, q.clone(), 0
            lr = min(lr * 1.25 * small, 100.0)
        else:
            worse += 1
            factor, floor = next((f, least) for upto, f, least in tiers if worse <= upto)
            lr = max(lr * factor * small, floor)
        if loss < 1e-8 or lr < 1e-8 or worse > 500:
            break
        q = q - lr * ((u @ (p / max(loss, 1e-20)) @ vh) * scale)
    return fp8(best_q).view(torch.uint8)


# So slow that it is on its way down all the time: at the bottom a step hangs on the last bits of the one before.
def adamw(w, u, vh, lr=1e-3):
    scale = (1.0 / w.abs().max()) * 448
    dequant = 1.0 / scale
    nearest = (w * scale).to(torch.float8_e4m3fn).float()
    delta = torch.zeros_like(w, requires_grad=True)
    optimizer = torch.optim.AdamW([delta], lr=lr)
    seen = []
    for step in range(1, STEPS[-1] + 1):
        optimizer.zero_grad()
        loss = (u.T @ ((nearest + delta) * dequant - w) @ vh.T).norm()
        loss.backward()
        optimizer.step()
        if step in STEPS:
            seen.append(delta.detach().clone())
    return torch.stack(seen)


def main():
    tensors = {}
    for name, rows, cols, k, seed in (("wide", 96, 160, 24, 1), ("tall", 160, 96, 24, 2), ("square", 96, 96, 16, 3)):
        w = weights(rows, cols, seed)
        u, vh = factors(w, k)
        tensors[f"original.{name}.weight"] = w
        tensors[f"original.{name}.left"] = u.T.contiguous()
        tensors[f"original.{name}.right"] = vh.T.contiguous()
        tensors[f"original.{name}.codes"] = original(w, u, vh)
    w = weights(24, 40, 4)
    u, vh = factors(w, 6)
    tensors["adamw.weight"], tensors["adamw.left"], tensors["adamw.right"] = w, u.T.contiguous(), vh.T.contiguous()
    tensors["adamw.steps"] = torch.tensor(STEPS, dtype=torch.int64)
    tensors["adamw.deltas"] = adamw(w, u, vh)
    save_file(tensors, PLACE, {"torch": torch.__version__.split("+")[0]})


if __name__ == "__main__":
    main()
