"""What other people's code makes of a matrix in NVFP4."""

import references as ref  # first: without PyTorch it ends as skipped

import numpy as np
import torch
from matrices import adversarial, random_like


def find_comfy_kitchen():
    """Its version; None where it cannot be used. It needs `packaging`, which it does not install."""
    try:
        import comfy_kitchen
        from importlib.metadata import version

        comfy_kitchen.quantize_nvfp4
        return version("comfy-kitchen")
    except (ImportError, AttributeError) as missing:
        print(f"note: comfy-kitchen cannot be used and is not compared with: {missing}")
        return None


COMFY_KITCHEN = find_comfy_kitchen()


def all_zero(weights):
    """Where comfy-kitchen divides 0 by 0: padded zeros and a tensor scale of 1."""
    rows, cols = (-(-n // 16) * 16 for n in weights.shape)
    scales = torch.zeros(-(-rows // 128) * 128, -(-cols // 64) * 4, dtype=torch.uint8)
    return torch.zeros(rows, cols // 2, dtype=torch.uint8), scales, torch.tensor(1.0)


def scale_of_all(weights):
    """Theirs, but no subnormal number, which hardware may take for 0; they are handed it."""
    return (weights.float().abs().max() / 2688.0).clamp(min=torch.finfo(torch.float32).tiny)


def comfy_kitchen(weights):
    """Packed codes, block scales as bytes in their tiled layout, tensor scale. Any dtype; the tensor scale comes from
    float32."""
    import comfy_kitchen as ck

    if not weights.any():
        return all_zero(weights)
    tensor_scale = scale_of_all(weights)
    with ck.use_backend("eager"):
        codes, scales = ck.quantize_nvfp4(weights, tensor_scale, pad_16x=True)
    return codes, scales.view(torch.uint8), tensor_scale


def convert_to_quant(weights):
    """Its own PyTorch code, which it uses where comfy-kitchen is not there."""
    from convert_to_quant.converters.nvfp4_converter import NVFP4Converter

    if not weights.any():
        return all_zero(weights)
    tensor_scale = scale_of_all(weights)
    codes, scales, tensor_scale = NVFP4Converter(optimize=False)._quantize_pytorch(weights.float(), tensor_scale)
    return codes, scales.view(torch.uint8), tensor_scale


def hard_matrices():
    """name -> float32 matrix"""
    made = {name: matrix for name, matrix in adversarial("e4m3fn").items() if name != "next_to_ties"}
    made["worked_example"] = torch.tensor(
        [
            [0, 0.1, -0.25, 0.3, -0.45, 0.6, -0.7, 0.9, 1, -1.2, 1.5, -1.75, 2, 2.5, -3, 6],
            [0, 0.01, -0.02, 0.03, -0.04, 0.05, -0.06, 0.07, 0.08, -0.09, 0.1, -0.11, 0.12, -0.13, 0.14, 0.15],
        ]
    )
    made["many_rows"] = random_like((131, 18), 0.02, 31)
    made["wide"] = random_like((2, 700), 0.02, 32)
    # Every threshold between two codes and both its neighbours, where all scales are 1.
    ties = torch.tensor([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0])
    beside = [ties, torch.nextafter(ties, ties - 1), torch.nextafter(ties, ties + 1)]
    rows = torch.cat([torch.cat(beside), -torch.cat(beside), torch.zeros(3)]).reshape(3, 15)
    made["ties"] = torch.cat([torch.cat([rows, torch.full((3, 1), 6.0)], 1), torch.full((1, 16), 2688.0)])
    # Blocks whose scales lie on the thresholds of e4m3, and some that are too small for it.
    maxima = 6 * torch.cat([torch.tensor([448.0]), (2.0 ** torch.arange(-12, 8)) * 1.0625, 2.0 ** torch.arange(-14, 0)])
    made["block_scale_ties"] = maxima[:, None] * random_like((len(maxima), 16), 0.3, 33).clamp(-1, 1)
    made["block_scale_ties"][:, 0] = maxima
    tiny_block = random_like((2, 48), 1.0, 34)
    tiny_block[0, 16:32] *= 1e-6
    tiny_block[1, 32:48] = 0.0
    tiny_block[1, 40] = -0.0
    made["tiny_blocks"] = tiny_block
    made["least_tensor_scale"] = torch.full((1, 16), ref.float_from_bits(2688))
    return made


def write_golden(out):
    import make_golden

    out.write("# matrix NAME ROWS COLS REFERENCES, then weights, packed codes, block scales as BYTE*COUNT (tiled\n")
    out.write("# layout, padding too) and the tensor scale in hexadecimal.\n")
    out.write(f"# torch {torch.__version__.split('+')[0]}, comfy-kitchen {COMFY_KITCHEN}, ")
    out.write(f"convert_to_quant {ref.CONVERT_TO_QUANT}\n")
    for name, weights in hard_matrices().items():
        theirs, others = comfy_kitchen(weights), convert_to_quant(weights)
        if not all(torch.equal(a, b) for a, b in zip(theirs, others)):
            raise SystemExit(f"comfy-kitchen and convert_to_quant differ on {name}")
        codes, scales, tensor_scale = theirs
        out.write(f"matrix {name} {weights.shape[0]} {weights.shape[1]} ")
        out.write("rule\n" if not weights.any() else "comfy-kitchen,convert_to_quant\n")
        out.write(" ".join(ref.float_words(weights)) + "\n")
        out.write(" ".join(ref.byte_words(codes)) + "\n")
        runs = make_golden.run_lengths(np.asarray(scales).reshape(-1))
        out.write(f"{len(runs)} " + " ".join(f"{code:02X}*{count}" for code, count in runs) + "\n")
        out.write(" ".join(ref.float_words(tensor_scale)) + "\n")
