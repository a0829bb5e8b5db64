"""Weights that are hard to round: seeded, small, the same on every machine."""

import numpy as np
import torch

from references import float_from_bits


def levels(element):
    """Every finite value of an element type."""
    every = torch.arange(256, dtype=torch.uint8)
    from references import TORCH

    values = every.view(TORCH[element]).float()
    return values[torch.isfinite(values)]


def random_like(shape, scale, seed):
    return torch.from_numpy((np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32))


def with_zero_rows(seed):
    made = random_like((8, 16), 0.3, seed)
    made[2:6] = 0.0
    return made


def with_outlier(seed):
    made = random_like((8, 16), 0.01, seed)
    made[3, 5] = -57.0
    return made


def in_whole_tiles(weights, block):
    """With rows and columns repeated up to multiples of it."""
    for axis, n in enumerate(weights.shape):
        weights = weights.index_select(axis, torch.arange(-(-n // block) * block) % n)
    return weights


def adversarial(element):
    """name -> float32 matrix"""
    made = {
        "example": torch.tensor([[0.5, -1.25, 0.003, 2.0], [-0.75, 0.1, -3.0, 0.0]]),
        "one_number": torch.tensor([[3.0]]),
        "normal": random_like((7, 33), 0.02, 1),
        "bf16_normal": random_like((5, 16), 0.05, 2).bfloat16().float(),
        "f16_normal": random_like((4, 19), 0.05, 3).half().float(),
        "all_zero": torch.zeros(3, 5),
        "tiny": random_like((3, 9), 1e-13, 7),
        "below_the_floor": random_like((3, 9), 1e-20, 8),
        "subnormal": random_like((2, 9), 1e-40, 9),
        "huge": random_like((3, 9), 1e37, 10),
        "wide_range": random_like((4, 16), 1.0, 11) * torch.logspace(-8, 8, 16),
    }
    outlier = random_like((6, 12), 0.01, 4)
    outlier[3, 5] = 57.0
    made["one_outlier"] = outlier
    with_zeros = random_like((6, 8), 0.3, 5)
    with_zeros[2] = 0.0
    with_zeros[4, ::2] = -0.0
    made["zero_row"] = with_zeros
    # All levels and all mid-points between neighbours, times the amax that makes the scale a power of two.
    grid = levels(element).sort().values
    ties = (grid[1:] + grid[:-1]) / 2
    both = torch.cat([grid, ties])
    made["levels_and_ties"] = both[: len(both) // 4 * 4].reshape(4, -1)
    made["next_to_ties"] = torch.stack([torch.nextafter(ties, ties - 1), torch.nextafter(ties, ties + 1)])
    # The same in groups of four, under their largest number.
    some = ties[::7][:32]
    top = torch.full_like(some, grid[-1].item())
    made["ties_in_groups"] = torch.stack([top, some, torch.nextafter(some, 2 * top), -some], dim=1).reshape(8, 16)
    made["scale_of_two_roundings"] = torch.tensor([[3.0, 1.5, 0.7], [float_from_bits(0x3F800001), -0.3, 0.1]])
    return made
