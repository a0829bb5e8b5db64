#!/usr/bin/env python3
"""The committed golden vectors are still what the references make: made anew, they come out the same."""

import io
import sys

import codebook_references
import make_golden
import nvfp4_references
import references as ref


def without_versions(text):
    return [line for line in text.splitlines() if not line.startswith("# torch ")]


def main():
    if ref.ml_dtypes_cast(ref.every_f16()[:1], "e5m2") is None:
        ref.skip("ml_dtypes is not installed")
    if ref.CONVERT_TO_QUANT is None:
        ref.skip("convert_to_quant cannot be used")
    if codebook_references.BITSANDBYTES is None:
        ref.skip("bitsandbytes cannot be used")
    if nvfp4_references.COMFY_KITCHEN is None:
        ref.skip("comfy-kitchen cannot be used")
    failures = 0
    for name, write in make_golden.FILES.items():
        anew = io.StringIO()
        write(anew)
        same = without_versions(anew.getvalue()) == without_versions((make_golden.HERE / name).read_text())
        print(f"{name}: {'the same' if same else 'DIFFERENT'}")
        failures += not same
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
