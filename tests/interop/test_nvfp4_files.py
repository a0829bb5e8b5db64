#!/usr/bin/env python3
"""Whole files in NVFP4: the bytes of comfy-kitchen and convert_to_quant, and comfy-kitchen's own tensor class takes
them and dequantizes them to what Halftone's numbers say.

test_nvfp4_files.py HALFTONE
"""

import json

import references as ref  # first: without PyTorch it ends the test as skipped

import nvfp4_references as nvfp4
import torch
from matrices import random_like
from whole_files import dequantized, quantized, run_test

from safetensors.torch import save_file  # whole_files skips the test where it is missing

LEVELS = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


def make_checkpoint(path):
    tensors = {f"hard.{name}.weight": matrix.contiguous() for name, matrix in nvfp4.hard_matrices().items()}
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        for shape in ((48, 80), (50, 83), (300, 320)):
            tensors[f"{name}.{shape[0]}.weight"] = random_like(shape, 0.02, shape[0]).to(dtype)
        tensors[f"{name}.48.bias"] = random_like((48,), 0.02, 22).to(dtype)
    save_file(tensors, path)
    return tensors


def by_the_text(codes, scales, tensor_scale, shape):
    """What docs say that the bytes mean, without anyone's library."""
    rows, cols = codes.shape[0], codes.shape[1] * 2
    i, j = torch.meshgrid(torch.arange(rows), torch.arange(cols // 16), indexing="ij")
    tiles = -(-(cols // 16) // 4)
    offset = ((i // 128 * tiles + j // 4) * 32 + i % 32) * 16 + i % 128 // 32 * 4 + j % 4
    step = tensor_scale * scales.reshape(-1)[offset].view(torch.float8_e4m3fn).float()
    both = torch.stack([codes >> 4, codes & 15], dim=-1).reshape(rows, cols)
    values = LEVELS[both.long()] * step.repeat_interleave(16, dim=1)
    return values[: shape[0], : shape[1]]


def check_layer(report, name, weights, stored, entry, reference=True):
    layer = name.removesuffix(".weight")
    codes, scales, tensor_scale = stored[name], stored[f"{layer}.weight_scale"], stored[f"{layer}.weight_scale_2"]
    report.check(codes.dtype == torch.uint8, f"{name}: {codes.dtype}")
    report.check(scales.dtype == torch.float8_e4m3fn, f"{name}: scales are {scales.dtype}")
    report.check(tensor_scale.dtype == torch.float32 and tensor_scale.shape == (), f"{name}: tensor scale")
    marker = json.loads(bytes(stored[f"{layer}.comfy_quant"].tolist()))
    expected = {
        "format": "nvfp4",
        "group_size": 16,
        "orig_dtype": str(weights.dtype),
        "orig_shape": list(weights.shape),
        "params": {"group_size": 16},
    }
    report.check(marker == expected == entry, f"{name}: {marker}")
    raw = scales.view(torch.uint8)
    if reference:
        for tool, make in (("comfy-kitchen", nvfp4.comfy_kitchen), ("convert_to_quant", nvfp4.convert_to_quant)):
            theirs = make(weights)
            report.check(codes.shape == theirs[0].shape, f"{name}: shape {tuple(codes.shape)}")
            report.check(raw.shape == theirs[1].shape, f"{name}: shape of scales {tuple(raw.shape)}")
            report.check(torch.equal(codes, theirs[0]), f"{name}: codes of {tool}")
            report.check(torch.equal(raw, theirs[1]), f"{name}: block scales of {tool}")
            report.check(torch.equal(tensor_scale, theirs[2]), f"{name}: tensor scale of {tool}")

    values = by_the_text(codes, raw, tensor_scale, weights.shape)
    check_tensor_class(report, name, weights, (codes, scales, tensor_scale), values)
    return ((values - weights.float()).norm() / weights.float().norm().clamp(min=1e-30)).item()


def check_tensor_class(report, name, weights, stored, values):
    """As ComfyUI loads it: comfy-kitchen's tensor with the shape of the module that it belongs to."""
    from comfy_kitchen.tensor import QuantizedTensor, TensorCoreNVFP4Layout

    codes, scales, tensor_scale = stored
    params = TensorCoreNVFP4Layout.Params(
        scale=tensor_scale, orig_dtype=torch.float32, orig_shape=tuple(weights.shape), block_scale=scales
    )
    loaded = QuantizedTensor(codes, "TensorCoreNVFP4Layout", params)
    report.check(torch.equal(loaded.dequantize(), values), f"{name}: values of comfy-kitchen's tensor class")
    x = random_like((3, weights.shape[1]), 1.0, 77)
    product = torch.nn.functional.linear(x, loaded)
    report.check(product.shape == (3, weights.shape[0]), f"{name}: shape of a product")
    report.check(torch.equal(product, torch.nn.functional.linear(x, values)), f"{name}: a product")


def check_dequantized(report, program, path, source, stored):
    """`halftone dequantize` gives those values too, in the matrices' own shapes."""
    back = dequantized(program, path)
    report.check(sorted(back) == sorted(source), "dequantized: the tensors of the source")
    for name, weights in source.items():
        if weights.ndim == 2:
            layer = name.removesuffix(".weight")
            scales = stored[f"{layer}.weight_scale"].view(torch.uint8)
            values = by_the_text(stored[name], scales, stored[f"{layer}.weight_scale_2"], weights.shape)
            report.check(torch.equal(back[name], values), f"{name}: values of halftone dequantize")


def squared_error(source, stored):
    total = 0.0
    for name, weights in source.items():
        if name.endswith("00.weight"):
            layer = name.removesuffix(".weight")
            scales = stored[f"{layer}.weight_scale"].view(torch.uint8)
            values = by_the_text(stored[name], scales, stored[f"{layer}.weight_scale_2"], weights.shape)
            total += (values - weights.float()).square().sum().item()
    return total


def check_files(program, folder, report):
    if nvfp4.COMFY_KITCHEN is None or ref.CONVERT_TO_QUANT is None:
        ref.skip("comfy-kitchen or convert_to_quant cannot be used; ./dev interop installs them")
    source = make_checkpoint(folder / "source.safetensors")
    plain, searched = (
        quantized(program, folder / "source.safetensors", folder / f"{scale}.safetensors", "nvfp4", f'scale = "{scale}"')
        for scale in ("absmax", "mse")
    )
    for (stored, metadata), reference in ((plain, True), (searched, False)):
        entries = json.loads(metadata["_quantization_metadata"])["layers"]
        worst = 0.0
        for key, weights in source.items():
            if weights.ndim != 2:
                report.check(torch.equal(stored[key], weights), f"{key} kept")
                continue
            error = check_layer(report, key, weights, stored, entries.get(key.removesuffix(".weight")), reference)
            worst = max(worst, error if not key.startswith("hard.") else 0.0)
        print(f"relative error of random layers up to {worst:.4f}")
        report.check(worst < 0.105, "the layers are still themselves")
    check_dequantized(report, program, folder / "absmax.safetensors", source, plain[0])
    gain = squared_error(source, searched[0]) / squared_error(source, plain[0])
    print(f"searched scales leave {gain:.3f} of the squared error")
    report.check(gain < 0.95, "searching for scales pays")
    print(f"{len(source)} tensors, comfy-kitchen {nvfp4.COMFY_KITCHEN}, convert_to_quant {ref.CONVERT_TO_QUANT}")


if __name__ == "__main__":
    run_test(check_files)
