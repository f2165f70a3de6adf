#!/usr/bin/env python3
"""Trains each recipe with several seeds on the emoji pairs, evaluates the test pairs, and writes the README's table.

  bench/accuracy.py [--seeds 0,1,2] [RECIPE ...]     trains what is missing in runs/accuracy/, then writes the table
"""
import argparse
import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
RECIPES = ["siamese-contrastive", "siamese-triplet-random", "siamese-triplet-hard", "siamese-nt-xent", "convnet-nt-xent", "emoji-best"]
BEGIN, END = "<!-- accuracy table: bench/accuracy.py -->", "<!-- end -->"


def run(*command):
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT)


def evaluate(recipe, seed, data):
    out = ROOT / "runs" / "accuracy" / f"{recipe}-{seed}"
    report = out / "test.json"
    if not report.exists():
        last = out / "last.safetensors"
        run("build/lookalike", "train", f"models/recipes/{recipe}.toml", "--data", data, "--out", out, "--seed", seed,
            *(["--resume"] if last.exists() else []))
        run("build/lookalike", "evaluate", out / "model.safetensors", "--data", data, "--pairs", f"{data}/test.csv", "--json", report)
    return json.loads(report.read_text()), len((out / "metrics.jsonl").read_text().splitlines())


def percent(value):
    return f"{100 * value:.1f}"


def row(name, reports, detail):
    cells = []
    for k in ("top1", "top2", "top4"):
        estimates = [report[k] for report in reports]
        mean, low, high = (sum(e[key] for e in estimates) / len(estimates) for key in ("value", "low", "high"))
        cells.append(f"{percent(mean)} ({percent(low)}-{percent(high)})")
    return f"| {name} | {' | '.join(cells)} | {detail} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--data", default="datasets/emoji")
    arguments = parser.parse_args()
    seeds = arguments.seeds.split(",")

    rows, baselines = [], None
    for recipe in arguments.recipes:
        results = [evaluate(recipe, seed, arguments.data) for seed in seeds]
        baselines = results[0][0]["baselines"]
        rows.append(row(f"`{recipe}`", [report["model"] for report, _ in results], f"{results[0][1]} epochs"))
    head = [f"| test pairs, {len(seeds)} seeds | top-1 % | top-2 % | top-4 % | training |", "|---|---|---|---|---|"]
    head += [row(name, [baselines[name]], "none") for name in baselines]
    table = "\n".join([BEGIN, *head, *rows, END])

    readme = ROOT / "README.md"
    text = readme.read_text()
    before, rest = text.split(BEGIN)
    readme.write_text(before + table + rest.split(END, 1)[1])
    print(table)


if __name__ == "__main__":
    main()
