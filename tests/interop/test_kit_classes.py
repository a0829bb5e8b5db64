#!/usr/bin/env python3
"""comfy-kitchen's own tensor classes take what is written in fp8 and int8, dequantize it to our values and multiply with
it; of stacks of experts, each expert. The other formats that it loads have this in tests of their own."""

import json

import torch

from whole_files import dequantized, quantized, ref, run_test

try:
    from comfy_kitchen import tensor as kit
except ImportError:
    ref.skip("comfy-kitchen is not installed; ./dev interop installs it")

from safetensors.torch import save_file

ROWS, COLS, EXPERTS = 48, 128, 3
STACK = "blocks.0.experts.up"
CASES = [  # format, options, class
    ("fp8", "", "TensorCoreFP8Layout"),
    ("fp8", 'element = "e5m2"', "TensorCoreFP8Layout"),
    ("int8", 'scaling = "tensor"', "TensorWiseINT8Layout"),
    ("int8", 'scaling = "row"', "TensorWiseINT8Layout"),
    ("int8", 'scaling = "row"\nrotation = "hadamard"\nrotation_group = 64', "TensorWiseINT8Layout"),
]


def loaded(layout, weight, scale, marker):
    more = {"convrot": marker["convrot"], "convrot_groupsize": marker["convrot_groupsize"]} if "convrot" in marker else {}
    params = getattr(kit, layout).Params(scale=scale, orig_dtype=torch.float32, orig_shape=tuple(weight.shape), **more)
    return kit.QuantizedTensor(weight, layout, params)


def check_one(report, name, tensor, ours):
    values = tensor.dequantize()
    error = (values - ours).norm() / ours.norm()
    report.check(error < 1e-6, f"{name}: values of comfy-kitchen's tensor class, {error}")
    inputs = torch.randn(16, COLS, generator=torch.Generator().manual_seed(7))
    product = torch.nn.functional.linear(inputs, tensor)
    exact = inputs @ ours.T
    error = (product - exact).norm() / exact.norm()
    report.check(error < 0.05, f"{name}: products of comfy-kitchen's tensor class, {error}")


def check(program, folder, report):
    random = torch.Generator().manual_seed(3)
    source = folder / "in.safetensors"
    save_file({"one.weight": torch.randn(ROWS, COLS, generator=random) / 50,
               f"{STACK}.weight": torch.randn(EXPERTS, ROWS, COLS, generator=random) / 50}, source)
    for index, (weight_format, options, layout) in enumerate(CASES):
        target = folder / f"{index}.safetensors"
        stored, _ = quantized(program, source, target, weight_format, options)
        ours = dequantized(program, target)
        for layer in ("one", STACK):
            name = f"{weight_format} {options!r} {layer}"
            weight, scale = stored[f"{layer}.weight"], stored[f"{layer}.weight_scale"]
            marker = json.loads(bytes(stored[f"{layer}.comfy_quant"].tolist()))
            if layer == "one":
                check_one(report, name, loaded(layout, weight, scale, marker), ours[f"{layer}.weight"])
                continue
            report.check(marker.get("num_experts") == EXPERTS, f"{name}: {marker}")
            report.check(("convrot" in marker) == ("rotation" in options), f"{name}: {marker}")
            for expert in range(EXPERTS):  # as ComfyUI takes one out of the stack, which it flattens first where rows have scales
                one = loaded(layout, weight[expert], scale[expert], marker)
                check_one(report, f"{name} {expert}", one, ours[f"{layer}.weight"][expert])


if __name__ == "__main__":
    run_test(check)
