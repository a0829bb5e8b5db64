#!/usr/bin/env python3
"""How long a whole run takes beside cp and convert_to_quant, and how much memory of its own it needs.

Makes a model with `halftone synth` (about 4 GB in BF16 by default), reads it once so that it lies in the page cache, and
runs the contenders in turn, round by round, so that a slow moment of the machine meets them all. Between runs the output
is deleted and the disk gets time to catch up. Memory is RssAnon, sampled every few milliseconds: what is not backed by a
file. `halftone run` waits until the output is on the disk, cp alone does not; hence cp twice.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

SAMPLE_SECONDS = 0.005
THEIRS = "convert_to_quant --simple"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--halftone", type=pathlib.Path, required=True, help="the binary")
    parser.add_argument("--family", default="flux")
    parser.add_argument("--layers", type=int, default=3, help="size of the model; 3 of flux are about 4 GB (default)")
    parser.add_argument("--scale", default="full", choices=("tiny", "small", "full"))
    parser.add_argument("--model", type=pathlib.Path, help="a BF16 model to use instead of making one")
    parser.add_argument("--folder", type=pathlib.Path, help="where model and outputs go; default: a temporary folder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--their-rounds", type=int, default=1, help="of convert_to_quant, which takes minutes (default 1)")
    parser.add_argument("--threads", type=int, help="of halftone; default: one for each processor")
    parser.add_argument("--without-convert-to-quant", action="store_true")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures there too")
    return parser.parse_args()


def own_memory(pid):
    """RssAnon in bytes; 0 when the process has gone."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def run(command):
    """Seconds and the peak of RssAnon."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        peak = 0
        while process.poll() is None:
            peak = max(peak, own_memory(process.pid))
            time.sleep(SAMPLE_SECONDS)
        seconds = time.monotonic() - start
        if process.returncode != 0:
            log.seek(0)
            sys.exit(f"{command[0]} failed with {process.returncode}:\n{log.read().decode(errors='replace')[-3000:]}")
    return seconds, peak


def into_page_cache(path):
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 24):
            pass


def write_pipeline(path, scaling):
    # No profile: every matrix is quantized, as convert_to_quant does.
    path.write_text(
        '[model]\nprofile = "none"\n[quantize]\nformat = "fp8"\nembeddings = "fp8"\n'
        f'[format.fp8]\nscaling = "{scaling}"\n'
    )
    return path


def contenders(args, model, folder):
    """name -> command that turns the model into folder/output.safetensors"""
    output = folder / "output.safetensors"
    commands = {}
    for scaling in ("tensor", "row"):
        pipeline = write_pipeline(folder / f"{scaling}.toml", scaling)
        command = [args.halftone, "run", pipeline, "-i", model, "-o", output, "--no-progress", "--quiet"]
        commands[f"halftone, a scale per {scaling}"] = command + (
            ["--threads", str(args.threads)] if args.threads else []
        )
    commands["cp"] = ["cp", "--reflink=never", model, output]
    commands["cp, then sync"] = ["sh", "-c", 'cp --reflink=never "$0" "$1" && sync "$1"', model, output]
    if args.without_convert_to_quant:
        pass
    elif importlib.util.find_spec("convert_to_quant") is None or importlib.util.find_spec("tqdm") is None:
        print("note: convert_to_quant or its tqdm is not installed in this Python; ./dev interop installs them")
    else:
        program = "import sys; from convert_to_quant.convert_to_quant import main; sys.exit(main())"
        options = ["-i", model, "-o", output, "--simple", "--comfy_quant", "--device", "cpu"]
        commands[THEIRS] = [sys.executable, "-c", program, *options]
    return output, commands


def table(results, model_bytes):
    baseline = statistics.median(seconds for seconds, _ in results["cp"])
    rows = []
    for name, runs in results.items():
        if not runs:
            continue
        times = sorted(seconds for seconds, _ in runs)
        median = statistics.median(times)
        rows.append({
            "what": name,
            "median_seconds": round(median, 3),
            "least_seconds": round(times[0], 3),
            "most_seconds": round(times[-1], 3),
            "times_cp": round(median / baseline, 2),
            "gigabytes_per_second": round(model_bytes / median / 1e9, 2),
            "peak_rss_anon_mib": round(max(peak for _, peak in runs) / 2**20, 1),
        })
    return rows


def print_table(rows):
    print(f"{'':<32} {'median':>9} {'least':>9} {'most':>9} {'x cp':>7} {'GB/s':>6} {'RssAnon MiB':>12}")
    for row in rows:
        print(
            f"{row['what']:<32} {row['median_seconds']:>8.2f}s {row['least_seconds']:>8.2f}s {row['most_seconds']:>8.2f}s "
            f"{row['times_cp']:>7.2f} {row['gigabytes_per_second']:>6.2f} {row['peak_rss_anon_mib']:>12.1f}"
        )
    by_name = {row["what"]: row for row in rows}
    theirs = by_name.get(THEIRS)
    for row in rows:
        if theirs and row["what"].startswith("halftone"):
            factor = theirs["median_seconds"] / row["median_seconds"]
            print(f"{row['what']}: {factor:.1f} times faster than convert_to_quant")


def measure(args, folder):
    model = args.model
    if not model:
        model = folder / "model.safetensors"
        print(f"making {args.layers} layers of {args.family}, {args.scale} size", flush=True)
        run([args.halftone, "synth", "--family", args.family, "--layers", str(args.layers), "--scale", args.scale,
             "--dtype", "bf16", "-o", model, "--no-progress"])
    model_bytes = model.stat().st_size
    output, commands = contenders(args, model, folder)
    print(f"{model_bytes / 1e9:.2f} GB, {len(os.sched_getaffinity(0))} processors, {platform.machine()}, "
          f"{args.rounds} rounds", flush=True)
    into_page_cache(model)
    results = {name: [] for name in commands}
    for round_number in range(1, args.rounds + 1):
        for name, command in commands.items():
            if name == THEIRS and round_number > args.their_rounds:
                continue
            output.unlink(missing_ok=True)
            os.sync()
            results[name].append(run(command))
            print(f"  round {round_number}: {name}: {results[name][-1][0]:.2f} s", flush=True)
    rows = table(results, model_bytes)
    print_table(rows)
    if args.json:
        args.json.write_text(json.dumps({"model_bytes": model_bytes, "rounds": args.rounds, "results": rows}, indent=1))


def main():
    args = arguments()
    if not os.access(args.halftone, os.X_OK):
        sys.exit(f"there is no {args.halftone}; ./dev bench builds it")
    args.halftone = args.halftone.resolve()
    if args.model:
        args.model = args.model.resolve()
    if args.folder:
        args.folder.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="halftone-bench-", dir=args.folder))
    try:
        measure(args, folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
