#!/usr/bin/env python3
"""Layers that ComfyUI takes though they are not stored as its own tools store them: other types of scales and of bytes,
other shapes of block scales, 6 bits, stacks of experts. `halftone dequantize` makes of them what comfy-kitchen's classes
make of them after the loader's conversions, bit for bit where nothing is rotated; `verify` finds them sound.

test_foreign_layers.py HALFTONE
"""

import dataclasses

import references as ref  # first: without PyTorch it ends the test as skipped

import torch
from matrices import random_like
from whole_files import halftone, read, run_test

try:
    import comfy_kitchen.tensor as kit
    from safetensors.torch import save_file
except ImportError as missing:
    ref.skip(f"this test needs {missing.name}; ./dev interop installs it")

from test_readback import kit_asym_w4a8_int8, kit_convrot_w4a4, kit_fp8, kit_int8, kit_mxfp8, kit_nvfp4, marker

INT8, ASYM = kit.TensorWiseINT8Layout, kit.w4a8_int8.AsymW4A8Int8Layout
FLOATS = {"f16": torch.float16, "bf16": torch.bfloat16, "f64": torch.float64}


def labelled(codes, scale, **configuration):
    return {"weight": codes, "weight_scale": scale, "comfy_quant": marker(**configuration)}


def add_scales(layers, weights, at):
    """Scales in other floating types: fp8's and nvfp4's become float32 when they are loaded, int8's when they are used."""
    for name, dtype in FLOATS.items():
        for label, element in (("float8_e4m3fn", torch.float8_e4m3fn), ("float8_e5m2", torch.float8_e5m2)):
            tensors, _ = kit_fp8(weights, element)
            scale = tensors["weight_scale"].to(dtype)
            params = kit.TensorCoreFP8Layout.Params(scale=scale, orig_dtype=torch.float32, orig_shape=weights.shape)
            values = kit.TensorCoreFP8Layout.dequantize(tensors["weight"], params)
            layers[f"{label}.{name}.{at}"] = labelled(tensors["weight"], scale, format=label), values
        if name == "f64":
            continue
        for per_channel in (False, True):
            codes, params = INT8.quantize(weights, per_channel=per_channel)
            params = dataclasses.replace(params, scale=params.scale.to(dtype))
            layers[f"int8.{name}.{per_channel}.{at}"] = (
                labelled(codes, params.scale, format="int8_tensorwise"), INT8.dequantize(codes, params))
        codes, params = INT8.quantize(weights, per_channel=True, convrot=True, convrot_groupsize=64)
        params = dataclasses.replace(params, scale=params.scale.to(dtype))
        layers[f"rotated.int8.{name}.{at}"] = (
            labelled(codes, params.scale, format="int8_tensorwise", convrot=1, convrot_groupsize="64"),
            INT8.dequantize(codes, params))
        tensors, _ = kit_convrot_w4a4(weights, 64)
        tensors["weight_scale"] = tensors["weight_scale"].to(dtype)
        layout = kit.TensorCoreConvRotW4A4Layout
        params = layout.Params(scale=tensors["weight_scale"], orig_dtype=torch.float32, orig_shape=tuple(weights.shape),
                               convrot_groupsize=64)
        layers[f"rotated.w4a4.{name}.{at}"] = tensors, layout.dequantize(tensors["weight"], params)
        tensors, _ = kit_nvfp4(weights)
        tensors["weight_scale_2"] = tensors["weight_scale_2"].to(dtype)
        layout = kit.TensorCoreNVFP4Layout
        params = layout.Params(scale=tensors["weight_scale_2"], block_scale=tensors["weight_scale"],
                               orig_dtype=torch.float32, orig_shape=tuple(weights.shape))
        layers[f"nvfp4.{name}.{at}"] = tensors, layout.dequantize(tensors["weight"], params)


def add_bytes(layers, weights, at):
    """The same bytes under another type or in another shape."""
    views = {
        "i8": lambda scales: scales.view(torch.int8),
        "e5m2": lambda scales: scales.view(torch.float8_e5m2),
        "flat": lambda scales: scales.view(torch.uint8).reshape(-1),
        "swapped": lambda scales: scales.view(torch.uint8).reshape(scales.shape[1], scales.shape[0]),
        "i32": lambda scales: scales.view(torch.uint8).reshape(-1).view(torch.int32),
    }
    for name, view in views.items():
        for kind, make in (("mxfp8", kit_mxfp8), ("nvfp4", kit_nvfp4)):
            tensors, values = make(weights)
            layers[f"{kind}.{name}.{at}"] = tensors | {"weight_scale": view(tensors["weight_scale"])}, values
    tensors, values = kit_nvfp4(weights)
    layers[f"nvfp4.weight.{at}"] = tensors | {"weight": tensors["weight"].view(torch.int8)}, values
    for name, options in (("one", {}), ("rows", {"per_channel": True})):
        tensors, values = kit_int8(weights, **options)
        layers[f"int8.weight.{name}.{at}"] = tensors | {"weight": tensors["weight"].view(torch.uint8)}, values
    tensors, values = kit_convrot_w4a4(weights, 64)
    layers[f"rotated.w4a4.weight.{at}"] = tensors | {"weight": tensors["weight"].view(torch.uint8)}, values
    tensors, values = kit_asym_w4a8_int8(weights)
    layers[f"rotated.asym.weight.{at}"] = tensors | {"weight": tensors["weight"].view(torch.uint8)}, values
    tensors, values = kit_int8(weights)
    text = torch.frombuffer(bytearray(b"\xef\xbb\xbf" + bytes(tensors["comfy_quant"].tolist())), dtype=torch.uint8)
    layers[f"int8.bom.{at}"] = tensors | {"comfy_quant": text}, values


def add_asym(layers, weights, at):
    for bits in (4, 6):
        for name, dtype in (("e4m3", torch.float8_e4m3fn), ("f32", torch.float32)):
            for group in (16, 32):
                layers[f"rotated.asym.{bits}.{name}.{group}.{at}"] = kit_asym_w4a8_int8(
                    weights, bits=bits, scale_dtype=dtype, group_size=group)
    tensors, values = kit_asym_w4a8_int8(weights, bits=6, as_bytes=True)
    layers[f"rotated.asym.6.u8.{at}"] = tensors, values
    layers[f"rotated.asym.plain.f32.{at}"] = kit_asym_w4a8_int8(weights, codebook=False, scale_dtype=torch.float32)


def add_stacks(layers, experts, at):
    """As the loader flattens them: rows of all experts below each other, and one codebook."""
    many, rows, cols = experts.shape
    flat = experts.reshape(many * rows, cols)
    codes, params = INT8.quantize(flat, per_channel=True, convrot=True, convrot_groupsize=64)
    layers[f"rotated.int8.experts.{at}"] = (
        labelled(codes.reshape(experts.shape), params.scale.reshape(many, rows, 1), format="int8_tensorwise",
                 convrot=True, convrot_groupsize=64, num_experts=many),
        INT8.dequantize(codes, params).reshape(experts.shape))
    layers[f"rotated.int8.flat.experts.{at}"] = (
        labelled(codes, params.scale, format="int8_tensorwise", convrot=True, convrot_groupsize=64, num_experts=many),
        INT8.dequantize(codes, params).reshape(experts.shape))
    for name, options in (("4", {}), ("none", {"codebook": False}), ("6", {"bits": 6}),
                          ("wide", {"scale_dtype": torch.float32})):
        tensors, values = kit_asym_w4a8_int8(flat, **options)
        stacked = tensors | {"weight": tensors["weight"].reshape(many, rows, -1)}
        configuration = marker(format="asym_w4a8_int8", convrot_groupsize=64, num_experts=many)
        layers[f"rotated.asym.{name}.flat_scales.experts.{at}"] = (
            stacked | {"comfy_quant": configuration}, values.reshape(experts.shape))
        layers[f"rotated.asym.{name}.flat.experts.{at}"] = (
            tensors | {"comfy_quant": configuration}, values.reshape(experts.shape))
        stacked |= {key: tensors[key].reshape(many, rows, *tensors[key].shape[1:])
                    for key in ("weight_s_rel", "weight_s_channel")}
        layers[f"rotated.asym.{name}.experts.{at}"] = (
            stacked | {"comfy_quant": configuration}, values.reshape(experts.shape))


def make_layers():
    layers = {}
    for seed, shape in enumerate(((48, 64), (64, 320), (128, 256))):
        at = "x".join(map(str, shape))
        weights = random_like(shape, 0.02, 50 + seed)
        add_scales(layers, weights, at)
        if shape[0] % 32 == 0:
            add_bytes(layers, weights, at)
        add_asym(layers, weights, at)
    for many in (3, 16):  # as many as a codebook has numbers
        add_stacks(layers, random_like((many * 24, 128), 0.02, 60 + many).reshape(many, 24, 128), f"of{many}")
    return layers


def check_legacy(program, folder, report):
    """The loader converts e5m2 of the old layout to e4m3fn by value."""
    codes = torch.cat([torch.arange(0x60), torch.arange(0x80, 0xE0)]).to(torch.uint8).reshape(12, 16)  # within 448
    codes, scale = codes.view(torch.float8_e5m2), torch.tensor(0.37)
    source, target = folder / "legacy.safetensors", folder / "plain.safetensors"
    save_file({"a.weight": codes, "a.scale_weight": scale, "scaled_fp8": torch.zeros(0, dtype=torch.float8_e4m3fn)}, source)
    halftone(program, "dequantize", source, "-o", target, "--dtype", "f32", "--quiet", "--force")
    converted = codes.float().to(torch.float8_e4m3fn).float() * scale
    report.check(torch.equal(read(target)[0]["a.weight"], converted), "e5m2 in the legacy layout")
    report.check(not torch.equal(converted, codes.float() * scale), "some of its numbers are none of e4m3fn")


def check_files(program, folder, report):
    layers = make_layers()
    source, target = folder / "theirs.safetensors", folder / "plain.safetensors"
    save_file({f"{name}.{key}": tensor.clone() for name, (stored, _) in layers.items()
               for key, tensor in stored.items()}, source)
    halftone(program, "dequantize", source, "-o", target, "--dtype", "f32", "--quiet", "--force")
    plain, _ = read(target)
    report.check(set(plain) == {f"{name}.weight" for name in layers}, f"names: {sorted(plain)}")
    for name, (_, values) in layers.items():
        mine = plain[f"{name}.weight"]
        if mine.shape != values.shape:
            report.check(False, f"{name}: {mine.shape}, not {values.shape}")
        elif name.startswith("rotated."):  # nobody says in which order the rotation adds up
            error = ((mine - values).norm() / values.norm()).item()
            report.check(error < 1e-6, f"{name}: {error}")
        else:
            report.check(torch.equal(mine, values), name)
    print(halftone(program, "verify", source)[-300:])
    halftone(program, "compare", target, source, "--fail-above", "relmse=0")
    check_legacy(program, folder, report)
    print(f"{len(layers)} layers, {report.failures} failures")


if __name__ == "__main__":
    run_test(check_files)
