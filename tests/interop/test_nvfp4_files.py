#!/usr/bin/env python3
"""Whole files in NVFP4: the bytes of comfy-kitchen and convert_to_quant, and comfy-kitchen's own tensor class takes
them and dequantizes them to what Halftone's numbers say.

test_nvfp4_files.py HALFTONE
"""

import references  # first: without PyTorch it ends the test as skipped

import nvfp4_references as nvfp4
import padded_block_files
import torch
from matrices import random_like
from whole_files import dequantized, run_test

from safetensors.torch import save_file  # whole_files skips the test where it is missing

LEVELS = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


def parts_of(stored, name):
    layer = name.removesuffix(".weight")
    return stored[name], stored[f"{layer}.weight_scale"], stored[f"{layer}.weight_scale_2"]


def values_in(stored, name, shape):
    """What docs say that the bytes mean, without anyone's library."""
    codes, scales, tensor_scale = parts_of(stored, name)
    rows, cols = codes.shape[0], codes.shape[1] * 2
    i, j = torch.meshgrid(torch.arange(rows), torch.arange(cols // 16), indexing="ij")
    tiles = -(-(cols // 16) // 4)
    offset = ((i // 128 * tiles + j // 4) * 32 + i % 32) * 16 + i % 128 // 32 * 4 + j % 4
    step = tensor_scale * scales.view(torch.uint8).reshape(-1)[offset].view(torch.float8_e4m3fn).float()
    both = torch.stack([codes >> 4, codes & 15], dim=-1).reshape(rows, cols)
    values = LEVELS[both.long()] * step.repeat_interleave(16, dim=1)
    return values[: shape[0], : shape[1]]


def check_bytes(report, name, weights, stored):
    codes, scales, tensor_scale = parts_of(stored, name)
    report.check(codes.dtype == torch.uint8, f"{name}: {codes.dtype}")
    report.check(scales.dtype == torch.float8_e4m3fn, f"{name}: scales are {scales.dtype}")
    report.check(tensor_scale.dtype == torch.float32 and tensor_scale.shape == (), f"{name}: tensor scale")
    raw = scales.view(torch.uint8)
    for tool, make in (("comfy-kitchen", nvfp4.comfy_kitchen), ("convert_to_quant", nvfp4.convert_to_quant)):
        theirs = make(weights)
        report.check(codes.shape == theirs[0].shape, f"{name}: shape {tuple(codes.shape)}")
        report.check(raw.shape == theirs[1].shape, f"{name}: shape of scales {tuple(raw.shape)}")
        report.check(torch.equal(codes, theirs[0]), f"{name}: codes of {tool}")
        report.check(torch.equal(raw, theirs[1]), f"{name}: block scales of {tool}")
        report.check(torch.equal(tensor_scale, theirs[2]), f"{name}: tensor scale of {tool}")


def check_tensor_class(report, name, weights, stored, values):
    """As ComfyUI loads it: comfy-kitchen's tensor with the shape of the module that it belongs to."""
    from comfy_kitchen.tensor import QuantizedTensor, TensorCoreNVFP4Layout

    codes, scales, tensor_scale = parts_of(stored, name)
    params = TensorCoreNVFP4Layout.Params(
        scale=tensor_scale, orig_dtype=torch.float32, orig_shape=tuple(weights.shape), block_scale=scales
    )
    loaded = QuantizedTensor(codes, "TensorCoreNVFP4Layout", params)
    report.check(torch.equal(loaded.dequantize(), values), f"{name}: values of comfy-kitchen's tensor class")
    x = random_like((3, weights.shape[1]), 1.0, 77)
    product = torch.nn.functional.linear(x, loaded)
    report.check(product.shape == (3, weights.shape[0]), f"{name}: shape of a product")
    report.check(torch.equal(product, torch.nn.functional.linear(x, values)), f"{name}: a product")


NVFP4 = padded_block_files.Format("nvfp4", 16, nvfp4, values_in, check_bytes, check_tensor_class, 0.105, 0.95)


def check_column_scales(program, folder, report):
    """comfy-kitchen's codes of W / s beside s: what loaders compute, linear(x * s), is linear(x) of what Halftone reads."""
    from comfy_kitchen.tensor import QuantizedTensor, TensorCoreNVFP4Layout

    tensors, expected, products = {}, {}, {}
    x = random_like((5, 96), 1.0, 78)
    for at, dtype in enumerate((torch.float32, torch.float16, torch.bfloat16, torch.float64)):
        shape = (96,) if at % 2 else (1, 96)
        scale = (torch.rand(shape, generator=torch.Generator().manual_seed(at)) + 0.5).to(dtype)
        weights = random_like((64, 96), 0.02, 79 + at)
        codes, scales, tensor_scale = nvfp4.comfy_kitchen(weights / scale.float().reshape(-1))
        scales = scales.view(torch.float8_e4m3fn)
        params = TensorCoreNVFP4Layout.Params(
            scale=tensor_scale, orig_dtype=torch.float32, orig_shape=(64, 96), block_scale=scales
        )
        loaded = QuantizedTensor(codes, "TensorCoreNVFP4Layout", params)
        layer = str(dtype).removeprefix("torch.")
        expected[f"{layer}.weight"] = loaded.dequantize() * scale.float().reshape(-1)
        products[f"{layer}.weight"] = torch.nn.functional.linear(x * scale.float().reshape(-1), loaded)
        marker = torch.tensor(list(b'{"format": "nvfp4"}'), dtype=torch.uint8)
        parts = {"weight": codes, "weight_scale": scales, "weight_scale_2": tensor_scale}
        parts |= {"pre_quant_scale": scale, "comfy_quant": marker}
        tensors |= {f"{layer}.{part}": tensor for part, tensor in parts.items()}
    save_file(tensors, folder / "scaled.safetensors")
    back = dequantized(program, folder / "scaled.safetensors")
    report.check(sorted(back) == sorted(expected), "scales of columns: nothing but weights is left")
    for name, values in expected.items():
        report.check(torch.equal(back[name], values), f"{name}: values times the scales of columns")
        product = torch.nn.functional.linear(x, back[name])
        report.check(torch.allclose(product, products[name], rtol=1e-4, atol=1e-6), f"{name}: a product")


def check_files(program, folder, report):
    padded_block_files.check_files(NVFP4, program, folder, report)
    check_column_scales(program, folder, report)


if __name__ == "__main__":
    run_test(check_files)
