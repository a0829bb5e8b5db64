"""Files to try a loader with: as Halftone writes them, as others do, and each of these changed in one thing."""

import json
import re
import subprocess

import references as ref  # first: without PyTorch it ends the test as skipped

import torch
from loader_emulation import Stops, load, relative_error
from matrices import random_like
from whole_files import read

from comfy_kitchen import tensor as kit  # loader_emulation skips the test where it is missing
from safetensors.torch import save_file  # whole_files likewise

MATRIX, TABLE, STACK = "blocks.0.proj", "model.embed_tokens", "mlp.experts.gate_up"
MODULES = {MATRIX: ("linear", (64, 256), True), TABLE: ("embedding", (64, 256), False),
           STACK: ("stack", (4, 32, 256), False)}
PLAIN = {"norm.weight": torch.ones(256)}

# What Halftone writes, by name: format, options, layout.
WRITTEN = {
    "fp8": ("fp8", "", "comfyui"),
    "fp8_e5m2": ("fp8", 'element = "e5m2"', "comfyui"),
    "fp8_row": ("fp8", 'scaling = "row"', "comfyui"),
    "fp8_block": ("fp8", 'scaling = "block"', "comfyui"),
    "fp8_block3d": ("fp8", 'scaling = "block3d"', "comfyui"),
    "fp8_legacy": ("fp8", "", "legacy"),
    "int8_block": ("int8", 'scaling = "block"\nblock_size = 32', "comfyui"),
    "int8_lode": ("int8", 'scaling = "lode"\nblock_size = 32', "comfyui"),
    "int8_tensor": ("int8", 'scaling = "tensor"', "comfyui"),
    "int8_row": ("int8", 'scaling = "row"', "comfyui"),
    "int8_rotated": ("int8", 'scaling = "row"\nrotation = "hadamard"', "comfyui"),
    "mxfp8": ("mxfp8", "", "comfyui"),
    "nvfp4": ("nvfp4", "", "comfyui"),
    "nf4": ("nf4", "", "comfyui"),
    "fp4": ("fp4", "", "comfyui"),
    "convrot": ("convrot_w4a4", "", "comfyui"),
    "convrot_int4": ("convrot_w4a4", 'linear_dtype = "int4"', "comfyui"),
    "asym": ("asym_w4a8_int8", "", "comfyui"),
    "cast": ("cast", 'to = "e4m3fn"', "comfyui"),
}


def original(name):
    return random_like(MODULES[name][1], 0.02, 11)


class Trial:
    """A file, the modules that it is for, and the numbers that it means."""

    def __init__(self, name, tensors, metadata, layers, tolerance):
        self.name, self.tensors, self.metadata, self.tolerance = name, dict(tensors), dict(metadata or {}), tolerance
        self.may_mean_other_numbers = False  # the change is one of what the numbers are, as far as the file tells
        self.modules = {layer: MODULES[re.sub("^model.diffusion_model.", "", layer)] for layer in layers}

    def changed(self, what):
        other = Trial(f"{self.name}: {what}", self.tensors, self.metadata, [], self.tolerance)
        other.modules = self.modules
        return other

    def marker(self, layer):
        return json.loads(bytes(self.tensors[f"{layer}.comfy_quant"].view(torch.uint8).tolist()))

    def is_int8_stack(self, layer):
        weight = self.tensors[f"{layer}.weight"]
        return weight.ndim == 3 and weight.dtype == torch.int8

    def mark(self, layer, marker):
        raw = marker if isinstance(marker, bytes) else json.dumps(marker).encode()
        self.tensors[f"{layer}.comfy_quant"] = torch.tensor(list(raw), dtype=torch.uint8)


def original_of(layer):
    return original(re.sub("^model.diffusion_model.", "", layer))


def outcomes(trial):
    """Layer -> why it is not right, "" if it is."""
    try:
        loaded = load(trial.tensors, trial.metadata, trial.modules)
    except Stops as problem:
        return {layer: f"the file: {problem}" for layer in trial.modules}
    found = {}
    for layer, weight in loaded.items():
        if isinstance(weight, Stops):
            found[layer] = str(weight)
            continue
        error = relative_error(weight, original_of(layer))
        found[layer] = "" if trial.may_mean_other_numbers or error <= trial.tolerance else f"numbers off by {error:.1e}"
    return found


# -------------------------------------------------------------------------------------------------------- files
def written(program, folder):
    trials = []
    source = folder / "source.safetensors"
    for name, (weight_format, options, layout) in WRITTEN.items():
        for layer in (MATRIX, TABLE, STACK):
            tensors = {f"{layer}.weight": original(layer).to(torch.float32), **PLAIN}
            if MODULES[layer][2]:
                tensors[f"{layer}.bias"] = random_like((64,), 0.02, 12)
            save_file(tensors, source)
            stored, metadata = everything_quantized(program, source, folder / "out.safetensors", weight_format, options,
                                                    layout)
            if f"{layer}.weight" not in stored or stored[f"{layer}.weight"].dtype == torch.float32:
                continue  # not quantized: nothing to try
            trials.append(Trial(f"{name} {layer}", stored, metadata, [layer], 3e-2))
    return trials


def everything_quantized(program, source, target, weight_format, options, layout):
    """Embeddings and stacks as well, by a rule that names everything."""
    pipeline = target.with_suffix(".toml")
    pipeline.write_text(
        f'[input]\npath = "{source}"\n[output]\npath = "{target}"\nreplace = true\nlayout = "{layout}"\n'
        f'[model]\nprofile = "none"\n[quantize]\nformat = "{weight_format}"\n{options}\n'
        f'[[rule]]\nname = "all"\nmatch = "*.weight"\naction = "quantize"\n')
    done = subprocess.run([program, "run", "--quiet", pipeline], capture_output=True, text=True)
    if done.returncode != 0:
        return {}, {}
    return read(target)


def foreign():
    """Files of formats that are made by others."""
    weights = original(MATRIX)
    made = {}
    for bits, dtype in ((4, torch.float32), (6, torch.float8_e4m3fn), (6, torch.float32)):
        codes, rel, channel, _, codebook = kit.w4a8_int8.quantize_w4a8_int8_weight(
            weights, convrot_groupsize=64, scale_dtype=dtype, bits=bits)
        tensors = {"weight": codes, "weight_s_rel": rel, "weight_s_channel": channel}
        if codebook is not None:
            tensors["weight_codebook"] = codebook
        made[f"asym {bits} {dtype}"] = (tensors, {"format": "asym_w4a8_int8", "group_size": 16, "convrot_groupsize": 64})
    for group, dtype in ((64, torch.bfloat16), (128, torch.float16), (64, torch.float32)):
        made[f"awq {group} {dtype}"] = (awq(weights, group, dtype), {"format": "awq_w4a16", "group_size": group})
    trials = []
    for name, (tensors, marker) in made.items():
        trial = Trial(name, {f"{MATRIX}.{key}": value for key, value in tensors.items()}, {}, [MATRIX], 3e-2)
        trial.tensors |= {f"{MATRIX}.bias": random_like((64,), 0.02, 12), **PLAIN}
        trial.mark(MATRIX, marker)
        trials.append(trial)
    stack = original(STACK)
    parts = [kit.w4a8_int8.quantize_w4a8_int8_weight(one, convrot_groupsize=64, codebook=False) for one in stack]
    trial = Trial("asym stack", {f"{STACK}.weight": torch.stack([p[0] for p in parts]),
                                 f"{STACK}.weight_s_rel": torch.stack([p[1] for p in parts]),
                                 f"{STACK}.weight_s_channel": torch.stack([p[2] for p in parts])}, {}, [STACK], 3e-2)
    trial.mark(STACK, {"format": "asym_w4a8_int8", "num_experts": 4, "convrot_groupsize": 64})
    flat = trial.changed("flat scales")
    flat.tensors[f"{STACK}.weight_s_rel"] = flat.tensors[f"{STACK}.weight_s_rel"].reshape(128, -1)
    flat.tensors[f"{STACK}.weight_s_channel"] = flat.tensors[f"{STACK}.weight_s_channel"].reshape(-1)
    for bias in (None, (4, 32), (128,)):  # the weight as a matrix, the scales either way
        for scales in (trial, flat):
            all_flat = scales.changed(f"flat weight, bias {bias}")
            all_flat.tensors[f"{STACK}.weight"] = scales.tensors[f"{STACK}.weight"].reshape(128, -1)
            if bias:
                all_flat.tensors[f"{STACK}.bias"] = torch.zeros(bias)
            trials.append(all_flat)
    trials += [trial, flat]
    rows = [kit.TensorWiseINT8Layout.quantize(one, per_channel=True, convrot=True, convrot_groupsize=64) for one in stack]
    trial = Trial("int8 rotated stack", {f"{STACK}.weight": torch.stack([q for q, _ in rows]),
                                         f"{STACK}.weight_scale": torch.stack([p.scale for _, p in rows])}, {}, [STACK], 3e-2)
    trial.mark(STACK, {"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 64, "num_experts": 4})
    per_expert = trial.changed("[E, N]")
    per_expert.tensors[f"{STACK}.weight_scale"] = per_expert.tensors[f"{STACK}.weight_scale"].reshape(4, 32)
    for scale in ((4, 32, 1), (128, 1)):
        flat = trial.changed(f"flat weight, scales {list(scale)}")
        for name, shape in (("weight", (128, -1)), ("weight_scale", scale)):
            flat.tensors[f"{STACK}.{name}"] = trial.tensors[f"{STACK}.{name}"].reshape(shape)
        trials.append(flat)
    trials += [trial, per_expert]
    trial = Trial("awq stack", {f"{STACK}.{key}": torch.stack([awq(one, 64, torch.bfloat16)[key] for one in stack])
                                for key in ("weight", "weight_scale", "weight_zeros")}, {}, [STACK], 3e-2)
    trial.mark(STACK, {"format": "awq_w4a16", "group_size": 64})
    trials.append(trial)
    return trials


def awq(weights, group, dtype):
    rows, cols = weights.shape
    parts = weights.reshape(rows, cols // group, group)
    low = parts.amin(-1, keepdim=True)
    span = (parts.amax(-1, keepdim=True) - low) / 15
    zero = low + 8 * span
    codes = (((parts - zero) / span).round().clamp(-8, 7) + 8).to(torch.uint8).reshape(rows, cols)
    packed = (codes[:, 0::2] | codes[:, 1::2] << 4).view(torch.int8)
    return {"weight": packed, "weight_scale": span[..., 0].T.contiguous().to(dtype),
            "weight_zeros": zero[..., 0].T.contiguous().to(dtype)}
