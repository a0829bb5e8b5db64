#!/usr/bin/env python3
"""Whole files of NF4 or FP4, both layouts. ComfyUI's has the bytes of the text. The genuine one has those of bitsandbytes, is
loaded by its Linear4bit, dequantizes there to what Halftone reads back; and Halftone reads what bitsandbytes saved.

test_codebook_files.py HALFTONE nf4 | fp4
"""

import copy
import itertools
import json
import sys

import references as ref  # first: without PyTorch it ends the test as skipped

import codebook_references as books
import torch
from matrices import random_like
from whole_files import dequantized, quantized, run_test

from safetensors.torch import save_file  # whole_files skips the test where it is missing

BLOCK = 32
KIND = sys.argv[2]
STATE = f"weight.quant_state.bitsandbytes__{KIND}"


def make_checkpoint(path):
    hard = {name: weights for name, weights in books.adversarial(KIND).items() if weights.numel() % BLOCK == 0}
    tensors = {f"hard.{name}.weight": weights.contiguous() for name, weights in hard.items()}
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        tensors[f"{name}.proj.weight"] = random_like((96, 1000), 0.02, 61).to(dtype)
        tensors[f"{name}.proj.bias"] = random_like((96,), 0.02, 62).to(dtype)
    save_file(tensors, path)
    return tensors


def written(program, source, target, layout, options=""):
    return quantized(program, source, target, KIND, f"block_size = {BLOCK}\n{options}", layout)[0]


def check_comfy(report, source, stored, back):
    for name, weights in source.items():
        layer = name.removesuffix(".weight")
        if not name.endswith(".weight"):
            continue
        codes, absmax = books.comfy_by_the_text(KIND, weights.float(), BLOCK)
        report.check(torch.equal(stored[name], codes), f"{name}: codes of the text")
        same = ref.float_words(stored[f"{layer}.absmax"]) == ref.float_words(absmax)
        report.check(same, f"{name}: scales of the text")
        marker = json.loads(bytes(stored[f"{layer}.comfy_quant"].tolist()))
        sizes = {"group_size": BLOCK, "params": {"group_size": BLOCK}}
        expected = {"format": f"bnb_{KIND}", **sizes, "orig_shape": list(weights.shape)}
        report.check(marker == expected, f"{name}: {marker}")
        report.check(f"{layer}.input_scale" not in stored, f"{name}: no input_scale")
        both = torch.stack([codes & 15, codes >> 4], dim=1).reshape(-1, BLOCK).long()
        value = (books.LEVELS[KIND][both] * absmax[:, None]).reshape(weights.shape)
        report.check(torch.equal(back[name], value), f"{name}: what is read back")


def stats_of(stored, name):
    return {key.removeprefix(f"{name}."): stored[key].clone() for key in stored if key.startswith(f"{name}.")}


def their_values(codes, state):
    """What bitsandbytes decodes. It is given the numbers as one row: its AVX-512 code takes the wrong scales for matrices
    whose rows are shorter than a block."""
    from bitsandbytes.functional import dequantize_4bit

    shape, state = state.shape, copy.copy(state)
    state.shape = torch.Size([shape.numel()])
    return dequantize_4bit(codes, state).reshape(shape)


def check_genuine(report, source, stored, back, nested):
    """Returns how many codes of nested scales differ from bitsandbytes' own, and of how many."""
    import bitsandbytes
    from bitsandbytes.functional import quantize_4bit

    different = compared = 0
    for name, weights in source.items():
        if not name.endswith(".weight"):
            continue
        state = json.loads(bytes(stored[f"{name.removesuffix('.weight')}.{STATE}"].tolist()))
        theirs, their_state = quantize_4bit(weights, blocksize=BLOCK, quant_type=KIND, compress_statistics=nested)
        # Where their scales are subnormal, ours are the least normal number, and codes go by the text.
        text_codes, text_absmax = books.genuine_by_the_text(KIND, weights.float(), BLOCK)
        subnormal = bool(weights.any()) and weights.abs().max() < torch.finfo(torch.float32).tiny
        expected_codes = text_codes[:, None] if subnormal else theirs
        report.check(torch.equal(stored[name], expected_codes), f"{name}: codes of bitsandbytes")
        report.check(torch.equal(stored[f"{name}.quant_map"], their_state.code), f"{name}: levels")
        packed = their_state.as_dict(packed=True)
        expected = json.loads(bytes(packed[f"quant_state.bitsandbytes__{KIND}"].tolist()))
        report.check(list(state) == list(expected), f"{name}: {state}")
        ours, offset = stored[f"{name}.absmax"], state.pop("nested_offset", 0.0)
        their_offset = expected.pop("nested_offset", 0.0)
        report.check(state == expected, f"{name}: {state} is not {expected}")
        if nested and subnormal:
            their_offset = text_absmax.double().mean().item()
        report.check(abs(offset - their_offset) <= 1e-6 * abs(their_offset), f"{name}: {offset}, not {their_offset}")
        report.check({key for key in packed if key != "absmax"} | {"absmax"} == set(stats_of(stored, name)), f"{name}: parts")
        if nested:
            report.check(torch.equal(stored[f"{name}.nested_quant_map"], their_state.state2.code), f"{name}: map")
            outer = stored[f"{name}.nested_absmax"]
            close = torch.allclose(outer, their_state.state2.absmax, rtol=1e-5, atol=0)
            report.check(close or outer.max() < 1e-30, f"{name}: nested scales")
            if name.endswith(".proj.weight"):
                steps = (ours.int() - their_state.absmax.int()).abs()
                different, compared = different + int(steps.count_nonzero()), compared + steps.numel()
                report.check(steps.max() <= 1, f"{name}: nested codes {steps.max()} apart")
        else:
            expected = text_absmax if subnormal else their_state.absmax
            report.check(ref.float_words(ours) == ref.float_words(expected), f"{name}: scales")

        # Loaded as they load it.
        rows, cols = weights.shape
        module = bitsandbytes.nn.Linear4bit(cols, rows, bias=False, quant_type=KIND, compute_dtype=torch.float32)
        module.weight = bitsandbytes.nn.Params4bit.from_prequantized(
            stored[name].clone(), stats_of(stored, name), device="cpu", module=module
        )
        value = their_values(module.weight.data, module.weight.quant_state)
        report.check(value.dtype == weights.dtype and value.shape == weights.shape, f"{name}: {value.dtype}")
        finite = back[name].to(weights.dtype)
        report.check(torch.equal(value, finite), f"{name}: their dequantization")
        if name.endswith(".proj.weight"):
            x = random_like((3, cols), 1.0, 63)
            with torch.no_grad():
                y, expected = module(x), x.double() @ back[name].double().T
            tolerance = 1e-5 if weights.dtype == torch.float32 else 2e-2
            report.check((y - expected).norm() <= tolerance * expected.norm(), f"{name}: Linear4bit multiplies")
    return different, compared


def check_reading_theirs(report, program, folder, source):
    """Files of bitsandbytes itself."""
    from bitsandbytes.functional import quantize_4bit

    storages = (torch.uint8, torch.bfloat16, torch.float32)
    for nested, storage in itertools.product((False, True), storages):
        tensors, values = {}, {}
        for name, weights in source.items():
            if not name.endswith(".weight") or not weights.any():
                continue
            codes, state = quantize_4bit(
                weights, blocksize=64, quant_type=KIND, compress_statistics=nested, quant_storage=storage
            )
            tensors[name] = codes
            tensors |= {f"{name}.{key}": value.clone() for key, value in state.as_dict(packed=True).items()}
            state.dtype = torch.float32
            values[name] = their_values(codes, state)
        kind = f"nested {nested}, codes as {storage}"
        path = folder / f"theirs-{nested}-{storage}.safetensors"
        save_file(tensors, path)
        back = dequantized(program, path)
        for name, value in values.items():
            report.check(torch.equal(back[name], value), f"{name}: reading their file, {kind}")
        report.check(set(back) == set(values), f"their file, {kind}: {sorted(back)}")


def check_files(program, folder, report):
    source_path = folder / "source.safetensors"
    source = make_checkpoint(source_path)
    comfy = folder / "comfy.safetensors"
    check_comfy(report, source, written(program, source_path, comfy, "comfyui"), dequantized(program, comfy))
    if books.BITSANDBYTES is None:
        return
    for nested in (False, True):
        path = folder / f"genuine-{nested}.safetensors"
        stored = written(program, source_path, path, "bitsandbytes", f"double_quant = {str(nested).lower()}\n")
        different, compared = check_genuine(report, source, stored, dequantized(program, path), nested)
        if nested:
            print(f"double quantization: {different} of {compared} codes of scales one step from bitsandbytes'")
    check_reading_theirs(report, program, folder, source)


if __name__ == "__main__":
    run_test(check_files)
