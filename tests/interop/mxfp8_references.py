"""What other people's code makes of a matrix in MXFP8."""

import references as ref  # first: without PyTorch it ends as skipped

import numpy as np
import torch
from matrices import adversarial, levels, random_like
from nvfp4_references import COMFY_KITCHEN


def comfy_kitchen(weights):
    """Codes and block scales, both as bytes, the scales in their tiled layout. Any dtype."""
    import comfy_kitchen as ck

    with ck.use_backend("eager"):
        codes, scales = ck.quantize_mxfp8(weights, pad_32x=True)
    return codes.view(torch.uint8), scales.view(torch.uint8)


def convert_to_quant(weights):
    """Its own PyTorch code; its simple mode hands a BF16 copy of the weights to comfy-kitchen."""
    from convert_to_quant.converters.mxfp8_converter import MXFP8Converter

    codes, scales = MXFP8Converter()._quantize_pytorch(weights.float())
    return codes.view(torch.uint8), scales.view(torch.uint8)


def padded_to(n, multiple):
    return -(-n // multiple) * multiple


def offsets(rows, blocks):
    """Where the scale of each block lies in the tiled layout."""
    i, j = torch.meshgrid(torch.arange(rows), torch.arange(blocks), indexing="ij")
    return ((i // 128 * -(-blocks // 4) + j // 4) * 32 + i % 32) * 16 + i % 128 // 32 * 4 + j % 4


def by_the_rule(weights):
    """The numerics that the format's page describes: exponents of max / 448, rounded up without a logarithm. Also which
    blocks others make something else of: where float32's logarithm does not tell a number from the power of two below
    it, and those with nothing larger than 448 * 2^-127, which get a scale of 0."""
    rows, cols = (padded_to(n, 32) for n in weights.shape)
    padded = torch.zeros(rows, cols)
    padded[: weights.shape[0], : weights.shape[1]] = weights.float()
    blocks = padded.reshape(rows, -1, 32)
    needed = blocks.abs().amax(dim=-1).double() / 448
    mantissa, exponent = torch.frexp(needed)
    biased = torch.where(mantissa == 0.5, exponent - 1, exponent) + 127
    biased = torch.where(needed == 0, 0, biased).clamp(0, 254)
    steps = torch.ldexp(torch.ones(biased.shape, dtype=torch.double), biased - 127)[..., None]
    codes = (blocks.double() / steps).clamp(-448, 448).float().to(torch.float8_e4m3fn)
    codes = torch.where(biased[..., None] == 0, 0, codes.view(torch.uint8)).reshape(rows, cols)
    scales = torch.zeros(padded_to(rows, 128) * padded_to(cols // 32, 4), dtype=torch.uint8)
    scales[offsets(rows, cols // 32)] = biased.to(torch.uint8)
    theirs = (blocks.abs().amax(dim=-1) / 448).clamp(min=2.0**-127)
    by_logarithm = (torch.ceil(torch.log2(theirs)) + 127).clamp(0, 254)
    others_differ = (by_logarithm != biased) & (needed > 0) | (biased == 0) & (needed > 0)
    return codes, scales.reshape(padded_to(rows, 128), -1), others_differ


def values_of(codes, scales, shape):
    """What the bytes mean, without anyone's library."""
    blocks = codes.shape[1] // 32
    exponents = scales.reshape(-1)[offsets(codes.shape[0], blocks)].int()
    steps = torch.where(exponents == 0, 0.0, torch.ldexp(torch.ones(exponents.shape), exponents - 127))
    values = codes.view(torch.float8_e4m3fn).float() * steps.repeat_interleave(32, dim=1)
    return values[: shape[0], : shape[1]]


def same(ours, theirs, others_differ):
    """Whether codes and scales agree in all blocks but those."""
    rows, blocks = others_differ.shape
    keep = ~others_differ
    at = offsets(rows, blocks)
    return (
        ours[0].shape == theirs[0].shape
        and ours[1].shape == theirs[1].shape
        and torch.equal(ours[0].reshape(rows, blocks, 32)[keep], theirs[0].reshape(rows, blocks, 32)[keep])
        and torch.equal(ours[1].reshape(-1)[at][keep], theirs[1].reshape(-1)[at][keep])
    )


def hard_matrices():
    """name -> float32 matrix"""
    made = adversarial("e4m3fn")
    del made["next_to_ties"]
    made["worked_example"] = ((torch.arange(32) - 16) / 8)[None]
    made["many_rows"] = random_like((131, 18), 0.02, 41)
    made["wide"] = random_like((2, 700), 0.02, 42)
    # Every number between two codes and both its neighbours, where all scales are 1.
    grid = levels("e4m3fn").sort().values
    ties = (grid[1:] + grid[:-1]) / 2
    beside = torch.cat([ties, torch.nextafter(ties, ties - 1), torch.nextafter(ties, ties + 1)])
    rows = torch.cat([beside, torch.zeros(-len(beside) % 31)]).reshape(-1, 31)
    made["ties"] = torch.cat([rows, torch.full((len(rows), 1), 448.0)], dim=1)
    # Blocks whose largest number needs just this power of two, or just not.
    edges = 448 * 2.0 ** torch.arange(-125, 119, 12).double()
    edges = torch.cat([edges.float(), torch.tensor([448 * 2.0**-127, 448 * 2.0**-126])])
    for name, towards in (("at", edges), ("above", edges * 2), ("below", edges / 2)):
        maxima = torch.nextafter(edges, towards)
        block = random_like((len(edges), 32), 0.3, 43).clamp(-1, 1) * maxima[:, None]
        block[:, 7] = -maxima
        made[f"scales_{name}_powers"] = block
    blocks = random_like((2, 96), 1.0, 44)
    blocks[0, 32:64] *= 2.0**-120
    blocks[1, :32] = 0.0
    blocks[1, 3] = -0.0
    blocks[1, 64:] = -0.0
    blocks[1, 70] = 1e-39
    made["next_to_nothing"] = blocks
    made["largest"] = torch.tensor([[448 * 2.0**119, -3e38, 1.0], [1.5, -(2.0**127), 0.0]])
    return made


def write_golden(out):
    import make_golden

    out.write("# matrix NAME ROWS COLS REFERENCES, then weights, and codes and block scales as BYTE*COUNT (padding\n")
    out.write("# too, scales in the tiled layout) in hexadecimal.\n")
    out.write(f"# torch {torch.__version__.split('+')[0]}, comfy-kitchen {COMFY_KITCHEN}, ")
    out.write(f"convert_to_quant {ref.CONVERT_TO_QUANT}\n")
    for name, weights in hard_matrices().items():
        codes, scales, others_differ = by_the_rule(weights)
        for tool, theirs in (("comfy-kitchen", comfy_kitchen(weights)), ("convert_to_quant", convert_to_quant(weights))):
            if not same((codes, scales), theirs, others_differ):
                raise SystemExit(f"{tool} and the rule differ on {name}")
        out.write(f"matrix {name} {weights.shape[0]} {weights.shape[1]} ")
        out.write("rule\n" if others_differ.any() else "comfy-kitchen,convert_to_quant\n")
        out.write(" ".join(ref.float_words(weights)) + "\n")
        for bytes_ in (codes, scales):
            runs = make_golden.run_lengths(np.asarray(bytes_).reshape(-1))
            out.write(f"{len(runs)} " + " ".join(f"{code:02X}*{count}" for code, count in runs) + "\n")
