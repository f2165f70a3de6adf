#!/usr/bin/env python3
"""Trains each recipe with several seeds on the emoji pairs, evaluates the test pairs, and writes the README's table.

  bench/accuracy.py [--seeds 0,1,2] [SYSTEM ...]     trains what is missing in runs/accuracy/, then writes the table

A system is a recipe, or a network with ImageNet weights as imported; "RECIPE from OTHER" starts with the weights that the system OTHER has, or
ended with, of the same seed. The networks with ImageNet weights want those (tools/get_weights.sh), and but for barlow-triplet-lite0 the pairs drawn at
96 pixels in datasets/emoji96, split as datasets/emoji.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
RUNS = ROOT / "runs" / "accuracy"
LOOKALIKE = os.environ.get("LOOKALIKE", "build/lookalike")
SYSTEMS = ["autoencoder", "siamese-from-encoder", "siamese-from-encoder from autoencoder", "siamese-contrastive", "siamese-triplet-random",
           "siamese-triplet-flip", "siamese-triplet-dense", "siamese-triplet-hard", "siamese-nt-xent", "barlow-pretrain", "barlow-triplet",
           "barlow-triplet from barlow-pretrain", "barlow-pretrain-lite0", "barlow-triplet-lite0", "barlow-triplet-lite0 from barlow-pretrain-lite0",
           "barlow-triplet-lite0 from efficientnet_lite0", "pair-classifier", "learned-distance from siamese-triplet-random", "convnet-nt-xent",
           "emoji-best", "emoji-frozen", "emoji-finetune from emoji-frozen", "emoji-finetune-all from emoji-finetune from emoji-frozen"]
# Networks with ImageNet weights: the side of their pictures (the same emoji, drawn at that size), with and without training.
PRETRAINED_SIZE = 96
PRETRAINED = {"emoji-frozen": ["--cache-features"], "emoji-finetune": [], "emoji-finetune-all": []}
UNTRAINED = ["efficientnet_lite0", "squeezenet"]
# These split the pairs in their own way, so their baselines are those of other pairs.
OWN_SPLIT = ("autoencoder", "siamese-from-encoder")
# Ranked among all test pairs too: how pre-training shifts the ranks, without labels or on ImageNet.
RANKED = [system for system in SYSTEMS if system.startswith("barlow") or system.split()[0] in PRETRAINED]
RANKS = ((1, 1), (2, 5), (6, 25), (26, None))
BEGIN, END = "<!-- accuracy table: bench/accuracy.py -->", "<!-- end -->"


def run(*command):
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT)


def drawn_for(recipe, data):
    """The folder with the pictures at the size that the recipe takes."""
    return f"{data}{PRETRAINED_SIZE}" if recipe in PRETRAINED or recipe in UNTRAINED else data


def weights_of(system, seed, data):
    return f"weights/{system}.safetensors" if system in UNTRAINED else train(system, seed, data) / "model.safetensors"


def train(system, seed, data):
    recipe, _, start = system.partition(" from ")
    out = RUNS / f"{system.replace(' ', '-')}-{seed}"
    if not (out / "done").exists():
        before = ["--start", weights_of(start, seed, data)] if start else []
        resume = ["--resume"] if (out / "last.safetensors").exists() else []
        run(LOOKALIKE, "train", f"models/recipes/{recipe}.toml", "--data", drawn_for(recipe, data), "--out", out, "--seed", seed,
            *before, *resume, *PRETRAINED.get(recipe, []))
        (out / "done").touch()
    return out


def evaluate(system, seed, data, name, *options):
    """What `lookalike evaluate` says of the test pairs with these options, kept in the run folder under this name."""
    out = train(system, seed, data)
    report = out / name
    if not report.exists():
        pictures = drawn_for(system.partition(" ")[0], data)
        run(LOOKALIKE, "evaluate", out / "model.safetensors", "--data", pictures, "--pairs", out / "splits" / "test.csv", *options, "--json", report)
    return json.loads(report.read_text())


def untrained(network, data):
    """Rows of a network with nothing but its ImageNet weights, with and without the mean embedding of the training pictures subtracted."""
    data = drawn_for(network, data)
    RUNS.mkdir(parents=True, exist_ok=True)
    for label, name, options in (("as imported", "cosine", []), ("minus training mean", "centred", ["--center", f"{data}/train.csv"])):
        report = RUNS / f"{network}-{name}.json"
        if not report.exists():
            run(LOOKALIKE, "evaluate", f"weights/{network}.safetensors", "--data", data, "--pairs", f"{data}/test.csv", *options, "--json", report)
        yield row(f"`{network}`, {label}", [json.loads(report.read_text())["model"]], "", "")


def epochs_of(system, seed, data):
    """The lines of its training."""
    return [json.loads(line) for line in (train(system, seed, data) / "metrics.jsonl").read_text().splitlines()]


def rank(system, seed, data):
    """The report of the model with all right pictures of the test pairs as candidates."""
    count = len((train(system, seed, data) / "splits" / "test.csv").read_text().splitlines()) - 1
    return evaluate(system, seed, data, "ranks.json", "--count", count, "--lists", 1, "--top", "1,2,4,25")["model"]


def percent(value):
    return f"{100 * value:.1f}"


def row(name, reports, *detail, ks=("top1", "top2", "top4")):
    cells = []
    for k in ks:
        estimates = [report[k] for report in reports]
        mean, low, high = (sum(e[key] for e in estimates) / len(estimates) for key in ("value", "low", "high"))
        cells.append(f"{percent(mean)} ({percent(low)}-{percent(high)})")
    return f"| {' | '.join([name, *cells, *detail])} |"


def rank_table(systems, seeds, data):
    """Top-25 recall, and the share of test pairs whose partner comes at which ranks."""
    labels = [f"rank {first}" if first == last else f"{first}-{last}" if last else f"{first} and later" for first, last in RANKS]
    table = [f"| all test pairs are candidates, {len(seeds)} seeds | top-25 % | {' | '.join(f'{label} %' for label in labels)} |",
             "|---" * (2 + len(labels)) + "|"]
    for system in systems:
        reports = [rank(system, seed, data) for seed in seeds]
        frequency = [statistics.mean(sum(report["rank_frequency"][first - 1:last]) for report in reports) for first, last in RANKS]
        table.append(row(title(system), reports, *map(percent, frequency), ks=["top25"]))
    return table


def title(system):
    return " from ".join(f"`{recipe}`" for recipe in system.split(" from "))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="*", default=UNTRAINED + SYSTEMS)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--data", default="datasets/emoji")
    arguments = parser.parse_args()
    seeds = arguments.seeds.split(",")

    rows, baselines = [], None
    for system in arguments.systems:
        if system in UNTRAINED:
            rows += untrained(system, arguments.data)
            continue
        reports = [evaluate(system, seed, arguments.data, "test.json") for seed in seeds]
        if system.split()[0] not in OWN_SPLIT:
            baselines = baselines or reports[0]["baselines"]
        runs = [epochs_of(system, seed, arguments.data) for seed in seeds]
        epochs = "/".join(str(count) for count in sorted({len(lines) for lines in runs}))
        seconds = statistics.median(line["seconds"] for lines in runs for line in lines)
        rows.append(row(title(system), [report["model"] for report in reports], epochs, f"{seconds:.1f}"))
    table = [f"| test pairs, {len(seeds)} seeds | top-1 % | top-2 % | top-4 % | epochs | s/epoch |", "|---|---|---|---|---|---|"]
    table += [row(name, [report], "", "") for name, report in (baselines or {}).items()] + rows
    if ranked := [system for system in RANKED if system in arguments.systems]:
        table += ["", *rank_table(ranked, seeds, arguments.data)]
    print("\n".join(table))

    readme = ROOT / "README.md"
    before, rest = readme.read_text().split(BEGIN)
    readme.write_text(before + "\n".join([BEGIN, *table, END]) + rest.split(END, 1)[1])


if __name__ == "__main__":
    main()
