#!/usr/bin/env python3
"""Whole files in MXFP8: the bytes of comfy-kitchen and convert_to_quant, and comfy-kitchen's own tensor class takes them,
dequantizes them to what Halftone's numbers say and multiplies with them.

test_mxfp8_files.py HALFTONE
"""

import json

import references as ref  # first: without PyTorch it ends the test as skipped

import mxfp8_references as mxfp8
import torch
from matrices import random_like
from whole_files import dequantized, quantized, read, run_test

from safetensors.torch import save_file  # whole_files skips the test where it is missing


def make_checkpoint(path):
    tensors = {f"hard.{name}.weight": matrix.contiguous() for name, matrix in mxfp8.hard_matrices().items()}
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        for shape in ((64, 96), (50, 83), (300, 320)):
            tensors[f"{name}.{shape[0]}.weight"] = random_like(shape, 0.02, shape[0]).to(dtype)
        tensors[f"{name}.64.bias"] = random_like((64,), 0.02, 22).to(dtype)
    save_file(tensors, path)
    return tensors


def check_layer(report, name, weights, stored, entry, reference):
    layer = name.removesuffix(".weight")
    codes, scales = stored[name], stored[f"{layer}.weight_scale"]
    report.check(codes.dtype == torch.float8_e4m3fn, f"{name}: {codes.dtype}")
    report.check(scales.dtype == torch.uint8, f"{name}: scales are {scales.dtype}")
    marker = json.loads(bytes(stored[f"{layer}.comfy_quant"].tolist()))
    expected = {
        "format": "mxfp8",
        "group_size": 32,
        "orig_dtype": str(weights.dtype),
        "orig_shape": list(weights.shape),
        "params": {"group_size": 32},
    }
    report.check(marker == expected == entry, f"{name}: {marker}")
    ours = codes.view(torch.uint8), scales
    if reference:
        *rule, others_differ = mxfp8.by_the_rule(weights)
        report.check(torch.equal(ours[0], rule[0]) and torch.equal(ours[1], rule[1]), f"{name}: the rule")
        for tool, make in (("comfy-kitchen", mxfp8.comfy_kitchen), ("convert_to_quant", mxfp8.convert_to_quant)):
            report.check(mxfp8.same(ours, make(weights), others_differ), f"{name}: bytes of {tool}")
        if not name.startswith("hard."):
            report.check(not others_differ.any(), f"{name}: all blocks compared")
    values = mxfp8.values_of(*ours, weights.shape)
    if torch.isfinite(values).all():
        check_tensor_class(report, name, weights, codes, scales, values)
    return ((values - weights.float()).norm() / weights.float().norm().clamp(min=1e-30)).item()


def check_tensor_class(report, name, weights, codes, scales, values):
    """As ComfyUI loads it: comfy-kitchen's tensor with the shape of the module that it belongs to. With activations in
    MXFP8, too, it multiplies on GPUs alone."""
    from comfy_kitchen.tensor import QuantizedTensor, TensorCoreMXFP8Layout

    params = TensorCoreMXFP8Layout.Params(
        scale=scales.view(torch.float8_e8m0fnu), orig_dtype=torch.float32, orig_shape=tuple(weights.shape)
    )
    loaded = QuantizedTensor(codes, "TensorCoreMXFP8Layout", params)
    report.check(torch.equal(loaded.dequantize(), values), f"{name}: values of comfy-kitchen's tensor class")
    x = random_like((3, weights.shape[1]), 1.0, 77)
    product = torch.nn.functional.linear(x, loaded)
    report.check(torch.equal(product, torch.nn.functional.linear(x, values)), f"{name}: a product")


def values_in(stored, name, shape):
    scales = stored[name.removesuffix("weight") + "weight_scale"]
    return mxfp8.values_of(stored[name].view(torch.uint8), scales, shape)


def check_dequantized(report, program, path, source, stored):
    """`halftone dequantize` gives those values too, in the matrices' own shapes."""
    back = dequantized(program, path)
    report.check(sorted(back) == sorted(source), "dequantized: the tensors of the source")
    for name, weights in source.items():
        if weights.ndim == 2:
            values = values_in(stored, name, weights.shape)
            report.check(torch.equal(back[name], values), f"{name}: values of halftone dequantize")
    return back


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


def squared_error(source, stored):
    matrices = ((name, weights) for name, weights in source.items() if weights.ndim == 2 and "hard" not in name)
    return sum((values_in(stored, n, w.shape) - w.float()).double().square().sum().item() for n, w in matrices)


def check_files(program, folder, report):
    if mxfp8.COMFY_KITCHEN is None or ref.CONVERT_TO_QUANT is None:
        ref.skip("comfy-kitchen or convert_to_quant cannot be used; ./dev interop installs them")
    source = make_checkpoint(folder / "source.safetensors")
    plain, searched = (
        quantized(program, folder / "source.safetensors", folder / f"{scale}.safetensors", "mxfp8", f'scale = "{scale}"')
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
        report.check(worst < 0.03, "the layers are still themselves")
    values = check_dequantized(report, program, folder / "absmax.safetensors", source, plain[0])
    check_hybrid(report, program, folder / "absmax.safetensors", plain[0], values)
    gain = squared_error(source, searched[0]) / squared_error(source, plain[0])
    print(f"searched scales leave {gain:.6f} of the squared error")
    report.check(gain <= 1, "searching for scales does no harm")
    print(f"{len(source)} tensors, comfy-kitchen {mxfp8.COMFY_KITCHEN}, convert_to_quant {ref.CONVERT_TO_QUANT}")


if __name__ == "__main__":
    run_test(check_files)
