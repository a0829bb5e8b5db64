#!/usr/bin/env python3
"""Whole files in MXFP8: the bytes of comfy-kitchen and convert_to_quant, and comfy-kitchen's own tensor class takes them,
dequantizes them to what Halftone's numbers say and multiplies with them.

test_mxfp8_files.py HALFTONE
"""

import references  # first: without PyTorch it ends the test as skipped

import mxfp8_references as mxfp8
import padded_block_files
import torch
from matrices import random_like
from whole_files import dequantized, quantized, read, run_test


def parts_of(stored, name):
    return stored[name], stored[name.removesuffix("weight") + "weight_scale"]


def values_in(stored, name, shape):
    codes, scales = parts_of(stored, name)
    return mxfp8.values_of(codes.view(torch.uint8), scales, shape)


def check_bytes(report, name, weights, stored):
    codes, scales = parts_of(stored, name)
    report.check(codes.dtype == torch.float8_e4m3fn, f"{name}: {codes.dtype}")
    report.check(scales.dtype == torch.uint8, f"{name}: scales are {scales.dtype}")
    ours = codes.view(torch.uint8), scales
    *rule, others_differ = mxfp8.by_the_rule(weights)
    report.check(torch.equal(ours[0], rule[0]) and torch.equal(ours[1], rule[1]), f"{name}: the rule")
    for tool, make in (("comfy-kitchen", mxfp8.comfy_kitchen), ("convert_to_quant", mxfp8.convert_to_quant)):
        report.check(mxfp8.same(ours, make(weights), others_differ), f"{name}: bytes of {tool}")
    if not name.startswith("hard."):
        report.check(not others_differ.any(), f"{name}: all blocks compared")


def check_tensor_class(report, name, weights, stored, values):
    """As ComfyUI loads it: comfy-kitchen's tensor with the shape of the module that it belongs to. With activations in
    MXFP8, too, it multiplies on GPUs alone."""
    from comfy_kitchen.tensor import QuantizedTensor, TensorCoreMXFP8Layout

    codes, scales = parts_of(stored, name)
    params = TensorCoreMXFP8Layout.Params(
        scale=scales.view(torch.float8_e8m0fnu), orig_dtype=torch.float32, orig_shape=tuple(weights.shape)
    )
    loaded = QuantizedTensor(codes, "TensorCoreMXFP8Layout", params)
    report.check(torch.equal(loaded.dequantize(), values), f"{name}: values of comfy-kitchen's tensor class")
    x = random_like((3, weights.shape[1]), 1.0, 77)
    product = torch.nn.functional.linear(x, loaded)
    report.check(torch.equal(product, torch.nn.functional.linear(x, values)), f"{name}: a product")


MXFP8 = padded_block_files.Format("mxfp8", 32, mxfp8, values_in, check_bytes, check_tensor_class, 0.03, 1.0)


def check_hybrid(report, program, path, plain, values):
    """What convert_to_quant's --make-hybrid-mxfp8 makes of our file has our values, and written anew, no number more."""
    from convert_to_quant.formats.hybrid_mxfp8_conversion import convert_to_hybrid_mxfp8

    hybrid = path.with_name("hybrid.safetensors")
    convert_to_hybrid_mxfp8(str(path), str(hybrid))
    more = {key for key in read(hybrid)[0] if key.endswith(".weight_scalar")}
    report.check(len(more) > 0, "the hybrid file has numbers of its own")
    back = dequantized(program, hybrid)
    report.check(sorted(back) == sorted(values), "hybrid: the same tensors")
    anew, _ = quantized(program, hybrid, path.with_name("anew.safetensors"), "mxfp8")
    report.check(set(anew) == set(plain), "hybrid, written anew: the same tensors")
    for name, expected in values.items():
        report.check(torch.equal(back[name], expected), f"hybrid: {name}")
        if expected.ndim == 2:  # next to nothing may have become 0
            again = values_in(anew, name, expected.shape)
            report.check(torch.allclose(again, expected, rtol=0, atol=1e-35), f"written anew: {name}")


def check_files(program, folder, report):
    plain, values = padded_block_files.check_files(MXFP8, program, folder, report)
    check_hybrid(report, program, folder / "absmax.safetensors", plain, values)


if __name__ == "__main__":
    run_test(check_files)
