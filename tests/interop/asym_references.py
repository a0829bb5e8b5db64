"""What comfy-kitchen makes of a matrix in asym_w4a8_int8, of rows that are rotated as we do it."""

import references as ref  # first: without PyTorch it ends as skipped

import torch
from convrot_references import rotation_group
from int8_references import rotated
from matrices import random_like, with_outlier
from nvfp4_references import COMFY_KITCHEN


def turned(weights, rotation):
    return rotated(weights.float().contiguous(), rotation)


def their_codebook(weights, group, rotation):
    from comfy_kitchen.backends.eager.w4a8_int8 import _decide_codebook

    return _decide_codebook(weights.float(), turned, group, rotation)


def comfy_kitchen(weights, group, rotation, codebook=None):
    """Packed codes, group scales as bytes, row scales, codebook; its own choice of a codebook unless one is given."""
    from comfy_kitchen.backends.eager.w4a8_int8 import _quantize_rotated_w4a8_int8_weight

    if codebook is None:
        codebook = their_codebook(weights, group, rotation)
    codes, scales, rows, _, codebook = _quantize_rotated_w4a8_int8_weight(
        turned(weights, rotation), group_size=group, codebook_override=codebook
    )
    return codes, scales.view(torch.uint8), rows, codebook


def fixed_codebook():
    from comfy_kitchen.tensor.w4a8_packed import default_w4a8_codebook

    return default_w4a8_codebook()


def heavy_tailed(shape, seed):
    """Rows whose groups of 16 hold one large number each, after the rotation."""
    made = random_like(shape, 0.02, seed)
    made[:, ::16] *= 12
    return rotated(made, rotation_group(shape[1], 256))


def hard_matrices():
    """name -> float32 matrix with columns in multiples of 16"""
    made = {
        "normal": random_like((5, 64), 0.02, 81),
        "narrow": random_like((7, 16), 0.02, 82),
        "bf16_normal": random_like((3, 128), 0.05, 83).bfloat16().float(),
        "f16_normal": random_like((3, 48), 0.05, 84).half().float(),
        "all_zero": torch.zeros(2, 32),
        "tiny": random_like((2, 64), 1e-9, 85),
        "at_the_floor": random_like((2, 64), 1e-7, 86),
        "subnormal": random_like((2, 64), 1e-40, 87),
        "huge": random_like((2, 64), 1e36, 88),
        "one_outlier": torch.cat([with_outlier(89)] * 4, dim=1),
        "wide": random_like((2, 512), 0.02, 90),
        "many_magnitudes": random_like((4, 64), 1.0, 91) * torch.logspace(-6, 2, 64),
    }
    with_zeros = random_like((6, 64), 0.3, 92)
    with_zeros[2] = 0.0
    with_zeros[3, 16:] = 0.0
    with_zeros[4, ::2] = -0.0
    made["zero_row"] = with_zeros
    # Where the rotation is undone: whole numbers, halves between them, and equal numbers.
    steps = torch.arange(-32, 32) / 2.0
    made["halves"] = rotated(torch.stack([steps, steps * 3, steps.abs().clamp(max=2), torch.full((64,), 0.75)]), 64)
    return made


def write_golden(out):
    out.write("# matrix NAME GROUP ROTATION ROWS COLS REFERENCE, then weights, packed codes and row scales in\n")
    out.write("# hexadecimal, and group scales (e4m3).\n")
    out.write(f"# torch {torch.__version__.split('+')[0]}, comfy-kitchen {COMFY_KITCHEN}\n")
    for name, weights in hard_matrices().items():
        rows, cols = weights.shape
        for group in (16, 4, 64):
            if cols % group:
                continue
            rotation = rotation_group(cols, 256)
            codes, scales, steps, _ = comfy_kitchen(weights, group, rotation, fixed_codebook())
            ref.write_matrix(out, f"{name} {group} {rotation} {rows} {cols} comfy-kitchen", weights, codes, steps)
            out.write(" ".join(ref.byte_words(scales)) + "\n")
