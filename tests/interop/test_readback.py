#!/usr/bin/env python3
"""Files that others wrote: `halftone dequantize` makes of them what their own code does, bit for bit where that computes
in float32, and `halftone compare` tells the figures that PyTorch finds.

test_readback.py HALFTONE
"""

import json
import logging
import math

import references as ref  # first: without PyTorch it ends the test as skipped

import torch
from matrices import random_like
from whole_files import halftone, read, run_test

try:
    import comfy_kitchen.tensor as kit
    from safetensors.torch import save_file
except ImportError as missing:
    ref.skip(f"this test needs {missing.name}; ./dev interop installs it")


def marker(**configuration):
    return torch.tensor(list(json.dumps(configuration).encode()), dtype=torch.uint8)


# Each gives the tensors of a layer and what its own code makes of them, in float32.


def kit_fp8(weights, dtype):
    codes, params = kit.TensorCoreFP8Layout.quantize(weights, dtype=dtype)
    label = {torch.float8_e4m3fn: "float8_e4m3fn", torch.float8_e5m2: "float8_e5m2"}[dtype]
    tensors = {"weight": codes, "weight_scale": params.scale, "comfy_quant": marker(format=label)}
    return tensors, kit.TensorCoreFP8Layout.dequantize(codes, params)


def kit_nvfp4(weights):
    codes, params = kit.TensorCoreNVFP4Layout.quantize(weights)
    tensors = {
        "weight": codes,
        "weight_scale": params.block_scale,
        "weight_scale_2": params.scale,
        "comfy_quant": marker(format="nvfp4", orig_shape=list(weights.shape)),
    }
    values = kit.TensorCoreNVFP4Layout.dequantize(codes, params)
    return tensors, values[: weights.shape[0], : weights.shape[1]]


def kit_mxfp8(weights, label="mxfp8", **more):
    """comfy-kitchen saves scales as F8_E8M0; convert_to_quant's come as U8, and those of its hybrid with a number that
    says nothing about the codes."""
    codes, params = kit.TensorCoreMXFP8Layout.quantize(weights)
    scales = params.scale.view(torch.uint8) if more else params.scale
    configuration = marker(format=label, group_size=32, orig_dtype="torch.float32", orig_shape=list(weights.shape))
    tensors = {"weight": codes, "weight_scale": scales, "comfy_quant": configuration} | more
    values = kit.TensorCoreMXFP8Layout.dequantize(codes, params)
    return tensors, values[: weights.shape[0], : weights.shape[1]]


def kit_int8(weights, **options):
    codes, params = kit.TensorWiseINT8Layout.quantize(weights, **options)
    configuration = {"format": "int8_tensorwise"}
    if options.get("convrot"):
        configuration |= {"convrot": True, "convrot_groupsize": options["convrot_groupsize"]}
    tensors = {"weight": codes, "weight_scale": params.scale, "comfy_quant": marker(**configuration)}
    return tensors, kit.TensorWiseINT8Layout.dequantize(codes, params)


def kit_asym_w4a8_int8(weights, as_bytes=False, **options):
    layout = kit.w4a8_int8.AsymW4A8Int8Layout
    codes, params = layout.quantize(weights, convrot_groupsize=64, **options)
    tensors = {f"weight{suffix}": tensor for suffix, tensor in layout.state_dict_tensors(codes, params).items()}
    if as_bytes:
        tensors["weight_s_rel"] = tensors["weight_s_rel"].view(torch.uint8)
    configuration = {"format": "asym_w4a8_int8", "group_size": params.group_size, "convrot_groupsize": 64}
    return tensors | {"comfy_quant": marker(**configuration)}, layout.dequantize(codes, params)


def kit_convrot_w4a4(weights, group):
    codes, params = kit.TensorCoreConvRotW4A4Layout.quantize(weights, convrot_groupsize=group)
    configuration = {"format": "convrot_w4a4", "convrot_groupsize": group}
    tensors = {"weight": codes, "weight_scale": params.scale, "comfy_quant": marker(**configuration)}
    return tensors, kit.TensorCoreConvRotW4A4Layout.dequantize(codes, params)


FP8_LABELS = {
    "tensor": "float8_e4m3fn",
    "row": "float8_e4m3fn_rowwise",
    "block": "float8_e4m3fn_blockwise",
    "block3d": "float8_e4m3fn_block3d",
}


def converted_fp8(weights, scaling, block=16, label=None, legacy=False):
    """convert_to_quant's simple mode; the values as its loader's layouts compute them."""
    codes, scales = ref.convert_to_quant(weights, scaling, block)
    values = codes.float() * ref.expanded(scales, weights.shape, scaling, block)
    if legacy:
        return {"weight": codes, "scale_weight": scales.reshape(1) if scaling == "tensor" else scales}, values
    configuration = {"format": label or FP8_LABELS[scaling]}
    if scaling == "block":
        configuration["group_size"] = block
    return {"weight": codes, "weight_scale": scales, "comfy_quant": marker(**configuration)}, values


def converted_int8(weights, scaling, block=128):
    from convert_to_quant.converters.learned_rounding import LearnedRoundingConverter

    logging.disable(logging.CRITICAL)
    converter = LearnedRoundingConverter(
        scaling_mode=scaling, target_format="int8", block_size=block, no_learned_rounding=True, device="cpu"
    )
    codes, scales, values, *_ = converter.convert(weights.clone())
    if scaling == "block":
        configuration = {"format": "int8_blockwise", "group_size": block}
        rows, cols = weights.shape
        tiles = codes.float().reshape(rows // block, block, cols // block, block) * scales[:, None, :, None]
        values = tiles.reshape(rows, cols)
    else:
        configuration = {"format": "int8_tensorwise"}
        values = codes.float() * scales
    return {"weight": codes, "weight_scale": scales, "comfy_quant": marker(**configuration)}, values


def make_layers():
    layers = {}
    for seed, shape in enumerate(((48, 80), (50, 96), (300, 320), (256, 512))):
        weights = random_like(shape, 0.02, 30 + seed)
        at = "x".join(map(str, shape))
        layers[f"kit.e4m3fn.{at}"] = kit_fp8(weights, torch.float8_e4m3fn)
        layers[f"kit.e5m2.{at}"] = kit_fp8(weights, torch.float8_e5m2)
        layers[f"kit.nvfp4.{at}"] = kit_nvfp4(weights)
        layers[f"kit.mxfp8.{at}"] = kit_mxfp8(weights)
        layers[f"hybrid.mxfp8.{at}"] = kit_mxfp8(weights, "hybrid_mxfp8", weight_scalar=torch.tensor(2.0**-12))
        layers[f"kit.int8.{at}"] = kit_int8(weights)
        layers[f"kit.int8_rows.{at}"] = kit_int8(weights, per_channel=True)
        if shape[1] % 64 == 0:
            layers[f"rotated.kit.{at}"] = kit_int8(weights, per_channel=True, convrot=True, convrot_groupsize=64)
            layers[f"rotated.w4a4.{at}"] = kit_convrot_w4a4(weights, 64)
            layers[f"rotated.w4a8.{at}"] = kit_asym_w4a8_int8(weights)
            layers[f"rotated.w4a8_bytes.{at}"] = kit_asym_w4a8_int8(weights, as_bytes=True, group_size=32)
            layers[f"rotated.w4a8_plain.{at}"] = kit_asym_w4a8_int8(weights, codebook=False)
            layers[f"rotated.w4a8_corrected.{at}"] = kit_asym_w4a8_int8(weights, symmetric=False)
        if ref.CONVERT_TO_QUANT:
            layers[f"converted.tensor.{at}"] = converted_fp8(weights, "tensor")
            layers[f"converted.row.{at}"] = converted_fp8(weights, "row")
            layers[f"converted.groups.{at}"] = converted_fp8(weights, "block3d")
            layers[f"converted.older_groups.{at}"] = converted_fp8(weights, "block3d", label="float8_e4m3fn")
            # Without tiles that are whole it stores rows, and without rows one scale, under the same labels.
            layers[f"converted.no_tiles.{at}"] = converted_fp8(weights, "row", label="float8_e4m3fn_blockwise")
            layers[f"converted.no_rows.{at}"] = converted_fp8(weights, "tensor", label="float8_e4m3fn_rowwise")
            if shape[0] % 16 == 0:
                layers[f"converted.tiles.{at}"] = converted_fp8(weights, "block")
            if shape[0] % 128 == 0 and shape[1] % 128 == 0:
                layers[f"converted.int8.{at}"] = converted_int8(weights, "block")
    return layers


def save(path, layers, **more):
    tensors = {f"{name}.{key}": tensor for name, (stored, _) in layers.items() for key, tensor in stored.items()}
    save_file({key: tensor.contiguous() for key, tensor in (tensors | more).items()}, path)


def check_dequantized(report, program, folder, layers, source):
    for dtype, type_ in (("f32", torch.float32), ("bf16", torch.bfloat16)):
        target = folder / f"{dtype}.safetensors"
        halftone(program, "dequantize", source, "-o", target, "--dtype", dtype, "--quiet", "--force")
        stored, metadata = read(target)
        report.check(set(stored) == {f"{name}.weight" for name in layers}, f"{dtype}: names {sorted(stored)}")
        report.check("_quantization_metadata" not in metadata, f"{dtype}: metadata")
        for name, (_, values) in layers.items():
            mine = stored[f"{name}.weight"]
            report.check(mine.shape == values.shape and mine.dtype == type_, f"{dtype}: {name}: {mine.shape}")
            if name.startswith("rotated."):  # nobody says in which order the rotation adds up
                error = ((mine.float() - values).norm() / values.norm()).item()
                report.check(error < (1e-6 if dtype == "f32" else 3e-3), f"{dtype}: {name}: {error}")
            else:
                report.check(torch.equal(mine, values.to(type_)), f"{dtype}: {name}")


def figures(w, q):
    w, q = w.double(), q.double()
    error = q - w
    relative = (error.square().sum() / w.square().sum()).item()
    k = min(1024, max(64, math.floor(0.2 * min(w.shape))), min(w.shape))
    u, s, vh = torch.linalg.svd(w, full_matrices=False)
    projected = ((u[:, :k].T @ error @ vh[:k].T).norm() / s[:k].norm()).item()
    return {
        "relmse": relative,
        "sqnr": -10 * math.log10(relative),
        "psnr": 10 * math.log10((w.abs().max().square() / error.square().mean()).item()),
        "cosine": (w * q).sum().item() / (w.norm() * q.norm()).item(),
        "max_error": error.abs().max().item(),
        "projected": projected,
    }


def entropy(codes):
    counts = torch.bincount(codes.reshape(-1).long()).double()
    shares = counts[counts > 0] / counts.sum()
    return -(shares * shares.log2()).sum().item()


def codes_of(name, tensors):
    codes = tensors["weight"].view(torch.uint8)
    if "nvfp4" not in name and "mxfp8" not in name and "w4a" not in name:
        return codes
    return None  # padded; the sign of a zero makes no level of its own


def check_compared(report, program, folder, layers, source):
    weights = {name: random_like(values.shape, 0.02, 30 + seed) for seed, (name, (_, values)) in enumerate(layers.items())}
    plain = folder / "plain.safetensors"
    # The prefix of one side's names makes no difference.
    save_file({f"model.diffusion_model.{name}.weight": w for name, w in weights.items()}, plain)
    compared = json.loads(halftone(program, "compare", plain, source, "--json"))
    report.check(len(compared["tensors"]) == len(layers), f"{len(compared['tensors'])} compared")
    report.check(not compared["only_in_reference"] and not compared["only_in_other"], "missing tensors")
    errors = [row["relmse"] for row in compared["tensors"]]
    report.check(errors == sorted(errors, reverse=True), "the worst first")
    for row in compared["tensors"]:
        name = row["name"].removeprefix("model.diffusion_model.").removesuffix(".weight")
        tensors, values = layers[name]
        expected = figures(weights[name], values)
        codes = codes_of(name, tensors)
        if codes is not None:
            expected["entropy"] = entropy(codes)
        for key, value in expected.items():
            # Of a matrix of noise the last directions are hardly determined: the randomized search finds others.
            tolerance = 5e-2 if key == "projected" else 1e-6
            near = 1e-8 if key == "cosine" else 0  # which is next to nothing between matrices of noise
            report.check(math.isclose(row[key], value, rel_tol=tolerance, abs_tol=near), f"{name}: {key} {row[key]}, not {value}")
        i, j = row["max_error_at"]
        at = (values[i, j] - weights[name][i, j]).abs().item()
        report.check(math.isclose(at, expected["max_error"], rel_tol=1e-5), f"{name}: largest error at {i}, {j}")
    elements = sum(row["elements"] for row in compared["tensors"])
    mean = sum(row["relmse"] * row["elements"] for row in compared["tensors"]) / elements
    report.check(math.isclose(compared["total"]["relmse"], mean, rel_tol=1e-9), "the total's relmse")


def check_files(program, folder, report):
    layers = make_layers()
    source = folder / "theirs.safetensors"
    save(source, layers)
    check_dequantized(report, program, folder, layers, source)
    check_compared(report, program, folder, layers, source)
    if ref.CONVERT_TO_QUANT:
        legacy = {
            f"old.{scaling}.{n}": converted_fp8(random_like((n, 64), 0.02, n), scaling, block=8, legacy=True)
            for scaling in ("tensor", "row", "block", "block3d")
            for n in (16, 40)
        }
        save(source, legacy, scaled_fp8=torch.zeros(2, dtype=torch.float8_e4m3fn))
        check_dequantized(report, program, folder, legacy, source)
    print(f"{len(layers)} layers, {report.failures} failures")


if __name__ == "__main__":
    run_test(check_files)
