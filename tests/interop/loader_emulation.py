"""What ComfyUI's loader does with the layers of a file, as far as its behaviour is known, over the layout classes of
comfy-kitchen. Written from descriptions, for tests: which files load, and with which numbers."""

import json

import references as ref  # first: without PyTorch it ends the test as skipped

import torch

try:
    import comfy_kitchen as ck
    from comfy_kitchen import tensor as layouts
    from comfy_kitchen.tensor import QuantizedTensor
    from comfy_kitchen.tensor.base import register_layout_class
except ImportError:
    ref.skip("comfy-kitchen is not installed; ./dev interop installs it")

LEGACY_MARK = "scaled_fp8"
PREFIXES = ("model.diffusion_model.", "model.model.", "net.")


class Stops(Exception):
    """The loader, or the first use of what it loaded, ends with an error."""


class Fp8(layouts.TensorCoreFP8Layout):
    """Activations are scaled by the input scale or by 1, never by their maximum."""

    element = torch.float8_e4m3fn

    @classmethod
    def quantize(cls, tensor, scale=None, **_):
        scale = torch.ones((), dtype=torch.float32) if scale is None else scale
        codes = ck.quantize_per_tensor_fp8(tensor, scale, cls.element)
        return codes, cls.Params(scale=scale.float(), orig_dtype=tensor.dtype, orig_shape=tuple(tensor.shape))


class Fp8E5M2(Fp8):
    element = torch.float8_e5m2


register_layout_class("Fp8", Fp8)
register_layout_class("Fp8E5M2", Fp8E5M2)

STORAGE = {
    "float8_e4m3fn": torch.float8_e4m3fn, "float8_e5m2": torch.float8_e5m2, "mxfp8": torch.float8_e4m3fn,
    "nvfp4": torch.uint8, "int8_tensorwise": torch.int8, "convrot_w4a4": torch.int8,
    "asym_w4a8_int8": torch.int8, "awq_w4a16": torch.int8,
}
LAYOUTS = {
    "float8_e4m3fn": ("Fp8", Fp8), "float8_e5m2": ("Fp8E5M2", Fp8E5M2),
    "mxfp8": ("TensorCoreMXFP8Layout", layouts.TensorCoreMXFP8Layout),
    "nvfp4": ("TensorCoreNVFP4Layout", layouts.TensorCoreNVFP4Layout),
    "int8_tensorwise": ("TensorWiseINT8Layout", layouts.TensorWiseINT8Layout),
    "convrot_w4a4": ("TensorCoreConvRotW4A4Layout", layouts.TensorCoreConvRotW4A4Layout),
    "asym_w4a8_int8": ("AsymW4A8Int8Layout", layouts.AsymW4A8Int8Layout),
    "awq_w4a16": ("TensorCoreAWQW4A16Layout", layouts.TensorCoreAWQW4A16Layout),
}
OF_EMBEDDINGS = ("float8_e4m3fn", "float8_e5m2", "int8_tensorwise")
DIRECTLY_MULTIPLIED = ("int8_tensorwise", "convrot_w4a4", "asym_w4a8_int8", "awq_w4a16")  # by the layout itself


def viewed(tensor, dtype):
    try:
        return None if tensor is None else tensor.view(dtype)
    except RuntimeError as problem:
        raise Stops(str(problem)) from problem


class Marker:
    def __init__(self, tensor):
        try:
            self.root = json.loads(tensor.numpy().tobytes())
        except (ValueError, TypeError) as problem:
            raise Stops(f"marker: {problem}") from problem
        if self.root is not None and not isinstance(self.root, dict):
            raise Stops("the marker is no object")
        self.params = self.root.get("params", {}) if self.root else {}
        if not isinstance(self.params, dict):
            self.params = {}

    def get(self, key, default, root_only=False):
        return self.root.get(key, default if root_only else self.params.get(key, default))

    def whole(self, key, default, root_only=False):
        try:
            return int(self.get(key, default, root_only))
        except (TypeError, ValueError) as problem:
            raise Stops(f"{key}: {problem}") from problem


def converted(tensors, metadata):
    """The tensors after the loader has dealt with headers and older layouts."""
    state = dict(tensors)
    entry = (metadata or {}).get("_quantization_metadata")
    layers = None
    if entry is not None:
        try:
            header = json.loads(entry)
        except ValueError:
            header = None
        if header is not None:
            try:
                layers = dict(header["layers"].items())
            except (KeyError, TypeError, AttributeError) as problem:
                raise Stops(f"header: {problem!r}") from problem
    else:
        marks = [name for name in state if name == LEGACY_MARK or name.endswith("." + LEGACY_MARK)]
        for mark in marks:
            prefix = mark[: -len(LEGACY_MARK)]
            layers = layers or {}
            for name in [name for name in state if name.startswith(prefix) and name != mark]:
                if name.endswith(".scale_weight"):
                    layer = name.removesuffix(".scale_weight")
                    layers[layer] = {"format": "float8_e4m3fn"}
                    state[layer + ".weight_scale"] = state.pop(name)
                elif name.endswith(".scale_input"):
                    value = state.pop(name)
                    if value.numel() != 1:
                        raise Stops("an input scale of several numbers")
                    if value.item() != 1.0:
                        state[name.removesuffix(".scale_input") + ".input_scale"] = value
    for prefix in ("",) + PREFIXES:  # entries are applied before prefixes are taken off, and after
        for layer, entry_of_layer in (layers or {}).items():
            if prefix + layer + ".weight" in state:
                text = json.dumps(entry_of_layer).encode()
                state[prefix + layer + ".comfy_quant"] = torch.tensor(list(text), dtype=torch.uint8)
    return state


class Layer:
    """One module of the model, told what the file has for it."""

    def __init__(self, name, state, kind, shape, bias):
        self.name, self.state, self.kind, self.shape, self.has_bias = name, state, kind, tuple(shape), bias
        self.exact = False

    def tensor(self, name):
        return self.state.get(f"{self.name}.{name}")

    def weight(self):
        """The numbers that the model computes with, float32; Stops where it does not get so far."""
        weight = self.tensor("weight")
        marker = self.tensor("comfy_quant")
        bias = self.tensor("bias")
        if bias is not None and self.kind != "embedding":
            wanted = self.shape[:-1]
            if tuple(bias.shape) != wanted:
                raise Stops(f"size mismatch: bias {tuple(bias.shape)} for {wanted}")
        marker = Marker(marker) if marker is not None else None
        if marker is None or marker.root is None:
            return self.plain(weight)
        label = marker.root.get("format")
        if self.kind == "embedding":
            return self.embedding(weight, marker, label) if label in OF_EMBEDDINGS else self.plain(weight)
        if label is None:
            raise Stops("unknown quantization format")
        if not isinstance(label, str) or label not in STORAGE:
            raise Stops(f"KeyError: {label!r}")
        return self.quantized(weight, marker, label)

    def plain(self, weight):
        if tuple(weight.shape) != self.shape:
            raise Stops(f"size mismatch: {tuple(weight.shape)} for {self.shape}")
        return weight.float()

    def embedding(self, weight, marker, label):
        scale = self.tensor("weight_scale")
        scale = torch.ones(()) if scale is None else scale.float()
        codes = weight.to(STORAGE[label])
        rows = torch.arange(self.shape[0]).reshape(2, -1)
        if label == "int8_tensorwise":
            rotated = bool(marker.get("convrot", False, True))
            group = marker.whole("convrot_groupsize", 256, True) if rotated else 256
            params = layouts.TensorWiseINT8Layout.Params(
                scale=scale, orig_dtype=torch.float32, orig_shape=self.shape, convrot=rotated, convrot_groupsize=group)
            found = layouts.TensorWiseINT8Layout.dequantize_embedding(codes, params, rows)
        else:
            found = torch.nn.functional.embedding(rows, codes.float()) * scale
        return found.reshape(self.shape)

    def scales(self, marker, label):
        get = self.tensor
        if label in ("float8_e4m3fn", "float8_e5m2"):
            if get("weight_scale") is None:
                raise Stops("no scale")
            return {"scale": get("weight_scale")}
        if label == "mxfp8":
            found = {"scale": viewed(get("weight_scale"), torch.float8_e8m0fnu)}
        elif label == "nvfp4":
            found = {"scale": get("weight_scale_2"), "block_scale": viewed(get("weight_scale"), torch.float8_e4m3fn)}
        elif label == "int8_tensorwise":
            found = {"scale": get("weight_scale")}
            if marker.get("convrot", False):
                found |= {"convrot": True, "convrot_groupsize": marker.whole("convrot_groupsize", 256)}
        elif label == "convrot_w4a4":
            found = {"scale": get("weight_scale"), "convrot_groupsize": marker.whole("convrot_groupsize", 256),
                     "linear_dtype": marker.get("linear_dtype", "int4")}
        elif label == "asym_w4a8_int8":
            scale = get("weight_s_rel")
            if scale is not None and scale.dtype == torch.uint8:
                scale = viewed(scale, torch.float8_e4m3fn)
            found = {"scale": scale, "group_size": marker.whole("group_size", 16),
                     "convrot_groupsize": marker.whole("convrot_groupsize", 256)}
        else:
            found = {"scale": get("weight_scale"), "zeros": get("weight_zeros"),
                     "group_size": marker.whole("group_size", 64, True)}
        if any(one is None for one in found.values()):
            raise Stops("a scale is missing")
        if label == "asym_w4a8_int8":
            found |= {"s_channel": get("weight_s_channel"), "codebook": get("weight_codebook")}
        return found

    def quantized(self, weight, marker, label):
        self.exact = bool(marker.root.get("full_precision_matrix_mult", False))  # inputs are not rounded then
        name, layout = LAYOUTS[label]
        scales = self.scales(marker, label)
        codes = weight.to(STORAGE[label])
        if self.kind == "stack":
            return self.stack(codes, scales, name, layout, label)
        return self.used(codes, scales, name, layout, label, self.shape)

    def used(self, codes, scales, name, layout, label, shape, with_inputs=True):
        """Dequantized, once it was multiplied with as well."""
        wide = QuantizedTensor(codes, name, layout.Params(**scales, orig_dtype=torch.float32, orig_shape=shape))
        result = wide.dequantize()
        if tuple(result.shape) != tuple(shape):
            raise Stops(f"dequantizes to {tuple(result.shape)}")
        torch.manual_seed(5)
        x = torch.randn(8, shape[1], dtype=torch.bfloat16)
        expected = x.float() @ result.float().T
        stored = QuantizedTensor(codes, name, layout.Params(**scales, orig_dtype=torch.bfloat16, orig_shape=shape))
        given = self.tensor("input_scale") if with_inputs and not self.exact else None
        if label in DIRECTLY_MULTIPLIED:
            product = torch.nn.functional.linear(x, stored, None)
        elif label in ("float8_e4m3fn", "float8_e5m2") and with_inputs:
            product = torch.nn.functional.linear(QuantizedTensor.from_float(x, name, scale=given), stored, None)
        else:
            product = expected  # the eager backend has no product of blocks: they are dequantized
            if label == "nvfp4" and given is not None:
                QuantizedTensor.from_float(x, name, scale=given)
        if product.shape != expected.shape:
            raise Stops(f"a product of {tuple(product.shape)}")
        if given is None and relative_error(product.float(), expected) > 0.2:
            raise Stops("a wrong product")
        smoothing = self.tensor("pre_quant_scale") if with_inputs and label == "nvfp4" else None
        if smoothing is not None:  # multiplied into what comes in
            smoothed = torch.ones(8, shape[1]) * smoothing.float()
            if smoothed.shape != x.shape:
                raise Stops(f"inputs of {tuple(smoothed.shape)}")
            result = result * smoothed[:1]
        return result.float()

    def stack(self, codes, scales, name, layout, label):
        count, rows, cols = self.shape
        flat = label == "asym_w4a8_int8" or (label == "int8_tensorwise" and scales["scale"].ndim == 3)
        if flat:
            def flattened(tensor):
                joins = tensor is not None and tensor.ndim > 1 and tensor.shape[0] == count
                return tensor.reshape(count * tensor.shape[1], *tensor.shape[2:]) if joins else tensor

            codes = flattened(codes)
            for key in ("scale", "s_channel"):
                if key in scales:
                    scales[key] = flattened(scales[key])
            layout.Params(**scales, orig_dtype=torch.float32, orig_shape=(count * rows, cols))
        result = []
        for i in range(count):
            if flat:
                part = slice(i * rows, (i + 1) * rows)
                own = {key: value[part] if torch.is_tensor(value) and value.ndim and value.shape[0] == len(codes) else value
                       for key, value in scales.items()}
                result.append(self.used(codes[part], own, name, layout, label, (rows, cols), False))
            else:
                own = dict(scales)
                own["scale"] = scales["scale"][i] if scales["scale"].ndim else scales["scale"]
                if "block_scale" in own:
                    own["block_scale"] = scales["block_scale"][i]
                own.pop("zeros", None)
                result.append(self.used(codes[i], own, name, layout, label, (rows, cols), False))
        return torch.stack(result)


def relative_error(found, meant):
    meant = meant.double()
    error = ((found.double() - meant) ** 2).sum() / (meant**2).sum().clamp(min=1e-30)
    return float(error) if torch.isfinite(error) else float("inf")


def load(tensors, metadata, modules):
    """What becomes of every module (name -> kind, shape, bias): its weight, or Stops. Stops where nothing loads."""
    state = converted(tensors, metadata)
    found = {}
    for name, (kind, shape, bias) in modules.items():
        try:
            found[name] = Layer(name, state, kind, shape, bias).weight()
        except Stops as problem:
            found[name] = problem
        except Exception as problem:  # what PyTorch and comfy-kitchen raise, whatever it is
            found[name] = Stops(f"{type(problem).__name__}: {problem}")
    return found
