#!/usr/bin/env python3
"""Our embedding speed against ONNX Runtime's, OpenVINO's and PyTorch's on this machine, in alternation: EfficientNet-Lite0 and SqueezeNet, random
images in memory. Needs a release build, and the peers in .venv (bench/peers/README.md).

    bench/compare_embedding.py [--models efficientnet_lite0 squeezenet] [--sizes 224 128] [--batches 1 32] [--rounds 3] [--seconds 3] [--json NAME]

Prints the median images/s of each, and ours over the fastest. With --json it also writes bench/results/NAME.json.
"""
import argparse
import json
import os
import statistics
import sys

from compare_peers import ROOT, environment, processor, run_json

PEERS = {"onnxruntime": ["onnxruntime"], "openvino": ["openvino"], "torch": ["torch"], "torch channels-last": ["torch", "--channels-last"],
         "torch compile": ["torch", "--compile"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["efficientnet_lite0", "squeezenet"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[224, 128])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 32])
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--python", default=ROOT / ".venv/bin/python", help="the interpreter that has the peers")
    parser.add_argument("--build", default="build", help="folder of the release build")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of each run")
    parser.add_argument("--json", metavar="NAME", help="also write bench/results/NAME.json")
    args = parser.parse_args()

    results = {"processor": processor(), "threads": len(os.sched_getaffinity(0)), "runs": []}
    for model in args.models:
        for size in args.sizes:
            for batch in args.batches:
                work = ["--model", model, "--size", str(size), "--batch", str(batch), "--seconds", str(args.seconds)]
                commands = {"lookalike": ([ROOT / args.build / "bench/embed_bench", *work], environment(tuned=False))}
                for peer in args.peers:
                    commands[peer] = ([args.python, ROOT / "bench/peers/embed.py", *PEERS[peer], *work], environment(tuned=True))
                speeds, versions = {}, {}
                for number in range(args.rounds):
                    for name, (command, env) in commands.items():
                        print(f"\r\033[K{model} {size} batch {batch}, round {number + 1}: {name}", end="", file=sys.stderr, flush=True)
                        if result := run_json(command, env):
                            speeds.setdefault(name, []).append(result["images_per_s"])
                            versions[name] = result.get("version", "")
                print("\r\033[K", end="", file=sys.stderr)
                median = {name: statistics.median(values) for name, values in speeds.items()}
                others = {name: value for name, value in median.items() if name != "lookalike"}
                line = ", ".join(f"{name} {value:.0f}" for name, value in median.items())
                if others and "lookalike" in median:
                    best = max(others, key=others.get)
                    line += f": {median['lookalike'] / others[best]:.2f} times {best}"
                print(f"{model} {size} batch {batch}: {line}", flush=True)
                results["runs"].append({"model": model, "size": size, "batch": batch, "images_per_s": speeds, "versions": versions})
    if args.json:
        (ROOT / "bench/results" / f"{args.json}.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
