#!/usr/bin/env python3
"""Whole files of INT8: the bytes of convert_to_quant and of the text, and PyTorch gets back what it was.

test_int8_files.py HALFTONE
"""

import json

import references as ref  # first: without PyTorch it ends the test as skipped

import int8_references as int8
import torch
from convrot_references import rotation_group
from matrices import random_like
from whole_files import quantized, run_test

from safetensors.torch import save_file  # whole_files skips the test where it is missing

BLOCK = 4
LABELS = {"block": "int8_blockwise", "lode": "int8_lodewise", "tensor": "int8_tensorwise", "row": "int8_tensorwise"}


def make_checkpoint(path):
    hard = {name: weights for name, weights in int8.adversarial().items() if len(weights) % BLOCK == 0}
    tensors = {f"hard.{name}.weight": weights.contiguous() for name, weights in hard.items()}
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        tensors[f"{name}.proj.weight"] = random_like((96, 1024), 0.02, 41).to(dtype)
        tensors[f"{name}.proj.bias"] = random_like((96,), 0.02, 42).to(dtype)
    save_file(tensors, path)
    return tensors


def marker_of(scaling, rotation):
    marker = {"format": LABELS[scaling]}
    if scaling in ("block", "lode"):
        marker |= {"group_size": BLOCK, "params": {"group_size": BLOCK}}
    if rotation:
        marker |= {"convrot": True, "convrot_groupsize": rotation}
    if scaling == "row":
        marker["per_row"] = True
    return marker


def check_output(report, source, stored, scaling, rotation):
    """Against the text bit for bit; a rotation of convert_to_quant's sums in another order. Returns how many codes
    differ from its, and of how many."""
    different = compared = 0
    for name, weights in source.items():
        layer = name.removesuffix(".weight")
        if not name.endswith(".weight"):
            report.check(torch.equal(stored[name], weights), f"{name} kept")
            continue
        applied = rotation_group(weights.shape[1], rotation) if rotation else 0
        codes, scales = stored[name], stored[f"{layer}.weight_scale"]
        report.check(codes.dtype == torch.int8 and scales.dtype == torch.float32, f"{name}: types")
        marker = json.loads(bytes(stored[f"{layer}.comfy_quant"].tolist()))
        report.check(marker == marker_of(scaling, applied), f"{name}: {marker}")
        given = stored.get(f"{layer}.input_scale")
        report.check((given is not None) == (scaling in ("block", "lode")), f"{name}: input_scale")
        report.check(given is None or (given.shape == () and given.item() == 1.0), f"{name}: input_scale {given}")

        text_codes, text_scales = int8.by_the_text(weights.float(), scaling, BLOCK, applied)
        report.check(torch.equal(codes, text_codes), f"{name} {scaling}: codes of the text")
        report.check(ref.float_words(scales) == ref.float_words(text_scales), f"{name} {scaling}: scales of the text")
        report.check(scales.shape == text_scales.shape, f"{name} {scaling}: shape {scales.shape}")
        if ref.CONVERT_TO_QUANT and scaling != "lode" and weights.any():
            their_codes, their_scales = int8.convert_to_quant(weights.float(), scaling, BLOCK, applied)
            report.check(scales.shape == their_scales.shape, f"{name}: shape {their_scales.shape}")
            steps = (codes.int() - their_codes.int()).abs()
            if applied:
                report.check(steps.max() <= 1, f"{name}: rotated codes {steps.max()} apart")
                close = torch.allclose(scales, their_scales, rtol=2e-6, atol=0)
                report.check(close, f"{name}: rotated scales")
                if layer.endswith(".proj"):
                    different += int(steps.count_nonzero())
                    compared += steps.numel()
            else:
                report.check(int(steps.max()) == 0, f"{name} {scaling}: codes of convert_to_quant")
                same = ref.float_words(scales) == ref.float_words(their_scales)
                report.check(same, f"{name} {scaling}: scales of convert_to_quant")

        if layer.endswith(".proj"):
            value = codes.double() * int8.expanded(scales, codes.shape, scaling, BLOCK).double()
            if applied:
                h = torch.from_numpy(int8.hadamard(applied))
                value = (value.reshape(len(value), -1, applied) @ h).reshape(value.shape)
            error = ((value - weights.double()).norm() / weights.double().norm()).item()
            report.check(error < 0.013, f"{name} {scaling}: relative error {error}")
    return different, compared


def check_files(program, folder, report):
    source_path = folder / "source.safetensors"
    source = make_checkpoint(source_path)
    for scaling in LABELS:
        for rotation in (0, 4, 16, 256) if scaling == "row" else (0,):
            options = f'scaling = "{scaling}"\nblock_size = {BLOCK}\n'
            if rotation:
                options += f'rotation = "hadamard"\nrotation_group = {rotation}\n'
            target = folder / f"{scaling}-{rotation}.safetensors"
            stored, _ = quantized(program, source_path, target, "int8", options)
            different, compared = check_output(report, source, stored, scaling, rotation)
            if compared:
                print(f"rotated in groups of {rotation}: {different} of {compared} codes one step from convert_to_quant's")
                report.check(different <= compared * 1e-4, "rotations differ in the rarest of codes")


if __name__ == "__main__":
    run_test(check_files)
