"""What comfy-kitchen makes of a matrix in convrot_w4a4.

Its rotation is a matrix product, whose sums BLAS orders as it likes; ours is a fast transform. So bytes are compared
on rows that were rotated by ours, and the whole way within a bound.
"""

import references as ref  # first: without PyTorch it ends as skipped

import torch
from int8_references import rotated
from matrices import random_like, with_outlier
from nvfp4_references import COMFY_KITCHEN


def rotation_group(cols, most):
    """The largest power of 4 that divides the columns, up to `most`; from 16 on unless 4 is asked for. 0: none."""
    group = most
    while group >= min(most, 16):
        if cols % group == 0:
            return group
        group //= 4
    return 0


def comfy_kitchen(weights, group):
    """Packed codes and scales, of rows that are rotated as we do it."""
    from comfy_kitchen.backends.eager.convrot_w4a4 import quantize_signed_int4_rowwise

    return quantize_signed_int4_rowwise(rotated(weights.float(), group))


def comfy_kitchen_alone(weights, group):
    """The same with its own rotation."""
    import comfy_kitchen as ck
    from comfy_kitchen.tensor.convrot_w4a4 import quantize_convrot_w4a4_weight

    with ck.use_backend("eager"):
        return quantize_convrot_w4a4_weight(weights.float(), group)


def unpacked(codes):
    """Values of codes."""
    both = torch.stack([codes.view(torch.uint8) & 15, codes.view(torch.uint8) >> 4], dim=-1).to(torch.int8)
    return ((both ^ 8) - 8).reshape(len(codes), -1)


def hard_matrices():
    """name -> float32 matrix with columns in multiples of 64"""
    made = {
        "normal": random_like((5, 64), 0.02, 51),
        "bf16_normal": random_like((3, 128), 0.05, 52).bfloat16().float(),
        "f16_normal": random_like((3, 64), 0.05, 53).half().float(),
        "all_zero": torch.zeros(2, 64),
        "tiny": random_like((2, 64), 1e-9, 54),
        "at_the_floor": random_like((2, 64), 1e-11, 55),
        "subnormal": random_like((2, 64), 1e-40, 56),
        "huge": random_like((2, 64), 1e36, 57),
        "one_outlier": torch.cat([with_outlier(58)] * 4, dim=1),
        "wide": random_like((2, 320), 0.02, 59),
        "groups_of_256": random_like((2, 512), 0.02, 60),
    }
    with_zeros = random_like((6, 64), 0.3, 61)
    with_zeros[2] = 0.0
    with_zeros[4, ::2] = -0.0
    made["zero_row"] = with_zeros
    # Every level and every half between two, where the scale is a power of two; their rotation is exact.
    halves = torch.arange(-14, 15) / 2.0
    ties = torch.cat([halves, halves, torch.full((6,), 7.0)])
    made["ties"] = rotated(torch.stack([ties, 2 * ties, ties / 1024]), 64)
    return made


def groups_for(weights):
    return sorted({rotation_group(weights.shape[1], most) for most in (4, 256)})


def write_golden(out):
    out.write("# matrix NAME GROUP ROWS COLS REFERENCE, then weights, packed codes and scales in hexadecimal.\n")
    out.write(f"# torch {torch.__version__.split('+')[0]}, comfy-kitchen {COMFY_KITCHEN}\n")
    for name, weights in hard_matrices().items():
        for group in groups_for(weights):
            codes, scales = comfy_kitchen(weights, group)
            rows, cols = weights.shape
            ref.write_matrix(out, f"{name} {group} {rows} {cols} comfy-kitchen", weights, codes, scales)
