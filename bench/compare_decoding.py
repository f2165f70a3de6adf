#!/usr/bin/env python3
"""Our speed of decoding images against stb_image's (which decoded JPEG before) and Pillow's on this machine, in alternation: pictures made up
by bench/decode_bench, in memory, one core and all. Needs a release build, and interpreters that have Pillow or Pillow-SIMD.

    bench/compare_decoding.py [--python NAME=PATH ...] [--rounds 5] [--seconds 1] [--json NAME]

Prints the median images/s of each. With --json it also writes bench/results/NAME.json.
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile

from compare_peers import ROOT, processor


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="+", default=[f"pillow={ROOT}/.venv/bin/python"], help="NAME=PATH of interpreters with a Pillow")
    parser.add_argument("--build", default="build", help="folder of the release build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1, help="of each picture in each round")
    parser.add_argument("--json", metavar="NAME", help="also write bench/results/NAME.json")
    args = parser.parse_args()

    bench, cores = ROOT / args.build / "bench/decode_bench", len(os.sched_getaffinity(0))
    runs = {}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([bench, "--write", folder], check=True)
        commands = {"lookalike": [bench], "stb_image": [bench, "--stb"]}
        for peer in args.python:
            name, python = peer.split("=", 1)
            commands[name] = [python, ROOT / "bench/peers/decode.py", folder]
        for _ in range(args.rounds):
            for threads in sorted({1, cores}):
                for name, command in commands.items():
                    options = ["--threads", str(threads), "--seconds", str(args.seconds)]
                    output = subprocess.run([*command, *options], check=True, capture_output=True, text=True).stdout
                    for result in map(json.loads, output.splitlines()):
                        run = runs.setdefault((result["picture"], threads), {"images_per_s": {}, "mb_per_s": {}, "versions": {}})
                        run["images_per_s"].setdefault(name, []).append(round(result["images_per_s"], 2))
                        run["mb_per_s"].setdefault(name, []).append(round(result["mb_per_s"], 2))
                        run["versions"][name] = result.get("version", "")
    for (picture, threads), run in sorted(runs.items()):
        line = ", ".join(f"{name} {statistics.median(values):.1f}" for name, values in run["images_per_s"].items())
        print(f"{picture}, {threads} at a time: {line}")
    if args.json:
        results = {"processor": processor(), "threads": cores, "runs": [{"picture": p, "threads": t, **run} for (p, t), run in sorted(runs.items())]}
        (ROOT / "bench/results" / f"{args.json}.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
