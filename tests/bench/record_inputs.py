#!/usr/bin/env python3
"""Samples the inputs of a model's linear layers, for `halftone compare --stats` and the objective "activation".

    record_inputs.py MODEL OUT [--windows 4] [--samples 512] [--first 0]

MODEL is a folder with a checkpoint and a script evaluate.py that has load(folder), build(tensors, device) and
text(windows); OUT becomes a safetensors file with a tensor LAYER.inputs for each layer, `samples` rows chosen evenly
from all positions of all windows. Needs torch and safetensors.
"""

import argparse
import importlib.util
import pathlib

import torch
from safetensors.torch import save_file


def script_of(folder):
    spec = importlib.util.spec_from_file_location("evaluate", folder / "evaluate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@torch.no_grad()
def record(model, batch, samples):
    """LAYER.inputs of every linear layer; one window at a time, so that few activations exist at once."""
    taken = {}

    def hook(name):
        def keep(_, arguments):
            rows = arguments[0].reshape(-1, arguments[0].shape[-1])
            places = torch.linspace(0, len(rows) - 1, -(-samples // len(batch))).long()
            taken.setdefault(name, []).append(rows[places].float().cpu())

        return keep

    hooks = [
        module.register_forward_pre_hook(hook(name))
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    ]
    for window in batch:
        model(window[None, :-1])
    for one in hooks:
        one.remove()
    return {f"{name}.inputs": torch.cat(rows)[:samples].contiguous() for name, rows in taken.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--first", type=int, default=0, help="windows to leave out before")
    arguments = parser.parse_args()
    script = script_of(arguments.model)
    batch = script.text(arguments.first + arguments.windows)[arguments.first :]
    inputs = record(script.build(script.load(arguments.model), "cpu"), batch, arguments.samples)
    save_file(inputs, arguments.out)
    print(f"{len(inputs)} layers, {arguments.samples} samples each: {arguments.out}")


if __name__ == "__main__":
    main()
