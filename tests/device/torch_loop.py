"""The loop of integral feedback as one writes it in PyTorch, timed: what tests/device/run compares with."""

import json
import sys
import time

import torch

torch.backends.cuda.matmul.allow_tf32 = False


def cast(x, scale):
    return (x * scale).clamp(-448, 448).to(torch.float8_e4m3fn)


def learn(host, rank, rounds, gain):
    torch.manual_seed(1)
    times = {}
    start = time.perf_counter()

    def phase(name):
        nonlocal start
        torch.cuda.synchronize()
        now = time.perf_counter()
        times[name] = now - start
        start = now

    weights = host.cuda()
    scale = 448 / weights.abs().max().clamp(min=1e-12)
    phase("upload")
    left, _, right = torch.svd_lowrank(weights, q=min(rank + 10, *weights.shape), niter=4)
    left, right = left[:, :rank].contiguous(), right[:, :rank].contiguous()
    phase("directions")
    nearest = cast(weights, scale)
    error = nearest.float() / scale - weights
    nearest_loss = (left.T @ error @ right).norm().item()
    nearest_square = error.square().sum().item()
    best, best_codes, best_square = nearest_loss, nearest, nearest_square
    latent = weights.clone()
    for _ in range(rounds):
        codes = cast(latent, scale)
        error = codes.float() / scale - weights
        projected = left.T @ error @ right
        loss, square = projected.norm().item(), error.square().sum().item()
        if loss < best and square <= 1.03 * nearest_square:
            best, best_codes, best_square = loss, codes, square
        latent -= gain * (left @ projected @ right.T)
    phase("learning")
    best_codes.view(torch.uint8).cpu()
    phase("encoding")
    return {"seconds": sum(times.values()), **times, "loss": best / nearest_loss,
            "squared_error": best_square / nearest_square, "nearest_loss": nearest_loss}


def main():
    path, rows, cols, rank, rounds, gain = sys.argv[1:]
    rows, cols, rank, rounds, gain = int(rows), int(cols), int(rank), int(rounds), float(gain)
    host = torch.frombuffer(bytearray(open(path, "rb").read()), dtype=torch.float32)[: rows * cols].view(rows, cols)
    results = [learn(host, rank, rounds, gain) for _ in range(4)]
    print(json.dumps(min(results, key=lambda r: r["seconds"])))


if __name__ == "__main__":
    main()
