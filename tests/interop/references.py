"""What other people's code makes of numbers: the references that the interop tests and golden vectors are made of."""

import logging
import struct
import sys

SKIP = 77  # what CTest takes for "skipped"


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIP)


try:
    import numpy as np
    import torch
except ImportError as missing:
    skip(f"this test compares with PyTorch, and {missing.name} is not installed; ./dev interop installs it")

TORCH = {"e4m3fn": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2}
MOST = {"e4m3fn": 448.0, "e5m2": 57344.0}
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


def by_the_text(weights, element, scaling):
    """The numerics that docs/formats.md describes, in PyTorch; for what no other tool writes."""
    amax = weights.abs().amax(dim=1, keepdim=True) if scaling == "row" else weights.abs().max()
    if torch.all(weights == 0):
        return torch.zeros_like(weights).to(TORCH[element]), torch.ones(weights.shape[0] if scaling == "row" else ())
    quantizer = amax.clamp(min=1e-12).reciprocal() * MOST[element]
    codes = (weights * quantizer).clamp(-MOST[element], MOST[element]).to(TORCH[element])
    return codes, quantizer.reciprocal().reshape(-1) if scaling == "row" else quantizer.reciprocal()


def find_convert_to_quant():
    """Its version; None where it cannot be used. It needs tqdm, which it does not install."""
    try:
        import convert_to_quant

        return convert_to_quant.__version__
    except ImportError as missing:
        print(f"note: convert_to_quant cannot be used and is not compared with: {missing}")
        return None


CONVERT_TO_QUANT = find_convert_to_quant()


def convert_to_quant(weights, scaling):
    """Its simple mode for one matrix. It writes e4m3fn alone, and one scale of an all-zero matrix as [1]."""
    from convert_to_quant.converters.learned_rounding import LearnedRoundingConverter

    logging.disable(logging.CRITICAL)
    converter = LearnedRoundingConverter(
        scaling_mode=scaling, target_format="fp8", no_learned_rounding=True, device="cpu"
    )
    codes, scales, *_ = converter.convert(weights.clone())
    return codes, scales.reshape(-1) if scaling == "row" else scales.reshape(())


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
