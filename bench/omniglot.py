#!/usr/bin/env python3
"""Leaves each alphabet of an Omniglot set out in turn: trains each recipe on the others and asks 20-way one-shot questions within the one left out.

  bench/omniglot.py [--sets small1,small2] [--seeds 0,1,2] [--json FILE] [RECIPE ...]
      trains what is missing in runs/omniglot/, then prints the error of each alphabet and the rows of the README's table
"""
import argparse
import json
import os
import pathlib
import subprocess
from statistics import mean

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOOKALIKE = os.environ.get("LOOKALIKE", "build/lookalike")
RECIPES = ["omniglot-contrastive", "omniglot-triplet", "omniglot-nt-xent"]


def run(*command):
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT)


def evaluate(recipe, seed, data, alphabet):
    """The report of one alphabet, which training did not see."""
    out = ROOT / "runs" / "omniglot" / f"{data.name}-{alphabet}-{recipe}-{seed}"
    report = out / "test.json"
    if not report.exists():
        resume = ["--resume"] if (out / "last.safetensors").exists() else []
        run(LOOKALIKE, "train", f"models/recipes/{recipe}.toml", "--data", data, "--out", out, "--seed", seed,
            "--set", f'split.held_out=["{alphabet}"]', *resume)
        run(LOOKALIKE, "evaluate", out / "model.safetensors", "--data", data, "--groups", alphabet, "--ways", 20, "--runs", 20,
            "--json", report)
    return json.loads(report.read_text())["one_shot"]


def error(one_shot):
    return 100 * (1 - one_shot["top1"]["value"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    parser.add_argument("--sets", default="small1")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--data", type=pathlib.Path, default="datasets/omniglot", help="folder of the sets")
    parser.add_argument("--json", type=pathlib.Path, help="also write the results here")
    arguments = parser.parse_args()
    seeds = arguments.seeds.split(",")

    results, rows = {}, []
    for name in arguments.sets.split(","):
        data = arguments.data / name
        alphabets = sorted(folder.name for folder in (ROOT / data).iterdir() if folder.is_dir())
        results[name] = {}
        for recipe in arguments.recipes:
            reports = {seed: {alphabet: evaluate(recipe, seed, data, alphabet) for alphabet in alphabets} for seed in seeds}
            errors = {seed: {alphabet: error(report["model"]) for alphabet, report in reports[seed].items()} for seed in seeds}
            by_seed = [mean(errors[seed].values()) for seed in seeds]
            pixels = {alphabet: error(report["baselines"]["raw pixels"]) for alphabet, report in reports[seeds[0]].items()}
            results[name]["raw pixels"] = {"mean": mean(pixels.values()), "errors": pixels}
            results[name][recipe] = {"mean": mean(by_seed), "errors": errors}
            each = ", ".join(f"{a} {mean(errors[seed][a] for seed in seeds):.1f}" for a in alphabets)
            print(f"{name} {recipe}: {each}; seeds {', '.join(f'{e:.1f}' for e in by_seed)}", flush=True)
            rows.append(f"| `{recipe}` | {name} | {mean(by_seed):.1f} ({min(by_seed):.1f}-{max(by_seed):.1f}) |")
        rows.append(f"| raw pixels | {name} | {results[name]['raw pixels']['mean']:.1f} |")
    print("\n".join([f"| 20-way one-shot, each alphabet left out | set | error %, {len(seeds)} seeds (range) |", "|---|---|---|", *rows]))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
