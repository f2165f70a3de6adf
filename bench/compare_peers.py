#!/usr/bin/env python3
"""Our training step against PyTorch's, on this machine, in alternation. Needs a release build; peers that aren't
installed are skipped (bench/peers/README.md tells how to get them).

    bench/compare_peers.py [--models siamese_cnn convnet_bn autoencoder resnet50] [--rounds 3] [--seconds 5] [--json NAME]

The first round runs ours and every variant of each peer; the rounds after it ours and the fastest variant of each
peer with default and with tuned settings. Prints the median and the best images/s of each, and ours over the fastest
peer. The share of peak is the arithmetic done a second over the peak that bench/peak measures. With --json it also
writes bench/results/NAME.json.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
OURS = "lookalike"


def resnet50_layers():
    layers, size, inputs = [112 * 112 * 64 * 49 * 3], 56, 64
    for width, blocks, stride in (64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2):
        for block in range(blocks):
            out = size // (stride if block == 0 else 1)
            layers += [size**2 * inputs * width, out**2 * 9 * width**2, out**2 * width * 4 * width]
            layers += [out**2 * inputs * 4 * width] if block == 0 else []
            size, inputs = out, 4 * width
    return layers


# Multiply-adds of one image's forward pass, layer by layer; the first layer has no gradient for its input.
LAYERS = {
    "siamese_cnn": [64 * 64 * 64 * 25 * 3, 32 * 32 * 128 * 9 * 64, 128 * 16 * 16 * 128],
    "convnet_bn": [64 * 64 * 32 * 9 * 3, 64 * 64 * 32 * 9 * 32,
                   32 * 32 * 64 * 9 * 32, 32 * 32 * 64 * 9 * 64,
                   16 * 16 * 128 * 9 * 64, 16 * 16 * 128 * 9 * 128,
                   8 * 8 * 128 * 9 * 128, 128 * 128],
    # A transposed convolution: each of its input's pixels meets every weight.
    "autoencoder": [128 * 128 * 32 * 9, 64 * 64 * 32 * 9 * 32, 32 * 32 * 32 * 9 * 32,
                    16 * 16 * 32 * 9 * 16, 32 * 32 * 16 * 9 * 16, 64 * 64 * 16 * 9 * 16, 128 * 128 * 9 * 16],
    "resnet50": resnet50_layers(),
}

VARIANTS = {1: ["", "--channels-last"],
            2: ["", "--channels-last", "--channels-last --fused", "--compile --fused",
                "--channels-last --compile --fused"]}


def gflop_per_image(model):
    layers = LAYERS[model]
    return 2e-9 * (3 * sum(layers) - layers[0])


def environment(tuned):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OPENBLAS_", "OMP_", "GLIBC_TUNABLES"))}
    if tuned:
        env["GLIBC_TUNABLES"] = ("glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4294967296:"
                                 "glibc.malloc.trim_threshold=8589934592:glibc.malloc.top_pad=268435456")
        if "avx512f" in pathlib.Path("/proc/cpuinfo").read_text():
            env["OPENBLAS_CORETYPE"] = "SkylakeX"  # OpenBLAS 0.3.21 takes newer processors for old ones
    return env


def run_json(command, env=None):
    """The last line of the command's output as JSON, or None with one line on stderr that says what failed."""
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
        return json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.TimeoutExpired, IndexError, json.JSONDecodeError) as error:
        print(f"\r\033[Kfailed: {' '.join(map(str, command))}: {type(error).__name__}", file=sys.stderr)
        return None


def torch_version(python):
    code = "import torch; print(torch.__version__)"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None


def contenders(model, pythons, seconds):
    """What runs: name -> (command, environment, group). Of each group, the fastest goes on after the first round."""
    timing = ["--seconds", str(seconds)]
    entries = {OURS: ([ROOT / "build/bench/train_bench", "--model", model, *timing], environment(tuned=False), OURS)}
    for python in pythons:
        version = torch_version(python)
        if version is None:
            print(f"skipped: {python} has no PyTorch")
            continue
        peer = "PyTorch " + ".".join(version.split(".")[:2])
        for flags in VARIANTS[min(2, int(version.split(".")[0]))]:
            for tuned in (False, True):
                setting = "tuned" if tuned else "default"
                name = " ".join([peer, setting, *(flag.strip("-") for flag in flags.split())])
                command = [python, ROOT / "bench/peers/train_torch.py", model, *flags.split(), *timing]
                entries[name] = (command, environment(tuned), f"{peer} {setting}")
    return entries


def measure(entries, rounds):
    """images/s of each run: name -> list."""
    speeds = {}
    running = list(entries)
    for number in range(rounds):
        for name in running:
            command, env, _ = entries[name]
            print(f"\r\033[Kround {number + 1} of {rounds}: {name}", end="", file=sys.stderr, flush=True)
            if result := run_json(command, env):
                speeds.setdefault(name, []).append(result["images_per_s"])
        groups = {}
        for name in speeds:
            groups.setdefault(entries[name][2], []).append(name)
        running = [max(names, key=lambda name: max(speeds[name])) for names in groups.values()]
    print("\r\033[K", end="", file=sys.stderr)
    return speeds


def report(model, speeds, peak):
    gflop = gflop_per_image(model)
    print(f"\n{model}: {gflop:.3f} GFLOP an image, peak {peak:.0f} GFLOP/s, so at most {peak / gflop:.0f} images/s")
    print(f"{'':58} images/s    best   runs  of peak")
    median = {name: statistics.median(values) for name, values in speeds.items()}
    for name in sorted(median, key=median.get, reverse=True):
        print(f"  {name:55} {median[name]:9.1f} {max(speeds[name]):7.1f} {len(speeds[name]):6}"
              f" {median[name] * gflop / peak:7.0%}")
    ratios = {}
    for setting in ("default", "tuned"):
        peers = {name: value for name, value in median.items() if f" {setting}" in name}
        if OURS in median and peers:
            best = max(peers, key=peers.get)
            ratios[setting] = median[OURS] / peers[best]
            print(f"  ours is {ratios[setting]:.2f} times {best}")
    return {"gflop_per_image": gflop, "peak_gflops": peak, "images_per_s": speeds, "ratio_to_best_peer": ratios}


def measure_peak():
    return (run_json([ROOT / "build/bench/peak"]) or sys.exit("build first: cmake --build build"))["peak_gflops"]


def processor():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=LAYERS, default=list(LAYERS))
    parser.add_argument("--python", nargs="+", default=["/usr/bin/python3", ROOT / ".venv/bin/python"],
                        help="the interpreters whose PyTorch is a peer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="of each run")
    parser.add_argument("--json", metavar="NAME", help="also write bench/results/NAME.json")
    args = parser.parse_args()

    results = {"processor": processor(), "threads": len(os.sched_getaffinity(0)), "models": {}}
    for model in args.models:
        peaks = [measure_peak()]
        speeds = measure(contenders(model, args.python, args.seconds), args.rounds)
        peaks.append(measure_peak())
        results["models"][model] = report(model, speeds, max(peaks))
    if args.json:
        path = ROOT / "bench/results" / f"{args.json}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
