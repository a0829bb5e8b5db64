#!/usr/bin/env python3
"""Writes tests/interop/golden/ anew: what PyTorch, ml_dtypes, convert_to_quant and comfy-kitchen make of hard inputs.

The C++ tests compare with these files, so that they need no Python. Casts are run lengths: every code and how many
neighbouring inputs give it.
"""

import functools
import pathlib
import sys

import references as ref  # first: without PyTorch it ends as skipped

import numpy as np
import asym_references
import cast_references
import codebook_references
import convrot_references
import int8_references
import mxfp8_references
import nvfp4_references
import torch
from matrices import adversarial, in_whole_tiles

HERE = pathlib.Path(__file__).resolve().parent / "golden"


def versions():
    import ml_dtypes

    return (
        f"# torch {torch.__version__.split('+')[0]}, ml_dtypes {ml_dtypes.__version__}, "
        f"convert_to_quant {ref.CONVERT_TO_QUANT}\n"
    )


def run_lengths(codes):
    starts = np.concatenate(([0], np.flatnonzero(np.diff(codes)) + 1, [len(codes)]))
    return [(codes[start], end - start) for start, end in zip(starts, starts[1:])]


def write_casts(out):
    out.write("# PyTorch's conversions of clamped numbers; a NaN counts as 0.\n")
    out.write("# cast INPUTS ELEMENT RUNS: every input in the order of its bits, as CODE*COUNT.\n")
    out.write(versions())
    for name, values in (("bf16", ref.every_bf16()), ("f16", ref.every_f16())):
        for element in ref.ELEMENTS:
            codes = ref.torch_cast(values, element)
            if not np.array_equal(codes, ref.ml_dtypes_cast(values, element)):
                sys.exit(f"PyTorch and ml_dtypes differ on {name} to {element}")
            words = [f"{code:02X}*{count}" for code, count in run_lengths(codes)]
            out.write(f"cast {name} {element} {len(words)}\n")
            for i in range(0, len(words), 16):
                out.write(" ".join(words[i : i + 16]) + "\n")
    out.write(f"# Every {ref.STRIDE}th float32 from 0 on: FNV-1a, 64 bits, of all codes.\n")
    for element in ref.ELEMENTS:
        out.write(f"hash f32 {element} {ref.STRIDE} {ref.fnv1a64(ref.torch_cast(ref.strided_f32(), element)):016X}\n")


def write_matrices(out):
    out.write("# matrix NAME ELEMENT SCALE_PER BLOCK ROWS COLS REFERENCE, then weights, codes and scales in hexadecimal.\n")
    out.write(versions())
    for element in ref.ELEMENTS:
        for name, weights in adversarial(element).items():
            for scaling in ("tensor", "row", "block", "block3d"):
                write_matrix(out, name, weights, element, scaling)


def write_matrix(out, name, weights, element, scaling):
    block = 2 if name == "example" else 4
    if scaling.startswith("block"):
        weights = in_whole_tiles(weights, block)
    text = ref.by_the_text(weights, element, scaling, block)
    tool = "text"
    if element == "e4m3fn":
        theirs = ref.convert_to_quant(weights, scaling, block)
        if not all(ref.float_words(a.float()) == ref.float_words(b.float()) for a, b in zip(text, theirs)):
            sys.exit(f"convert_to_quant and the text differ on {name}, {scaling}")
        tool = "convert_to_quant"
    rows, cols = weights.shape
    ref.write_matrix(out, f"{name} {element} {scaling} {block} {rows} {cols} {tool}", weights, *text)


FILES = {
    "fp8_casts.txt": write_casts,
    "fp8_matrices.txt": write_matrices,
    "cast_matrices.txt": cast_references.write_golden,
    "int8_matrices.txt": int8_references.write_golden,
    "mxfp8_matrices.txt": mxfp8_references.write_golden,
    "nf4_matrices.txt": functools.partial(codebook_references.write_golden, "nf4"),
    "fp4_matrices.txt": functools.partial(codebook_references.write_golden, "fp4"),
    "nvfp4_matrices.txt": nvfp4_references.write_golden,
    "convrot_w4a4_matrices.txt": convrot_references.write_golden,
    "asym_w4a8_int8_matrices.txt": asym_references.write_golden,
}


def main():
    HERE.mkdir(exist_ok=True)
    for name, write in FILES.items():
        with open(HERE / name, "w", encoding="ascii", newline="\n") as out:
            write(out)


if __name__ == "__main__":
    main()
