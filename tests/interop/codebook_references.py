"""NF4 and FP4 by the text of their READMEs, in PyTorch, and by bitsandbytes."""

import references as ref  # first: without PyTorch it ends as skipped

import torch
from matrices import random_like, with_outlier, with_zero_rows

NF4 = torch.tensor(
    [
        -1.0,
        -0.6961928009986877,
        -0.5250730514526367,
        -0.39491748809814453,
        -0.28444138169288635,
        -0.18477343022823334,
        -0.09105003625154495,
        0.0,
        0.07958029955625534,
        0.16093020141124725,
        0.24611230194568634,
        0.33791524171829224,
        0.44070982933044434,
        0.5626170039176941,
        0.7229568362236023,
        1.0,
    ]
)
FP4 = torch.tensor([0, 0.0625, 8, 12, 4, 6, 2, 3]) / 12

KINDS = ("nf4", "fp4")
LEVELS = {"nf4": NF4, "fp4": torch.cat([FP4, -FP4])}  # in the order of codes
# The codes in the order of levels. Zero has two in FP4; bitsandbytes' sort leaves them so.
IN_ORDER = {"nf4": torch.arange(16), "fp4": torch.tensor([11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3])}


def find_bitsandbytes():
    """Its version; None where it cannot be used."""
    try:
        import bitsandbytes

        return bitsandbytes.__version__
    except Exception as problem:  # it loads libraries of GPUs
        print(f"note: bitsandbytes cannot be used and is not compared with: {problem}")
        return None


BITSANDBYTES = find_bitsandbytes()


def thresholds(kind):
    ascending = LEVELS[kind][IN_ORDER[kind]]
    return (ascending[1:] + ascending[:-1]) / 2


def storable(absmax):
    """No scale that is stored is subnormal, which hardware may take for 0; theirs are."""
    least = torch.finfo(torch.float32).tiny
    return torch.where((absmax > 0) & (absmax < least), least, absmax)


def comfy_by_the_text(kind, weights, block):
    """convert_to_quant 0.3: the first of the smallest differences. Packed codes and scales."""
    blocks = weights.reshape(-1, block)
    absmax = blocks.abs().amax(dim=1)
    scaled = blocks / absmax.clamp(min=1e-12)[:, None]
    codes = (scaled.reshape(-1, 1) - LEVELS[kind]).abs().argmin(dim=1).to(torch.uint8)
    return codes[::2] | codes[1::2] << 4, storable(absmax)


def genuine_by_the_text(kind, weights, block):
    """bitsandbytes: thresholds at midpoints, a reciprocal, and the first of two codes in the upper half."""
    flat = weights.reshape(-1)
    n = flat.numel()
    padded = torch.nn.functional.pad(flat, (0, -n % block)).reshape(-1, block)
    absmax = storable(padded.abs().amax(dim=1))
    scaled = padded * absmax.clamp(min=1e-38).reciprocal()[:, None]
    places = torch.bucketize(scaled.reshape(-1)[: n + n % 2], thresholds(kind))
    codes = IN_ORDER[kind][places].to(torch.uint8)
    return codes[::2] << 4 | codes[1::2], absmax


def genuine_by_bitsandbytes(kind, weights, block):
    from bitsandbytes.functional import quantize_4bit

    codes, state = quantize_4bit(weights, blocksize=block, quant_type=kind)
    return codes.reshape(-1), state.absmax


def adversarial(kind):
    """name -> matrix; some of them with a last block that is short"""
    ties = torch.cat([LEVELS[kind].unique(), thresholds(kind)])
    steps = [ties]
    for direction in (torch.full_like(ties, 2.0), torch.full_like(ties, -2.0)):
        once = torch.nextafter(ties, direction)
        steps += [once, torch.nextafter(once, direction)]
    near = torch.cat(steps).clamp(-1, 1)
    near = torch.cat([near, torch.zeros(-len(near) % 31)]).reshape(-1, 31)
    made = {
        "normal": random_like((8, 24), 0.02, 51),
        "bf16_normal": random_like((4, 64), 0.05, 52).bfloat16().float(),
        "all_zero": torch.zeros(4, 16),
        "tiny": random_like((4, 16), 1e-13, 53),
        "below_the_floor": random_like((4, 16), 1e-20, 54),
        "subnormal": random_like((4, 16), 1e-40, 55),
        "huge": random_like((4, 16), 1e37, 56),
        # Every threshold and its neighbours, in blocks whose largest number is 1.
        "thresholds": torch.cat([near, torch.ones(len(near), 1)], dim=1),
        "negative_largest": -torch.cat([near, torch.ones(len(near), 1)], dim=1),
        "short_last_block": random_like((5, 13), 0.1, 57),
        "rows_in_blocks": random_like((3, 128), 0.1, 58),
    }
    made["zero_blocks"] = with_zero_rows(59)
    made["one_outlier"] = with_outlier(60)
    return made


def write_golden(kind, out):
    out.write("# matrix NAME LAYOUT BLOCK ROWS COLS BLOCKS REFERENCE, then weights, bytes and scales in hexadecimal.\n")
    out.write(f"# torch {torch.__version__.split('+')[0]}, bitsandbytes {BITSANDBYTES}\n")
    for name, weights in adversarial(kind).items():
        rows, cols = weights.shape
        for layout, block in (("comfyui", 4), ("comfyui", 32), ("bitsandbytes", 32), ("bitsandbytes", 64)):
            if layout == "comfyui" and weights.numel() % block:
                continue
            tool = "text"
            if layout == "comfyui":
                codes, absmax = comfy_by_the_text(kind, weights, block)
            else:
                codes, absmax = genuine_by_the_text(kind, weights, block)
                if weights.numel() % block == 0:  # a short last block is divided there, not multiplied
                    their_codes, their_absmax = genuine_by_bitsandbytes(kind, weights, block)
                    if torch.equal(absmax, storable(their_absmax)) and not torch.equal(absmax, their_absmax):
                        tool = "text"  # theirs are subnormal
                    elif not torch.equal(codes, their_codes) or not torch.equal(absmax, their_absmax):
                        raise SystemExit(f"bitsandbytes and the text differ on {name}, {block}")
                    else:
                        tool = "bitsandbytes"
            words = f"{name} {layout} {block} {rows} {cols} {absmax.numel()} {tool}"
            ref.write_matrix(out, words, weights, codes, absmax)
    if kind != "nf4":
        return
    from bitsandbytes.functional import create_dynamic_map

    out.write("nested_map\n")
    out.write(" ".join(ref.float_words(create_dynamic_map())) + "\n")
