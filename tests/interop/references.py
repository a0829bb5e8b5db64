"""What other people's code makes of numbers: the references that the interop tests and golden vectors are made of."""

import logging
import os
import struct
import sys
import unittest.mock

SKIP = 77  # what CTest takes for "skipped"


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIP)


os.environ.setdefault("ATEN_CPU_CAPABILITY", "avx2")  # sums in one order on all machines
try:
    import numpy as np
    import torch
except ImportError as missing:
    skip(f"this test compares with PyTorch, and {missing.name} is not installed; ./dev interop installs it")

TORCH = {"e4m3fn": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2}
MOST = {"e4m3fn": 448.0, "e5m2": 57344.0}
LARGEST = 448.0  # what the largest magnitude becomes, whichever the element, unless codes would overflow
ELEMENTS = tuple(TORCH)

STRIDE = 4093  # prime, so that a walk through all float32 meets every exponent and every low bit


def every_bf16():
    return (np.arange(65536, dtype=np.uint32) << 16).view(np.float32)


def every_f16():
    return np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float32)


def strided_f32():
    return np.arange(0, 1 << 32, STRIDE, dtype=np.uint64).astype(np.uint32).view(np.float32)


def clamped(values, element):
    """What every writer hands to the conversion. Without it, PyTorch and ml_dtypes disagree on what is too large, and
    so do versions of PyTorch. NaN, which no writer may meet, counts as 0."""
    return np.clip(np.where(np.isnan(values), np.float32(0), values), -MOST[element], MOST[element])


def torch_cast(values, element):
    return torch.from_numpy(clamped(values, element)).to(TORCH[element]).view(torch.uint8).numpy()


def ml_dtypes_cast(values, element):
    """None where ml_dtypes is not installed."""
    try:
        import ml_dtypes
    except ImportError:
        return None
    types = {"e4m3fn": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2}
    return clamped(values, element).astype(types[element]).view(np.uint8)


def fnv1a64(codes):
    value = 0xCBF29CE484222325
    for code in codes.tobytes():
        value = (value ^ code) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def scale_shape(shape, scaling, block):
    rows, cols = shape
    return {
        "tensor": (),
        "row": (rows,),
        "block": (rows // block, cols // block),
        "block3d": (rows, cols // block, 1),
    }[scaling]


def expanded(scales, shape, scaling, block):
    """One scale per element, or one for all."""
    if scaling == "tensor":
        return scales
    tall, wide = {"row": (1, shape[1]), "block": (block, block), "block3d": (1, block)}[scaling]
    return scales.reshape(shape[0] // tall, -1).repeat_interleave(tall, 0).repeat_interleave(wide, 1)


def by_the_text(weights, element, scaling, block=64):
    """The numerics that docs/formats.md describes, in PyTorch; for what no other tool writes."""
    shape = scale_shape(weights.shape, scaling, block)
    if torch.all(weights == 0):
        return torch.zeros_like(weights).to(TORCH[element]), torch.ones(shape)
    size = weights.abs()
    if scaling == "block":
        amax = size.reshape(shape[0], block, shape[1], block).amax(dim=(1, 3))
    elif scaling == "block3d":
        amax = size.reshape(*shape[:2], block).amax(dim=2, keepdim=True)
    else:
        amax = size.amax(dim=1) if scaling == "row" else size.max()
    quantizer = amax.clamp(min=1e-12).reciprocal() * torch.where(amax > 2.0**119, MOST[element], LARGEST)
    scaled = weights * expanded(quantizer, weights.shape, scaling, block)
    return scaled.clamp(-MOST[element], MOST[element]).to(TORCH[element]), quantizer.reciprocal()


def find_convert_to_quant():
    """Its version; None where it cannot be used. It needs tqdm, which it does not install."""
    try:
        import convert_to_quant

        return convert_to_quant.__version__
    except ImportError as missing:
        print(f"note: convert_to_quant cannot be used and is not compared with: {missing}")
        return None


CONVERT_TO_QUANT = find_convert_to_quant()


def convert_to_quant(weights, scaling, block=64):
    """Its simple mode for one matrix. It writes e4m3fn alone, and one scale of an all-zero matrix as [1]. No option leads
    to groups of a row any more, but the code that made them is there."""
    from convert_to_quant.converters.learned_rounding import LearnedRoundingConverter

    logging.disable(logging.CRITICAL)
    converter = LearnedRoundingConverter(
        scaling_mode=scaling, block_size=block, target_format="fp8", no_learned_rounding=True, device="cpu"
    )
    with unittest.mock.patch("gc.collect"):  # after every matrix, which takes far longer than small ones do
        if scaling == "block3d" and weights.any():
            codes, scales, *_ = converter._convert_fp8(weights.clone())
        else:
            converter.scaling_mode = scaling
            codes, scales, *_ = converter.convert(weights.clone())
    return codes, scales.reshape(scale_shape(weights.shape, scaling, block))


def float_words(values):
    return [f"{word:08X}" for word in np.asarray(values, dtype=np.float32).reshape(-1).view(np.uint32)]


def byte_words(codes):
    return [f"{code:02X}" for code in codes.reshape(-1).view(torch.uint8).tolist()]


def write_matrix(out, words, weights, codes, scales):
    """An entry of a golden file."""
    out.write(f"matrix {words}\n")
    for line in (float_words(weights), byte_words(codes), float_words(scales)):
        out.write(" ".join(line) + "\n")


def float_from_bits(word):
    return struct.unpack("<f", struct.pack("<I", word))[0]
