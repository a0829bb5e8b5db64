#!/usr/bin/env python3
"""The element header against PyTorch and ml_dtypes: every BF16, every F16, and a walk through all float32.

test_fp8_casts.py CAST_DUMP
"""

import subprocess
import sys

import references as ref  # first: without PyTorch it ends the test as skipped

import numpy as np


def halftone_cast(program, values, element):
    values = np.where(np.isnan(values), np.float32(0), values)  # NaN is no input; see references.clamped
    done = subprocess.run([program, element], input=values.tobytes(), stdout=subprocess.PIPE, check=True)
    return np.frombuffer(done.stdout, dtype=np.uint8)


def main():
    program = sys.argv[1]
    failures = 0
    for element in ref.ELEMENTS:
        for name, values in (("BF16", ref.every_bf16()), ("F16", ref.every_f16()), ("F32", ref.strided_f32())):
            ours = halftone_cast(program, values, element)
            assert len(ours) == len(values)
            for reference, theirs in (
                ("torch", ref.torch_cast(values, element)),
                ("ml_dtypes", ref.ml_dtypes_cast(values, element)),
            ):
                if theirs is None:
                    print(f"{element} of {len(values)} {name}: {reference} is not installed, not compared")
                    continue
                wrong = np.flatnonzero(ours != theirs)
                failures += len(wrong)
                print(f"{element} of {len(values)} {name}: {len(wrong)} differences from {reference}")
                for i in wrong[:5]:
                    print(f"    {values[i]!r}: {ours[i]:02X}, {reference} {theirs[i]:02X}")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
