#!/usr/bin/env python3
"""Leaves each alphabet of an Omniglot set out in turn: trains each recipe on the others and asks 20-way one-shot questions within the one left out.

  bench/omniglot.py [--sets small1,small2] [--seeds 0,1,2] [--json FILE] [RECIPE ...]
      trains what is missing in runs/omniglot/, then prints the rows of the README's table
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


def errors_of(reports, who):
    """The error in percent of each alphabet, with its 95 % interval."""
    result = {}
    for alphabet, report in reports.items():
        top1 = (report["model"] if who == "model" else report["baselines"][who])["top1"]
        result[alphabet] = {key: round(100 * (1 - top1[of]), 2) for key, of in (("error", "value"), ("low", "high"), ("high", "low"))}
    return result


def row(recipe, name, by_seed, alphabets):
    """One of the README's: mean, mean interval of an alphabet, the seeds, the alphabets."""
    every = [errors[a] for errors in by_seed for a in alphabets]
    error, low, high = (mean(e[key] for e in every) for key in ("error", "low", "high"))
    seeds = " / ".join(f"{mean(e['error'] for e in errors.values()):.1f}" for errors in by_seed) if len(by_seed) > 1 else ""
    each = " / ".join(f"{mean(errors[a]['error'] for errors in by_seed):.1f}" for a in alphabets)
    return f"| {recipe} | {name} | {error:.1f} ({low:.1f}-{high:.1f}) | {seeds} | {each} |"


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
            errors = {seed: errors_of(reports[seed], "model") for seed in seeds}
            results[name]["raw pixels"] = errors_of(reports[seeds[0]], "raw pixels")
            results[name][recipe] = errors
            rows.append(row(f"`{recipe}`", name, list(errors.values()), alphabets))
        rows.append(row("raw pixels", name, [results[name]["raw pixels"]], alphabets))
    print("\n".join(["| recipe | set | errors, mean (95 % of one alphabet) | seeds | alphabets |", "|---|---|---|---|---|", *rows]))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
