#!/usr/bin/env python3
"""Whole files: what `halftone run` writes is read by the safetensors package, has the bytes of the references, and
dequantizes in PyTorch to what it was.

test_fp8_files.py HALFTONE
"""

import json
import subprocess
import sys

import references as ref  # first: without PyTorch it ends the test as skipped

import torch
from matrices import adversarial, in_whole_tiles, random_like
from whole_files import dequantized, quantized, read, run_test

from safetensors.torch import save_file  # whole_files skips the test where it is missing

LABELS = {
    ("e4m3fn", "tensor"): "float8_e4m3fn",
    ("e4m3fn", "row"): "float8_e4m3fn_rowwise",
    ("e5m2", "tensor"): "float8_e5m2",
    ("e5m2", "row"): "float8_e5m2_rowwise",
    ("e4m3fn", "block"): "float8_e4m3fn_blockwise",
    ("e4m3fn", "block3d"): "float8_e4m3fn",
    ("e5m2", "block"): "float8_e5m2_blockwise",
    ("e5m2", "block3d"): "float8_e5m2",
}
BLOCK = 4


def make_checkpoint(path):
    """Layers of every source dtype, and things that are kept."""
    tensors = {}
    for element in ref.ELEMENTS:
        for name, weights in adversarial(element).items():
            tensors[f"hard.{element}.{name}.weight"] = weights.contiguous()
            tensors[f"whole.{element}.{name}.weight"] = in_whole_tiles(weights, BLOCK)
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
        name = str(dtype).removeprefix("torch.")
        tensors[f"{name}.proj.weight"] = random_like((48, 80), 0.02, 21).to(dtype)
        tensors[f"{name}.proj.bias"] = random_like((48,), 0.02, 22).to(dtype)
        tensors[f"{name}.norm.weight"] = random_like((80,), 1.0, 23).to(dtype)
    # Not every float64 is a float32.
    tensors["float64.proj.weight"] = tensors["float64.proj.weight"] * torch.pi
    tensors["conv.weight"] = random_like((8, 4, 3, 3), 0.1, 24)
    save_file(tensors, path, metadata={"modelspec.title": "hard to round"})
    return tensors


def has_whole_blocks(weights, scaling):
    rows, cols = weights.shape
    return not scaling.startswith("block") or (cols % BLOCK == 0 and (scaling == "block3d" or rows % BLOCK == 0))


def check_output(report, source, stored, metadata, element, scaling):
    """Against the references, layer by layer. Returns the largest relative error of a dequantized layer."""
    expected = {"format": LABELS[element, scaling]}
    if scaling.startswith("block"):
        expected |= {"group_size": BLOCK, "params": {"group_size": BLOCK}}
    entries = json.loads(metadata["_quantization_metadata"])
    report.check(entries["format_version"] == "1.0", "format_version")
    report.check(metadata.get("modelspec.title") == "hard to round", "the input's metadata are kept")
    worst = 0.0
    layers = []
    for name, weights in source.items():
        layer = name.removesuffix(".weight")
        if not name.endswith(".weight") or weights.ndim != 2 or not has_whole_blocks(weights, scaling):
            report.check(torch.equal(stored[name], weights) and stored[name].dtype == weights.dtype, f"{name} kept")
            continue
        layers.append(layer)
        codes, scales = stored[name], stored[f"{layer}.weight_scale"]
        report.check(codes.dtype == ref.TORCH[element], f"{name}: {codes.dtype}")
        report.check(scales.dtype == torch.float32, f"{name}: scales are {scales.dtype}")
        report.check(scales.shape == ref.scale_shape(weights.shape, scaling, BLOCK), f"{name}: {scales.shape}")
        marker = bytes(stored[f"{layer}.comfy_quant"].tolist())
        report.check(marker == json.dumps(expected).encode(), f"{name}: {marker}")
        report.check(entries["layers"].get(layer) == expected, f"{name}: entry in the header")

        references = {"the text": ref.by_the_text(weights.float(), element, scaling, BLOCK)}
        if element == "e4m3fn" and ref.CONVERT_TO_QUANT:
            references["convert_to_quant"] = ref.convert_to_quant(weights.float(), scaling, BLOCK)
        for reference, (their_codes, their_scales) in references.items():
            report.check(ref.byte_words(codes) == ref.byte_words(their_codes), f"{name}: codes of {reference}")
            report.check(ref.float_words(scales) == ref.float_words(their_scales), f"{name}: scales of {reference}")

        if layer.endswith(".proj"):
            value = codes.float() * ref.expanded(scales, codes.shape, scaling, BLOCK)
            worst = max(worst, ((value - weights.float()).norm() / weights.float().norm()).item())
    report.check(sorted(entries["layers"]) == sorted(layers), "the header has every layer and no other")
    report.check(len(stored) == len(source) + 2 * len(layers), "no other tensors")
    return worst


def check_legacy(report, source, stored, metadata):
    """The layout before markers of layers: scale_weight, and one marker for the file."""
    report.check("_quantization_metadata" not in metadata, "an entry in the header would keep loaders from converting")
    report.check(not any(name.endswith(".comfy_quant") for name in stored), "no markers of layers")
    report.check(stored["scaled_fp8"].dtype == torch.float8_e4m3fn and stored["scaled_fp8"].numel() != 2, "the marker")
    for name, weights in source.items():
        if name.endswith(".weight") and weights.ndim == 2:
            codes, scale = ref.by_the_text(weights.float(), "e4m3fn", "tensor")
            report.check(ref.byte_words(stored[name]) == ref.byte_words(codes), f"{name}: codes")
            ours = stored[f"{name.removesuffix('.weight')}.scale_weight"]
            report.check(ref.float_words(ours) == ref.float_words(scale), f"{name}: scale")


def check_against_their_program(report, source_path, ours, folder):
    """convert_to_quant as a whole, on the same file: the same codes and scales wherever it quantizes."""
    target = folder / "theirs.safetensors"
    command = "import sys; from convert_to_quant.convert_to_quant import main; sys.exit(main())"
    arguments = ["-i", source_path, "-o", target, "--simple", "--comfy_quant", "--device", "cpu"]
    done = subprocess.run([sys.executable, "-c", command, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        report.check(False, f"convert_to_quant failed: {done.stderr[-2000:]}")
        return
    theirs, _ = read(target)
    compared = 0
    for name, codes in theirs.items():
        if codes.dtype != torch.float8_e4m3fn:
            continue
        scale = f"{name.removesuffix('.weight')}.weight_scale"
        report.check(ref.byte_words(codes) == ref.byte_words(ours[name]), f"{name}: codes of the program")
        report.check(ref.float_words(theirs[scale]) == ref.float_words(ours[scale]), f"{name}: scales of the program")
        report.check(theirs[scale].shape == ours[scale].shape, f"{name}: shape of the program's scale")
        compared += 1
    print(f"convert_to_quant's own run: {compared} layers compared")
    report.check(compared > 20, "it quantizes most layers")


def check_files(program, folder, report):
    source_path = folder / "source.safetensors"
    source = make_checkpoint(source_path)
    for element, scaling in LABELS:
        target = folder / f"{element}-{scaling}.safetensors"
        options = f'element = "{element}"\nscaling = "{scaling}"\nblock_size = {BLOCK}'
        stored, metadata = quantized(program, source_path, target, "fp8", options)
        worst = check_output(report, source, stored, metadata, element, scaling)
        back = dequantized(program, target)
        for name, codes in stored.items():
            if codes.dtype == ref.TORCH[element]:
                scales = stored[f"{name}_scale"]
                value = codes.float() * ref.expanded(scales, codes.shape, scaling, BLOCK)
                report.check(torch.equal(back[name], value), f"{name}: what is read back, {scaling}")
        print(f"{element}, a scale per {scaling}: relative error of random layers up to {worst:.4f}")
        report.check(worst < (0.03 if element == "e4m3fn" else 0.06), "the layers are still themselves")
        if (element, scaling) == ("e4m3fn", "tensor") and ref.CONVERT_TO_QUANT:
            check_against_their_program(report, source_path, stored, folder)
    legacy = quantized(program, source_path, folder / "legacy.safetensors", "fp8", layout="legacy")
    check_legacy(report, source, *legacy)


if __name__ == "__main__":
    run_test(check_files)
