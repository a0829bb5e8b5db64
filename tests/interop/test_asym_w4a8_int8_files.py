#!/usr/bin/env python3
"""Whole files in asym_w4a8_int8: comfy-kitchen's bytes, and its own tensor class takes them, dequantizes and multiplies.

test_asym_w4a8_int8_files.py HALFTONE
"""

import json

import references as ref  # first: without PyTorch it ends the test as skipped

import asym_references as asym
import torch
from convrot_references import rotation_group
from matrices import random_like
from whole_files import dequantized, quantized, run_test

from safetensors.torch import save_file  # whole_files skips the test where it is missing


def make_checkpoint(path, large):
    tensors = {f"hard.{name}.weight": weights.contiguous() for name, weights in asym.hard_matrices().items()}
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        tensors[f"{name}.proj.weight"] = random_like((96, 1024), 0.02, 71).to(dtype)
        tensors[f"{name}.narrow.weight"] = random_like((300, 320), 0.02, 72).to(dtype)
        tensors[f"{name}.proj.bias"] = random_like((96,), 0.02, 73).to(dtype)
    tensors["fitted.small.weight"] = asym.heavy_tailed((64, 256), 74)
    if large:  # a codebook fitted to a sample of numbers of a sample of rows, and one judged so
        tensors["fitted.rows.weight"] = asym.heavy_tailed((4500, 1024), 76)
        tensors["judged.rows.weight"] = random_like((5000, 1024), 0.02, 77)
    save_file(tensors, path)
    return tensors


def check_tensor_class(report, name, stored, codebook, group, rotation, shape, values):
    """As ComfyUI loads it."""
    from comfy_kitchen.tensor import QuantizedTensor
    from comfy_kitchen.tensor.w4a8_int8 import AsymW4A8Int8Layout

    codes, scales, steps = stored
    params = AsymW4A8Int8Layout.Params(
        scale=scales,
        s_channel=steps,
        codebook=codebook,
        orig_dtype=torch.float32,
        orig_shape=shape,
        group_size=group,
        convrot_groupsize=rotation,
    )
    loaded = QuantizedTensor(codes, "AsymW4A8Int8Layout", params)
    theirs = loaded.dequantize()
    error = ((theirs - values).double().norm() / values.double().norm().clamp(min=1e-30)).item()
    report.check(error < 1e-6, f"{name}: values of comfy-kitchen's tensor class, {error}")
    if not name.endswith("proj.weight"):
        return
    x = random_like((3, shape[1]), 1.0, 77)
    product = torch.nn.functional.linear(x, loaded)
    expected = x @ theirs.T
    error = ((product - expected).norm() / expected.norm()).item()
    report.check(error < 0.02, f"{name}: a product with activations in 8 bits, {error}")


def check_output(report, source, stored, values, group):
    fitted = 0
    for name, weights in source.items():
        layer = name.removesuffix(".weight")
        if not name.endswith(".weight"):
            report.check(torch.equal(stored[name], weights), f"{name} kept")
            continue
        rows, cols = weights.shape
        if cols % group:
            report.check(torch.equal(stored[name], weights), f"{name} kept")
            continue
        codes, scales = stored[name], stored[f"{layer}.weight_s_rel"]
        steps, codebook = stored[f"{layer}.weight_s_channel"], stored[f"{layer}.weight_codebook"]
        report.check(codes.dtype == torch.int8 and scales.dtype == torch.float8_e4m3fn, f"{name}: types")
        rotation = rotation_group(cols, 256)
        marker = json.loads(bytes(stored[f"{layer}.comfy_quant"].tolist()))
        expected = {
            "format": "asym_w4a8_int8",
            "group_size": group,
            "params": {"group_size": group},
            "convrot_groupsize": rotation,
        }
        report.check(marker == expected, f"{name}: {marker}")

        their_codebook = asym.their_codebook(weights, group, rotation)
        theirs_fixed = torch.equal(their_codebook, asym.fixed_codebook())
        report.check(theirs_fixed == torch.equal(codebook, asym.fixed_codebook()), f"{name}: whether it is fitted")
        fitted += not theirs_fixed
        # Where many numbers are equal theirs need not rise, as their search for the nearest level expects.
        away = (codebook - their_codebook.sort().values).abs().max().item()
        report.check(away < 5e-6, f"{name}: a codebook {away} from theirs")

        theirs = asym.comfy_kitchen(weights, group, rotation, codebook)
        report.check(codes.shape == theirs[0].shape and torch.equal(codes, theirs[0]), f"{name}: codes")
        report.check(torch.equal(scales.view(torch.uint8), theirs[1]), f"{name}: group scales")
        report.check(ref.float_words(steps) == ref.float_words(theirs[2]), f"{name}: row scales")
        check_tensor_class(report, name, (codes, scales, steps), codebook, group, rotation, (rows, cols), values[name])
        if layer.endswith((".proj", ".narrow")):
            error = ((values[name] - weights.float()).norm() / weights.float().norm()).item()
            report.check(error < 0.13 if group > 16 else error < 0.085, f"{name}: relative error {error}")
    return fitted


def check_files(program, folder, report):
    source_path = folder / "source.safetensors"
    for group in (16, 4, 8, 64):
        source = make_checkpoint(source_path, group == 16)
        target = folder / f"{group}.safetensors"
        stored, _ = quantized(program, source_path, target, "asym_w4a8_int8", f"group_size = {group}")
        values = dequantized(program, target)
        fitted = check_output(report, source, stored, values, group)
        print(f"groups of {group}: {fitted} codebooks fitted")
        report.check(group != 16 or fitted >= 2, "heavy tails have codebooks of their own")


if __name__ == "__main__":
    if asym.COMFY_KITCHEN is None:
        ref.skip("comfy-kitchen cannot be used")
    run_test(check_files)
