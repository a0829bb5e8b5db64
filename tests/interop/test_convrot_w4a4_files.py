#!/usr/bin/env python3
"""Whole files in convrot_w4a4: comfy-kitchen's bytes, and its own tensor class takes them, dequantizes and multiplies.

test_convrot_w4a4_files.py HALFTONE
"""

import json

import references as ref  # first: without PyTorch it ends the test as skipped

import convrot_references as convrot
import torch
from int8_references import hadamard
from matrices import random_like
from whole_files import dequantized, quantized, run_test

from safetensors.torch import save_file  # whole_files skips the test where it is missing


def make_checkpoint(path):
    tensors = {f"hard.{name}.weight": weights.contiguous() for name, weights in convrot.hard_matrices().items()}
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        tensors[f"{name}.proj.weight"] = random_like((96, 1024), 0.02, 71).to(dtype)
        tensors[f"{name}.narrow.weight"] = random_like((300, 320), 0.02, 72).to(dtype)
        tensors[f"{name}.proj.bias"] = random_like((96,), 0.02, 73).to(dtype)
    save_file(tensors, path)
    return tensors


def check_tensor_class(report, name, weights, codes, scales, marker, values):
    """As ComfyUI loads it."""
    from comfy_kitchen.tensor import QuantizedTensor, TensorCoreConvRotW4A4Layout

    params = TensorCoreConvRotW4A4Layout.Params(
        scale=scales,
        orig_dtype=torch.float32,
        orig_shape=tuple(weights.shape),
        convrot_groupsize=marker["convrot_groupsize"],
        linear_dtype=marker["linear_dtype"],
    )
    loaded = QuantizedTensor(codes, "TensorCoreConvRotW4A4Layout", params)
    theirs = loaded.dequantize()
    error = ((theirs - values).double().norm() / values.double().norm().clamp(min=1e-30)).item()
    report.check(error < 1e-6, f"{name}: values of comfy-kitchen's tensor class, {error}")
    if not name.endswith("proj.weight"):
        return
    x = random_like((3, weights.shape[1]), 1.0, 77)
    product = torch.nn.functional.linear(x, loaded)
    expected = x @ theirs.T
    error = ((product - expected).norm() / expected.norm()).item()
    report.check(error < 0.2, f"{name}: a product with activations in 4 bits, {error}")


def check_output(report, source, stored, values, most):
    """Returns how many codes differ from those of comfy-kitchen's own rotation, and of how many."""
    different = compared = 0
    for name, weights in source.items():
        layer = name.removesuffix(".weight")
        if not name.endswith(".weight"):
            report.check(torch.equal(stored[name], weights), f"{name} kept")
            continue
        codes, scales = stored[name], stored[f"{layer}.weight_scale"]
        report.check(codes.dtype == torch.int8 and scales.dtype == torch.float32, f"{name}: types")
        report.check(f"{layer}.input_scale" not in stored, f"{name}: an input scale")
        group = convrot.rotation_group(weights.shape[1], most)
        marker = json.loads(bytes(stored[f"{layer}.comfy_quant"].tolist()))
        expected = {"format": "convrot_w4a4", "convrot_groupsize": group, "linear_dtype": "int8"}
        report.check(marker == expected, f"{name}: {marker}")

        theirs = convrot.comfy_kitchen(weights, group)
        report.check(codes.shape == theirs[0].shape and torch.equal(codes, theirs[0]), f"{name}: codes")
        report.check(scales.shape == theirs[1].shape, f"{name}: shape of scales {tuple(scales.shape)}")
        report.check(ref.float_words(scales) == ref.float_words(theirs[1]), f"{name}: scales")

        alone = convrot.comfy_kitchen_alone(weights, group)
        report.check(torch.allclose(scales, alone[1], rtol=2e-6, atol=0), f"{name}: scales by its own rotation")
        if not name.startswith("hard."):
            steps = (convrot.unpacked(codes).int() - convrot.unpacked(alone[0]).int()).abs()
            report.check(steps.max() <= 1, f"{name}: {steps.max()} steps from its own rotation")
            different += int(steps.count_nonzero())
            compared += steps.numel()

        turned = (convrot.unpacked(codes).float() * scales[:, None]).double()
        h = torch.from_numpy(hadamard(group))
        back = (turned.reshape(len(turned), -1, group) @ h).reshape(turned.shape)
        error = ((values[name].double() - back).norm() / back.norm().clamp(min=1e-30)).item()
        report.check(error < 1e-6, f"{name}: dequantized, {error}")
        check_tensor_class(report, name, weights, codes, scales, marker, values[name])
    return different, compared


def check_files(program, folder, report):
    source_path = folder / "source.safetensors"
    source = make_checkpoint(source_path)
    for most in (4, 16, 256):
        target = folder / f"{most}.safetensors"
        stored, _ = quantized(program, source_path, target, "convrot_w4a4", f"rotation_group = {most}")
        values = dequantized(program, target)
        different, compared = check_output(report, source, stored, values, most)
        print(f"groups of {most}: {different} of {compared} codes one step from comfy-kitchen's own rotation")
        report.check(different <= compared * 1e-4, "rotations differ in the rarest of codes")


if __name__ == "__main__":
    if convrot.COMFY_KITCHEN is None:
        ref.skip("comfy-kitchen cannot be used")
    run_test(check_files)
