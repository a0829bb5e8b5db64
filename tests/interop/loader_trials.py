"""What can be different about a file from what Halftone writes, one thing at a time."""

import json

import references as ref  # first: without PyTorch it ends the test as skipped

import torch
from loader_emulation import Stops, load, relative_error
from loader_files import MATRIX, STACK, TABLE, foreign, original, original_of, written

# ------------------------------------------------------------------------------------------------------ changes
def reencoded(text):
    yield "BOM", b"\xef\xbb\xbf" + text
    yield "UTF-16", text.decode().encode("utf-16")
    yield "UTF-16 without a mark", text.decode().encode("utf-16-be")
    yield "UTF-32", text.decode().encode("utf-32-le")
    yield "blanks around it", b" \r\n\t" + text + b"  \n"
    yield "NUL at its end", text + b"\0"
    yield "many NULs", text + b"\0" * 21
    yield "empty", b""
    yield "NULs alone", b"\0" * 8
    yield "blanks alone", b"   "
    yield "cut off", text[:-3]
    yield "a list", b"[1]"
    yield "a number", b"7"
    yield "a text", b'"fp8"'
    yield "a list of it", b"[" + text + b"]"
    yield "a trailing comma", text[:-1] + b",}"
    yield "a byte that is no UTF-8", text[:-1] + b', "x": "\xff"}'
    yield "NaN inside", text[:-1] + b', "x": NaN}'
    yield "the format twice", b'{"format": "nonsense", ' + text[1:]
    yield "single quotes", text.replace(b'"', b"'")


def marker_changes(trial, layer, all_texts):
    text = json.dumps(trial.marker(layer)).encode()
    for what, raw in list(reencoded(text))[: None if all_texts else 1]:
        other = trial.changed(f"marker {what}")
        other.metadata.pop("_quantization_metadata", None)  # which would go over the marker
        other.mark(layer, raw)
        yield other
    marker = trial.marker(layer)

    def with_(what, may_mean_other_numbers=False, **changes):
        other = trial.changed(f"marker {what}")
        other.metadata.pop("_quantization_metadata", None)
        other.may_mean_other_numbers = may_mean_other_numbers
        merged = {key: value for key, value in (marker | changes).items() if value is not ...}
        other.mark(layer, merged)
        return other

    yield with_("unknown key", colour="blue")
    yield with_("null params", params=None)
    yield with_("list params", params=[1])
    for label in (None, 7, "", "nonsense", ["a"], True, *{"float8_e4m3fn", "float8_e5m2", "int8_tensorwise", "nvfp4",
                                                         "mxfp8", "convrot_w4a4", "asym_w4a8_int8", "awq_w4a16",
                                                         "svdquant_w4a4", "nf4"} - {marker.get("format")}):
        if not (label == "convrot_w4a4" and trial.is_int8_stack(layer)):  # only the model knows the columns
            yield with_(f"format {label!r}", format=label)
    yield with_("no format", format=...)
    yield with_("full precision", full_precision_matrix_mult=True)
    for value in (True, 1, 0):  # nothing is scaled by it then, so that it may be anything
        other = with_(f"full precision {value!r}, input_scale of two", full_precision_matrix_mult=value)
        other.tensors[f"{layer}.input_scale"] = torch.ones(2)
        yield other
    rotation = {key: marker[key] for key in ("convrot", "convrot_groupsize") if key in marker}
    if rotation:
        group = rotation["convrot_groupsize"]
        for value in (1, "yes", "false", 0.5, [0], {"a": 1}, 0, "", None, [], False):
            if "convrot" in rotation:
                yield with_(f"convrot {value!r}", True, convrot=value)
        for value in (str(group), f" {group} ", group + 0.5, "x", None, 0, -4, 8, 12, 2, 4, 1024, True, [group], 16):
            yield with_(f"group {value!r}", value not in (0, -4), convrot_groupsize=value)
        yield with_("rotation in params", params=rotation, **dict.fromkeys(rotation, ...))
        yield with_("no group", True, convrot_groupsize=...)
        yield with_("group in params", params={"convrot_groupsize": group}, convrot_groupsize=...)
        if "convrot" in rotation:
            yield with_("false over params", True, params={"convrot": True}, convrot=False)
    else:
        yield with_("rotation", marker.get("format") == "int8_tensorwise", convrot=True, convrot_groupsize=64)
    if "linear_dtype" in marker or marker.get("format") == "convrot_w4a4":
        for value in ("int8", "int4", "fp8", None, 8, ""):
            yield with_(f"linear_dtype {value!r}", linear_dtype=value)
        yield with_("no linear_dtype", linear_dtype=...)
        yield with_("linear_dtype in params", linear_dtype=..., params={"linear_dtype": "int8"})
    if "group_size" in marker:
        size = marker["group_size"]
        for value in (str(size), size * 2, size // 2, 3, 0, None, size + 0.9):
            yield with_(f"group_size {value!r}", group_size=value)
        yield with_("group_size in params", group_size=..., params={"group_size": size})
        yield with_("no group_size", group_size=...)


def cast_changes(trial, layer, name, dtypes):
    key = f"{layer}.{name}"
    if key not in trial.tensors:
        return
    for dtype in dtypes:
        if trial.tensors[key].dtype == dtype:
            continue
        other = trial.changed(f"{name} cast to {dtype}")
        other.tensors[key] = other.tensors[key].float().to(dtype) if dtype.is_floating_point else other.tensors[key].to(dtype)
        yield other


def view_changes(trial, layer, name, dtypes):
    key = f"{layer}.{name}"
    if key in trial.tensors and trial.tensors[key].element_size() == 1:
        for dtype in dtypes:
            if dtype != trial.tensors[key].dtype:
                other = trial.changed(f"{name} as the bytes of {dtype}")
                other.tensors[key] = other.tensors[key].view(dtype)
                yield other


def shape_changes(trial, layer, name):
    key = f"{layer}.{name}"
    tensor = trial.tensors.get(key)
    if tensor is None:
        return
    count = tensor.numel()
    shapes = [[count], [count, 1], [1, count], [count, 1, 1], [1, 1, count], list(reversed(tensor.shape))]
    if count == 1:
        shapes += [[], [1], [1, 1], [1, 1, 1]]
    for shape in {tuple(shape): list(shape) for shape in shapes}.values():
        if list(tensor.shape) != shape:
            other = trial.changed(f"{name} as {shape}")
            other.tensors[key] = tensor.reshape(shape)
            yield other
    # One scale for all of awq's groups is broadcast: other numbers than the file means, but not by much.
    if tensor.ndim and count > 1 and f"{layer}.weight_zeros" not in trial.tensors:
        other = trial.changed(f"{name} half")
        other.tensors[key] = tensor[: max(1, tensor.shape[0] // 2)].clone()
        yield other
    if name != "weight_codebook":  # without it the codes mean other numbers
        other = trial.changed(f"no {name}")
        del other.tensors[key]
        yield other
    if count == 1:
        for size in ([2], [64], [4, 4]) + (([64, 1],) if name == "weight_scale" else ()):
            other = trial.changed(f"{name} of {size}")
            other.tensors[key] = tensor.reshape(1).expand(torch.Size(size).numel()).reshape(size).clone()
            yield other


FLOATS = (torch.float16, torch.bfloat16, torch.float64, torch.float32)
BYTES = (torch.uint8, torch.int8, torch.float8_e4m3fn, torch.float8_e5m2)
SCALES = ("weight_scale", "weight_scale_2", "weight_s_rel", "weight_s_channel", "weight_codebook", "weight_zeros",
          "scale_weight")


def tensor_changes(trial, layer):
    for name in SCALES:
        yield from cast_changes(trial, layer, name, FLOATS)
        yield from view_changes(trial, layer, name, BYTES)
        yield from shape_changes(trial, layer, name)
    yield from view_changes(trial, layer, "weight", BYTES)
    yield from cast_changes(trial, layer, "weight", (torch.float32, torch.bfloat16))
    for name, tensor in (("input_scale", torch.ones(())), ("input_scale", torch.ones(1)), ("input_scale", torch.ones(2)),
                         ("input_scale", torch.ones((), dtype=torch.bfloat16)),
                         ("input_scale", torch.ones(1, dtype=torch.float16)), ("input_scale", torch.ones(1, 1, 1)),
                         ("pre_quant_scale", torch.ones(256)), ("pre_quant_scale", torch.ones(1, 256)),
                         ("pre_quant_scale", torch.ones(7)), ("pre_quant_scale", torch.ones(1)),
                         ("pre_quant_scale", torch.ones(1, 1)), ("pre_quant_scale", torch.ones(1, 1, 256)), ("pre_quant_scale", torch.ones((), dtype=torch.bfloat16)),
                         ("pre_quant_scale", torch.ones(256, 1)),
                         ("something", torch.ones(3)), ("weight_zero", torch.ones(4, 64)),
                         ("lora_note", torch.ones(1, dtype=torch.uint8))):
        other = trial.changed(f"{name} {tensor.dtype} {list(tensor.shape)}")
        other.tensors[f"{layer}.{name}"] = tensor
        yield other
    yield from shape_changes_of_bias(trial, layer)


def shape_changes_of_bias(trial, layer):
    key = f"{layer}.bias"
    if key in trial.tensors:
        for shape in ([1, 64], [64, 1], [32]):
            other = trial.changed(f"bias {shape}")
            other.tensors[key] = torch.zeros(shape)
            yield other
        yield from cast_changes(trial, layer, "bias", (torch.bfloat16, torch.float64))


def header_changes(trial, layer):
    marker = trial.marker(layer)
    whole = {"format_version": "1.0", "layers": {layer: marker}}

    def with_(what, text, unmarked=False):
        other = trial.changed(f"header {what}")
        other.metadata["_quantization_metadata"] = text
        if unmarked:
            del other.tensors[f"{layer}.comfy_quant"]
        return other

    yield with_("as the marker", json.dumps(whole))
    yield with_("alone", json.dumps(whole), True)
    yield with_("without layers", "{}")
    yield with_("of another layer", json.dumps({"layers": {"other": marker}}))
    for text in ("", "no JSON", '{"layers": {}}', "null", "[]", "7", '"x"', '{"layers": []}', '{"layers": null}'):
        yield with_(f"is {text!r}", text)
    yield with_("is empty, no marker", '{"layers": {}}', True)
    yield with_("entry is a text", json.dumps({"layers": {layer: "fp8"}}))
    yield with_("entry is a list", json.dumps({"layers": {layer: []}}), True)
    yield with_("entry names another label", json.dumps({"layers": {layer: {"format": "nonsense"}}}))
    wrong = with_("right, marker wrong", json.dumps(whole))
    wrong.mark(layer, b'{"format": "nonsense"}')
    yield wrong
    other = trial.changed("no marker")
    del other.tensors[f"{layer}.comfy_quant"]
    yield other
    for dtype in (torch.int8, torch.bfloat16):
        other = trial.changed(f"marker as {dtype}")
        key = f"{layer}.comfy_quant"
        raw = other.tensors[key].tolist()
        other.tensors[key] = torch.tensor(raw + [32] * (len(raw) % 2), dtype=torch.uint8).view(dtype)
        yield other
    prefixed = trial.changed("prefixed")
    prefixed.tensors = {f"model.diffusion_model.{key}": value for key, value in trial.tensors.items()}
    prefixed.tensors |= {f"model.diffusion_model.more.{i}": torch.ones(1) for i in range(6)}
    prefixed.metadata.pop("_quantization_metadata", None)
    prefixed.modules = {f"model.diffusion_model.{layer}": module for layer, module in trial.modules.items()}
    yield prefixed
    for where, unmarked in ((f"model.diffusion_model.{layer}", True), (f"model.diffusion_model.{layer}", False), (layer, True)):
        other = prefixed.changed(f"prefixed, entry of {where}, {unmarked}")
        other.modules = prefixed.modules
        other.metadata["_quantization_metadata"] = json.dumps({"layers": {where: marker}})
        if unmarked:
            del other.tensors[f"model.diffusion_model.{layer}.comfy_quant"]
        yield other


def legacy_changes(trial, layer):
    other = trial.changed("no mark")
    del other.tensors["scaled_fp8"]
    yield other
    other = trial.changed("a header")
    other.metadata["_quantization_metadata"] = '{"layers": {}}'
    yield other
    for shape in ([], [1], [2], [0], [3]):
        for dtype in (torch.float32, torch.float8_e4m3fn, torch.float8_e5m2):
            other = trial.changed(f"mark {shape} {dtype}")
            other.tensors["scaled_fp8"] = torch.zeros(shape).to(dtype)
            yield other
    for tensor in (torch.ones(()), torch.ones(1), torch.full((1,), 0.5), torch.ones(2), torch.ones(1, dtype=torch.bfloat16),
                   torch.full((1,), 0.5, dtype=torch.bfloat16)):
        other = trial.changed(f"scale_input {tensor.tolist()} {tensor.dtype}")
        other.tensors[f"{layer}.scale_input"] = tensor
        yield other
    weight = original(layer)
    for largest in (448.0, 57344.0):
        scale = weight.abs().max() / largest
        other = trial.changed(f"E5M2 up to {largest}")
        other.tensors[f"{layer}.weight"] = (weight / scale).to(torch.float8_e5m2)
        other.tensors[f"{layer}.scale_weight"] = scale.reshape(1)
        other.tolerance = 1e-2
        yield other
    other = trial.changed("a dummy beside BF16")
    other.tensors[f"{layer}.weight"] = weight.to(torch.bfloat16)
    other.tensors[f"{layer}.scale_weight"] = torch.ones(1)
    other.tolerance = 1e-5  # the numbers are not quantized, but become so
    yield other
    other = trial.changed("prefixed")
    other.tensors = {f"model.diffusion_model.{key}": value for key, value in trial.tensors.items()}
    other.modules = {f"model.diffusion_model.{name}": module for name, module in trial.modules.items()}
    yield other
    bare = other.changed("prefixed, the mark without")
    bare.tensors["scaled_fp8"] = bare.tensors.pop("model.diffusion_model.scaled_fp8")
    yield bare


UNKNOWN = ("fp8_row", "fp8_block", "fp8_block3d", "int8_block", "int8_lode", "nf4", "fp4")  # labels of other loaders
ALL_TEXTS = (f"int8_rotated {MATRIX}", f"fp8 {TABLE}", f"int8_rotated {STACK}")  # whose markers are written in every way


def tolerance_of(base):
    """Changes may cost little more than the format does; where it does not work at all, as little as any."""
    loaded = load(base.tensors, base.metadata, base.modules)
    errors = [relative_error(weight, original_of(layer)) for layer, weight in loaded.items() if not isinstance(weight, Stops)]
    return max([2.5 * error for error in errors if error <= base.tolerance] + [1e-6])


def trials(program, folder):
    for base in written(program, folder) + foreign():
        layer = next(iter(base.modules))
        yield base
        base.tolerance = tolerance_of(base)
        if base.name.split()[0] in UNKNOWN:
            yield from cast_changes(base, layer, "weight", (torch.bfloat16,))
            continue
        if f"{layer}.comfy_quant" in base.tensors:
            yield from marker_changes(base, layer, base.name in ALL_TEXTS)
            yield from header_changes(base, layer)
        if "scaled_fp8" in base.tensors:
            yield from legacy_changes(base, layer)
        # Of a plain tensor nothing says what it means, so that what is changed about it cannot be seen.
        if f"{layer}.comfy_quant" in base.tensors or "scaled_fp8" in base.tensors:
            yield from tensor_changes(base, layer)
