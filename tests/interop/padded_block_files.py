"""What the tests of NVFP4's and MXFP8's files share: the files, and what holds for every layer of them. A format brings what
its bytes mean and what other people's code makes of a matrix."""

import dataclasses
import json
import typing

import references as ref  # first: without PyTorch it ends the test as skipped

import torch
from matrices import random_like
from whole_files import dequantized, quantized

from safetensors.torch import save_file  # whole_files skips the test where it is missing


@dataclasses.dataclass
class Format:
    name: str
    block: int
    references: typing.Any  # its module
    values_in: typing.Callable  # (stored, name of a weight, shape) -> the numbers that its bytes stand for
    check_bytes: typing.Callable  # (report, name, weights, stored): those of other people's code
    check_tensor_class: typing.Callable  # (report, name, weights, stored, values)
    most_error: float  # of random layers, relative
    most_left: float  # of the squared error by searched scales


def make_checkpoint(path, hard_matrices):
    tensors = {f"hard.{name}.weight": matrix.contiguous() for name, matrix in hard_matrices.items()}
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        for shape in ((64, 96), (50, 83), (300, 320)):
            tensors[f"{name}.{shape[0]}.weight"] = random_like(shape, 0.02, shape[0]).to(dtype)
        tensors[f"{name}.64.bias"] = random_like((64,), 0.02, 22).to(dtype)
    save_file(tensors, path)
    return tensors


def check_layer(report, kind, name, weights, stored, entry, by_reference):
    """Returns its relative error."""
    marker = json.loads(bytes(stored[name.removesuffix("weight") + "comfy_quant"].tolist()))
    expected = {
        "format": kind.name,
        "group_size": kind.block,
        "orig_dtype": str(weights.dtype),
        "orig_shape": list(weights.shape),
        "params": {"group_size": kind.block},
    }
    report.check(marker == expected == entry, f"{name}: {marker}")
    if by_reference:
        kind.check_bytes(report, name, weights, stored)
    values = kind.values_in(stored, name, weights.shape)
    if torch.isfinite(values).all():
        kind.check_tensor_class(report, name, weights, stored, values)
    return ((values - weights.float()).norm() / weights.float().norm().clamp(min=1e-30)).item()


def check_dequantized(report, program, kind, path, source, stored):
    """`halftone dequantize` gives those values too, in the matrices' own shapes."""
    back = dequantized(program, path)
    report.check(sorted(back) == sorted(source), "dequantized: the tensors of the source")
    for name, weights in source.items():
        if weights.ndim == 2:
            values = kind.values_in(stored, name, weights.shape)
            report.check(torch.equal(back[name], values), f"{name}: values of halftone dequantize")
    return back


def squared_error(kind, source, stored):
    matrices = ((name, weights) for name, weights in source.items() if weights.ndim == 2 and "hard" not in name)
    return sum((kind.values_in(stored, n, w.shape) - w.float()).double().square().sum().item() for n, w in matrices)


def check_files(kind, program, folder, report):
    """Returns the tensors of absmax.safetensors in the folder, as stored and as read back."""
    if kind.references.COMFY_KITCHEN is None or ref.CONVERT_TO_QUANT is None:
        ref.skip("comfy-kitchen or convert_to_quant cannot be used; ./dev interop installs them")
    source = make_checkpoint(folder / "source.safetensors", kind.references.hard_matrices())
    plain, searched = (
        quantized(program, folder / "source.safetensors", folder / f"{scale}.safetensors", kind.name, f'scale = "{scale}"')
        for scale in ("absmax", "mse")
    )
    for (stored, metadata), by_reference in ((plain, True), (searched, False)):
        entries = json.loads(metadata["_quantization_metadata"])["layers"]
        worst = 0.0
        for key, weights in source.items():
            if weights.ndim != 2:
                report.check(torch.equal(stored[key], weights), f"{key} kept")
                continue
            error = check_layer(report, kind, key, weights, stored, entries.get(key.removesuffix(".weight")), by_reference)
            worst = max(worst, error if not key.startswith("hard.") else 0.0)
        print(f"relative error of random layers up to {worst:.4f}")
        report.check(worst < kind.most_error, "the layers are still themselves")
    back = check_dequantized(report, program, kind, folder / "absmax.safetensors", source, plain[0])
    gain = squared_error(kind, source, searched[0]) / squared_error(kind, source, plain[0])
    print(f"searched scales leave {gain:.6f} of the squared error")
    report.check(gain <= kind.most_left, "searching for scales pays")
    tools = f"comfy-kitchen {kind.references.COMFY_KITCHEN}, convert_to_quant {ref.CONVERT_TO_QUANT}"
    print(f"{len(source)} tensors, {tools}")
    return plain[0], back
