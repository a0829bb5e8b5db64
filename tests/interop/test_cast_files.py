#!/usr/bin/env python3
"""Whole files of casts: plain tensors with the bytes of PyTorch's .to() wherever that is finite, and no markers. What has
8 bits is read back as it is.

test_cast_files.py HALFTONE
"""

import json

import references as ref  # first: without PyTorch it ends the test as skipped

import cast_references as casts
import torch
from matrices import random_like
from whole_files import dequantized, halftone, quantized, run_test

from safetensors.torch import save_file  # whole_files skips the test where it is missing


def make_checkpoint(path):
    tensors = {f"hard.{to}.{name}.weight": w for to in casts.TYPES for name, w in casts.hard(to).items()}
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
        name = str(dtype).removeprefix("torch.")
        tensors[f"{name}.proj.weight"] = random_like((48, 80), 0.02, 91).to(dtype) * (1 if dtype != torch.float64 else torch.pi)
        tensors[f"{name}.proj.bias"] = random_like((48,), 0.02, 92).to(dtype)
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path)
    return tensors


def check_compared(report, program, folder, source):
    """Numbers of 8 bits without a scale beside what they were."""
    plain = folder / "plain.safetensors"
    save_file({name: weights for name, weights in source.items() if name.endswith(".proj.weight")}, plain)
    for to in ref.TORCH:
        target = folder / f"compared-{to}.safetensors"
        stored, _ = quantized(program, plain, target, "cast", f'to = "{to}"')
        for row in json.loads(halftone(program, "compare", plain, target, "--json"))["tensors"]:
            before, after = source[row["name"]].double(), stored[row["name"]].double()
            relative = ((after - before).square().sum() / before.square().sum()).item()
            report.check(abs(row["relmse"] - relative) <= 1e-6 * relative, f"{to}: {row['name']}: {row['relmse']}")


def check_files(program, folder, report):
    source_path = folder / "source.safetensors"
    source = make_checkpoint(source_path)
    for to, dtype in casts.TYPES.items():
        target = folder / f"{to}.safetensors"
        stored, metadata = quantized(program, source_path, target, "cast", f'to = "{to}"')
        report.check(set(stored) == set(source), f"{to}: {set(stored) ^ set(source)}")
        report.check("_quantization_metadata" not in metadata, f"{to}: nothing in the header")
        beyond = 0
        for name, weights in source.items():
            if not name.endswith(".weight"):
                report.check(torch.equal(stored[name], weights), f"{to}: {name} is kept")
                continue
            report.check(stored[name].dtype == dtype, f"{to}: {name} is {stored[name].dtype}")
            as_torch, ours = weights.float().contiguous().to(dtype), stored[name]
            finite = as_torch.float().isfinite()
            beyond += int((~finite).sum())
            width = as_torch.element_size()
            same = (as_torch.view(torch.uint8) == ours.view(torch.uint8)).reshape(*weights.shape, width).all(dim=-1)
            report.check(bool(same[finite].all()), f"{to}: {name}: bytes")
            report.check(bool(ours.float().isfinite().all()), f"{to}: {name} is finite")
            expected = casts.cast(weights.float(), to)
            report.check(torch.equal(ours.float(), expected.float()), f"{to}: {name}: what is too large")
        print(f"{to}: {beyond} numbers too large for PyTorch's .to()")
        if dtype in ref.TORCH.values():
            back = dequantized(program, target)
            for name, codes in stored.items():
                report.check(torch.equal(back[name].float(), codes.float()), f"{to}: {name} read back")
            again, _ = quantized(program, target, folder / "again.safetensors", "fp8", 'scaling = "row"')
            for name in source:
                if name.endswith(".proj.weight"):
                    codes, scales = ref.by_the_text(stored[name].float(), "e4m3fn", "row")
                    report.check(ref.byte_words(again[name]) == ref.byte_words(codes), f"{to}: {name} quantized anew")
            (folder / "again.safetensors").unlink()
    check_compared(report, program, folder, source)


if __name__ == "__main__":
    run_test(check_files)
