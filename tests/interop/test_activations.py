#!/usr/bin/env python3
"""What loaders do to activations: bit for bit what comfy-kitchen's quantizers and dequantizers make of float32, and the
error at run time that `halftone compare --stats` tells against the products of its tensor classes.

test_activations.py HALFTONE ACTIVATION_DUMP
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import references as ref  # first: without PyTorch it ends the test as skipped

import numpy as np
import torch
from matrices import random_like
from nvfp4_references import COMFY_KITCHEN
from whole_files import Report, halftone, quantized, read

from safetensors.torch import save_file

if not COMFY_KITCHEN:
    ref.skip("comfy-kitchen cannot be used")
import comfy_kitchen as ck
from comfy_kitchen.backends.eager import quantization
from comfy_kitchen.backends.eager.convrot_w4a4 import (
    _build_hadamard,
    _quantize_signed_int4_rowwise_unpacked,
    _rotate_activation,
)


def batches(cols):
    """name -> float32 rows of inputs"""
    spread = random_like((64, cols), 1.0, 31)
    outliers = random_like((32, cols), 2.0, 32)
    outliers[::3, 5] *= 400
    tiny = random_like((16, cols), 1e-5, 33)
    some_zero = random_like((16, cols), 30.0, 34)
    some_zero[::2] = 0
    some_zero[:, : cols // 2] = 0
    ties = (torch.arange(8 * cols) % 97 - 48).view(8, cols) * 0.125
    return {"spread": spread, "outliers": outliers, "tiny": tiny, "some_zero": some_zero, "ties": ties}


def fp8(element):
    def rounded(x, scale):
        scale = torch.tensor(scale if scale else 1.0)
        codes = quantization.quantize_per_tensor_fp8(x, scale, ref.TORCH[element])
        return quantization.dequantize_per_tensor_fp8(codes, scale, torch.float32)

    return rounded


def int8_rows(x, _):
    codes, scales = quantization.quantize_int8_rowwise(x)
    return codes.float() * scales


def int8_rotated(group):
    def rounded(x, _):
        return int8_rows(_rotate_activation(x, _build_hadamard(group), group), None)

    return rounded


def int8_blocks(x, _):
    """The fork's Triton kernel, which converts to integers by cutting off."""
    blocks = x.view(len(x), -1, 128)
    scales = blocks.abs().amax(-1, keepdim=True) / 127.0
    return torch.where(scales > 0, (blocks / scales).trunc() * scales, torch.zeros(())).view(x.shape)


def nvfp4(x, scale):
    scale = torch.tensor(scale) if scale else x.abs().max() / 2688.0
    codes, scales = quantization.quantize_nvfp4(x, scale, pad_16x=True)
    return quantization.dequantize_nvfp4(codes, scale, scales, torch.float32)[: len(x), : x.shape[1]]


def mxfp8(x, _):
    codes, scales = quantization.quantize_mxfp8(x, pad_32x=True)
    return quantization.dequantize_mxfp8(codes, scales, torch.float32)[: len(x), : x.shape[1]]


def int4_rotated(group):
    def rounded(x, _):
        codes, scales = _quantize_signed_int4_rowwise_unpacked(_rotate_activation(x, _build_hadamard(group), group))
        return codes.float() * scales[:, None]

    return rounded


def unchanged(x, _):
    return x


# format, options, reference, what a row's largest magnitude is of a step: 0 where every bit is the same. Rotations add
# up in another order there.
SCHEMES = [
    ("fp8", [], fp8("e4m3fn"), 0),
    ("fp8", ["scaling=row"], fp8("e4m3fn"), 0),
    ("fp8", ["element=e5m2"], fp8("e5m2"), 0),
    ("fp8", ["element=e5m2", "scaling=row"], unchanged, 0),
    ("int8", ["scaling=tensor"], int8_rows, 0),
    ("int8", ["scaling=row"], int8_rows, 0),
    ("int8", ["scaling=row", "rotation=hadamard", "rotation_group=64"], int8_rotated(64), 127),
    ("int8", ["scaling=block"], int8_blocks, 0),
    ("int8", ["scaling=lode"], int8_blocks, 0),
    ("nvfp4", [], nvfp4, 0),
    ("mxfp8", [], mxfp8, 0),
    ("convrot_w4a4", ["rotation_group=64"], int8_rotated(64), 127),
    ("convrot_w4a4", ["rotation_group=256", "linear_dtype=int4"], int4_rotated(256), 7),
    ("asym_w4a8_int8", ["rotation_group=64"], int8_rotated(64), 127),
    ("nf4", [], unchanged, 0),
]


def dumped(program, weight_format, options, x, scale):
    command = [program, weight_format, str(x.shape[1]), repr(scale) if scale else "none", *options]
    done = subprocess.run(command, input=x.numpy().tobytes(), stdout=subprocess.PIPE, check=True)
    return torch.from_numpy(np.frombuffer(done.stdout, dtype=np.float32).copy()).view(x.shape)


def check_rounding(report, program):
    for weight_format, options, reference, steps in SCHEMES:
        for name, x in batches(256).items():
            for scale in (None, 0.0390625, 0.017):
                what = f"{weight_format} {' '.join(options)}: {name}, input_scale {scale}"
                ours, theirs = dumped(program, weight_format, options, x, scale), reference(x, scale)
                report.check(ours.shape == theirs.shape, f"{what}: {ours.shape} rows")
                if steps == 0:
                    differ = int((ours != theirs).sum())
                    report.check(differ == 0, f"{what}: {differ} of {x.numel()} numbers differ")
                    continue
                # Where the sum before falls between two integers, a last bit decides: one step, and rarely.
                step = theirs.abs().amax(-1, keepdim=True) / steps
                off = (ours - theirs).abs()
                report.check(bool((off <= 1.001 * step + 1e-30).all()), f"{what}: more than a step off")
                rare = (off > 0.01 * step + 1e-30).float().mean().item()
                report.check(rare < 2e-3, f"{what}: {rare:.2g} of the numbers are a step off")


def check_errors(report, program, folder):
    """The numbers of a report against a layer of comfy-kitchen's, multiplied as it multiplies on a CPU."""
    weight, inputs = random_like((256, 256), 0.02, 41), random_like((96, 256), 1.5, 42)
    inputs[:, 7] *= 60
    source, statistics = folder / "in.safetensors", folder / "stats.safetensors"
    save_file({"layer.weight": weight}, source)
    save_file({"layer.inputs": inputs}, statistics)
    output = inputs.double() @ weight.double().T
    for weight_format, options, reference, _ in SCHEMES:
        target = folder / "out.safetensors"
        lines = "\n".join(
            f"{key} = {value}" if value.isdigit() else f'{key} = "{value}"'
            for key, value in (option.split("=") for option in options)
        )
        quantized(program, source, target, weight_format, lines + "\n")
        back = folder / "back.safetensors"
        halftone(program, "dequantize", "--quiet", "-f", target, "-o", back, "--dtype", "f32")
        stored = read(back)[0]["layer.weight"].double()
        rounded = reference(inputs, None).double()
        if group := next((int(option[15:]) for option in options if option.startswith("rotation_group=")), 0):
            rounded = _rotate_activation(rounded, _build_hadamard(group, dtype=torch.float64), group)
        told = json.loads(halftone(program, "compare", source, target, "--stats", statistics, "--json"))["tensors"][0]
        target.unlink()
        power = (output**2).sum()
        by_weights = (((inputs.double() @ (stored - weight.double()).T) ** 2).sum() / power).item()
        at_run_time = (((rounded @ stored.T - output) ** 2).sum() / power).item()
        what = f"{weight_format} {' '.join(options)}"
        report.check(abs(told["output"] / by_weights - 1) < 1e-4, f"{what}: {told['output']}, not {by_weights}")
        report.check(abs(told["run_time"] / at_run_time - 1) < 2e-3, f"{what}: {told['run_time']}, not {at_run_time}")
        print(f"{what}: weights {by_weights:.3g}, at run time {at_run_time:.3g}")


def check_products(report, program, folder):
    """comfy-kitchen's own layer of INT8, from our tensors, multiplies to what we say it loses."""
    weight, inputs = random_like((192, 256), 0.02, 51), random_like((96, 256), 1.5, 52)
    source, target, statistics = (folder / f"{name}.safetensors" for name in ("product", "stored", "inputs"))
    save_file({"layer.weight": weight}, source)
    save_file({"layer.inputs": inputs}, statistics)
    stored = quantized(program, source, target, "int8", 'scaling = "row"\nrotation = "hadamard"\nrotation_group = 64\n')[0]
    product = quantization.int8_linear(
        inputs, stored["layer.weight"], stored["layer.weight_scale"], None, torch.float32, True, 64
    )
    output = inputs.double() @ weight.double().T
    lost = (((product.double() - output) ** 2).sum() / (output**2).sum()).item()
    told = json.loads(halftone(program, "compare", source, target, "--stats", statistics, "--json"))["tensors"][0]
    report.check(abs(told["run_time"] / lost - 1) < 2e-3, f"int8_linear loses {lost}, not {told['run_time']}")


def main():
    program, dump = sys.argv[1:3]
    report = Report()
    with ck.use_backend("eager"), tempfile.TemporaryDirectory() as folder:
        check_rounding(report, dump)
        check_errors(report, program, pathlib.Path(folder))
        check_products(report, program, pathlib.Path(folder))
    return report.failures > 0


if __name__ == "__main__":
    sys.exit(main())
