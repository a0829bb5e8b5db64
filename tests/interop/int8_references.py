"""INT8 by the text of its README, in PyTorch and numpy, and by convert_to_quant."""

import logging
import sys
import types

import references as ref  # first: without PyTorch it ends as skipped

import numpy as np
import torch
from matrices import random_like, with_outlier, with_zero_rows

FLOOR = np.float32(1e-8)


def hadamard(group):
    """The matrix that rows are multiplied by."""
    h4 = np.array([[1, 1, 1, -1], [1, 1, -1, 1], [1, -1, 1, 1], [-1, 1, 1, 1]], dtype=np.float64) / 2
    h = h4
    while len(h) < group:
        h = np.kron(h, h4)
    return h


def rotated(weights, group):
    """The fast transform in float32, in the order of additions that our loops have."""
    x = weights.numpy().copy().reshape(-1)
    step = 1
    while step < group:
        a, b, c, d = (part.copy() for part in np.moveaxis(x.reshape(-1, 4, step), 1, 0))
        total, difference, more, less = a + b, a - b, c + d, c - d
        half = np.float32(0.5)
        x = np.stack(
            [half * (total + less), half * (total - less), half * (difference + more), half * (more - difference)], axis=1
        ).reshape(-1)
        step *= 4
    return torch.from_numpy(x.reshape(weights.shape))


def by_the_text(weights, scaling, block=128, rotation=0):
    """Codes, and scales in their stored shape."""
    rows, cols = weights.shape
    if rotation and cols % rotation == 0:
        weights = rotated(weights, rotation)
    shape = {"block": (rows // block, cols // block), "lode": (rows, cols // block), "tensor": (), "row": (rows, 1)}[scaling]
    if not weights.any():
        return torch.zeros(rows, cols, dtype=torch.int8), torch.ones(shape)
    if scaling == "tensor":
        scale = weights.abs().max().clamp(min=1e-12) / 127.0
        scaled = weights * scale.reciprocal()
    elif scaling == "row":
        quantizer = weights.abs().amax(dim=1, keepdim=True).clamp(min=1e-12).reciprocal() * 127.0
        scaled, scale = weights * quantizer, quantizer.reciprocal()
    else:
        tall = block if scaling == "block" else 1
        tiles = weights.reshape(rows // tall, tall, cols // block, block)
        scale = torch.maximum(tiles.abs().amax(dim=(1, 3)) / 127.0, torch.tensor(FLOOR))
        scaled = (tiles / scale[:, None, :, None]).reshape(rows, cols)
    return scaled.clamp(-127, 127).round().to(torch.int8), scale.reshape(shape)


def convert_to_quant(weights, scaling, block=128, rotation=0):
    """Its simple mode on the CPU; it has no lodewise layout any more."""
    from convert_to_quant.converters.learned_rounding import LearnedRoundingConverter

    # Kernels for GPUs, which it imports even where it does not use them; they need Triton.
    unused = types.ModuleType("convert_to_quant.comfy.int8_kernels")
    unused.act_quant_rowwise = None
    sys.modules.setdefault(unused.__name__, unused)
    logging.disable(logging.CRITICAL)
    converter = LearnedRoundingConverter(
        scaling_mode=scaling,
        block_size=block,
        target_format="int8",
        no_learned_rounding=True,
        convrot=rotation > 0,
        convrot_group_size=rotation or 256,
        device="cpu",
    )
    codes, scales, *_ = converter.convert(weights.clone())
    return codes, scales


def expanded(scale, shape, scaling, block):
    """One scale per element."""
    if scaling == "block":
        return scale.repeat_interleave(block, 0).repeat_interleave(block, 1)
    return scale.repeat_interleave(block, 1) if scaling == "lode" else scale.expand(shape)


def adversarial():
    """name -> matrix; sides in multiples of 4"""
    halves = torch.arange(-127, 128, dtype=torch.float32)
    halves = torch.cat([halves, halves[:-1] + 0.5, torch.tensor([127.0])])[:508].reshape(4, 127)
    made = {
        "example": torch.tensor([[0.5, -1.25, 0.003, 2.0], [-0.75, 0.1, -3.0, 0.0]]),
        "normal": random_like((8, 32), 0.02, 31),
        "bf16_normal": random_like((4, 64), 0.05, 32).bfloat16().float(),
        "all_zero": torch.zeros(4, 8),
        "tiny": random_like((4, 8), 1e-10, 33),
        "below_the_floor": random_like((4, 8), 1e-20, 34),
        "subnormal": random_like((4, 8), 1e-40, 35),
        "huge": random_like((4, 8), 1e36, 36),
        "ties": torch.cat([halves, torch.full((4, 1), 127.0)], dim=1),
    }
    made["zero_groups"] = with_zero_rows(37)
    made["zero_groups"][:, 4:8] = -0.0
    made["one_outlier"] = with_outlier(38)
    return made


def write_golden(out):
    out.write("# matrix NAME SCALING BLOCK ROTATION ROWS COLS REFERENCE, then weights, codes and scales in hexadecimal.\n")
    out.write(f"# torch {torch.__version__.split('+')[0]}, convert_to_quant {ref.CONVERT_TO_QUANT}\n")
    for name, weights in adversarial().items():
        rows, cols = weights.shape
        block = 2 if name == "example" else 4
        for scaling, rotation in (("block", 0), ("lode", 0), ("tensor", 0), ("row", 0), ("row", 4), ("row", 16)):
            codes, scales = by_the_text(weights, scaling, block, rotation)
            tool = "text"
            # Its scales of an all-zero matrix have another shape or none; its sums of a rotation another order.
            if scaling != "lode" and rotation == 0 and weights.any():
                their_codes, their_scales = convert_to_quant(weights, scaling, block)
                same = ref.byte_words(codes) == ref.byte_words(their_codes)
                if not same or ref.float_words(scales) != ref.float_words(their_scales):
                    raise SystemExit(f"convert_to_quant and the text differ on {name}, {scaling}")
                tool = "convert_to_quant"
            words = f"{name} {scaling} {block} {rotation} {rows} {cols} {tool}"
            ref.write_matrix(out, words, weights, codes, scales)
