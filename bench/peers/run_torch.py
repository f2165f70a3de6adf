#!/usr/bin/env python3
"""The PyTorch twin of a whole run: what `lookalike train` and `lookalike evaluate` do with a recipe, on the same splits and candidates.

    run_torch.py models/recipes/NAME.toml --data DIR [--splits RUN/splits] [--seed N] [--epochs N] [--json FILE]

NAME: autoencoder, siamese-contrastive, siamese-triplet-random or digits. Prints a line for each epoch, then the test figures as JSON.
Runs on PyTorch 1.13 (Debian's python3-torch) and on the newest one; pairs also need Pillow and a built `lookalike`, which draws the candidates.
"""
import argparse
import copy
import csv
import functools
import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import tomllib

import torch
from torch import nn
from torch.nn import functional as F

from train_torch import Autoencoder, SiameseCnn

ROOT = pathlib.Path(__file__).resolve().parents[2]
CANDIDATES, LISTS = 20, 5  # as `lookalike evaluate`
RESAMPLES = 2000


class Digits(nn.Module):
    size, channels = 28, 1

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.MaxPool2d(2),
            nn.Conv2d(64, 128, 3, bias=False), nn.BatchNorm2d(128), nn.AvgPool2d(5), nn.Flatten(),
            nn.Linear(128, 64), nn.BatchNorm1d(64), nn.Linear(64, 2))

    def forward(self, images):
        return self.layers(images)


# A recipe's [model], as far as the twins go.
NETWORKS = {
    "autoencoder": (Autoencoder, {"filters": [32, 32, 32], "decoder": [16, 16, 16], "slope": 0.3}),
    "siamese_cnn": (SiameseCnn, {"filters": [64, 128], "kernels": [5, 3], "embedding": 128}),
    "digits": (Digits, {"embedding": 2}),
}


# The data: images of 8 bits in memory, [n, channels, height, width]. epoch() says which two make each sample, and which samples are
# similar; None: all of them.

class Pairs:
    """A file of pairs, images in left/ and right/."""

    def __init__(self, folder, file, size, channels):
        self.file = file
        with open(file, newline="") as lines:
            rows = list(csv.DictReader(lines))
        self.names = {side: [row[side] for row in rows] for side in ("left", "right")}
        self.left, self.right = (read_images(folder / side, names, size, channels) for side, names in self.names.items())

    def epoch(self, generator):
        order = torch.randperm(len(self.left), generator=generator)
        return order, order, None


class Classes:
    """IDX files, plain or .gz."""

    def __init__(self, folder, part, size, channels):
        self.left = self.right = read_idx(folder, f"{part}-images-idx3-ubyte", 16).reshape(-1, channels, size, size)
        self.labels = read_idx(folder, f"{part}-labels-idx1-ubyte", 8).long()
        self.sorted = self.labels.argsort()
        self.place = self.sorted.argsort()
        self.count = self.labels.bincount()
        self.begin = self.count.cumsum(0) - self.count

    def epoch(self, generator):
        """Each image with a random other one, of its own class or of another with equal chance."""
        n = len(self.labels)
        first = torch.randperm(n, generator=generator)
        count, begin = self.count[self.labels[first]], self.begin[self.labels[first]]
        same = torch.rand(n, generator=generator) < 0.5
        at = torch.rand(n, generator=generator, dtype=torch.float64)
        own = begin + (at * (count - 1)).long()
        own += own >= self.place[first]
        other = (at * (n - count)).long()
        other += (other >= begin) * count
        return first, self.sorted[torch.where(same, own, other)], same


def read_images(folder, names, size, channels):
    """By file name with or without extension; over white, stretched with an antialiased triangle filter."""
    from PIL import Image
    files = {key: path for path in folder.iterdir() for key in (path.stem, path.name)}
    images = []
    for name in names:
        image = Image.open(files[name]).convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if channels == 1 else "RGB").resize((size, size), Image.BILINEAR)
        images.append(torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).reshape(size, size, channels).permute(2, 0, 1))
    return torch.stack(images)


def read_idx(folder, name, header):
    plain = folder / name
    data = plain.read_bytes() if plain.exists() else gzip.decompress((folder / f"{name}.gz").read_bytes())
    return torch.frombuffer(bytearray(data[header:]), dtype=torch.uint8)


def load(recipe, folder, splits):
    """Train, validation and test data."""
    shape = recipe["size"], recipe["channels"]
    if recipe["network"] is Digits:
        train, test = Classes(folder, "train", *shape), Classes(folder, "t10k", *shape)
        return train, test, test
    return [Pairs(folder, splits / f"{part}.csv", *shape) for part in ("train", "val", "test")]


# The losses: of what the network makes of the left and the right images of a batch.

def distance(a, b):
    """With a gradient of zero at zero."""
    squared = (a - b).pow(2).sum(1)
    return torch.where(squared > 0, squared.clamp(min=1e-30).sqrt(), squared)


def contrastive(a, b, margin, similar, generator):
    """Of samples that are all similar, each left one also with the right one that follows it in a random cycle."""
    n = len(a)
    if similar is None:
        cycle = torch.randperm(n, generator=generator)
        if n > 1:
            a, b = torch.cat([a, a[cycle]]), torch.cat([b, b[cycle.roll(1)]])
        similar = torch.arange(len(a)) < n
    d = distance(a, b)
    return torch.where(similar, d**2, F.relu(margin - d) ** 2).mean()


def triplet(a, b, margin, similar, generator):
    """Every image is an anchor; its negative is a random one of another sample."""
    n = len(a)
    if n == 1:
        return a.sum() * 0
    e, anchor = torch.cat([a, b]), torch.arange(2 * n)
    sample = (anchor + torch.randint(1, n, (2 * n,), generator=generator)) % n
    negative = sample + n * torch.randint(2, (2 * n,), generator=generator)
    return F.relu(distance(e, e.roll(n, 0)) - distance(e, e[negative]) + margin).mean()


def reconstruction(a, b, margin, similar, generator):
    return F.binary_cross_entropy_with_logits(b, a)


# A recipe's [loss], as far as these go; the margin is free.
LOSSES = {
    "contrastive": (contrastive, {}),
    "triplet": (triplet, {"negatives": "random", "squared": False}),
    "reconstruction": (reconstruction, {"direction": "right_to_left", "measure": "bce"}),
}


def outputs(model, left, right):
    """What the loss sees."""
    if isinstance(model, Autoencoder):
        return left, model.draw(right)
    if isinstance(model, Digits):
        return model(left), model(right)  # two passes: batch norm keeps its statistics per view
    return model(torch.cat([left, right])).chunk(2)


def losses(recipe, model, data, generator, whole):
    """The loss and the number of samples of each batch of an epoch; the last one only if it is full, or `whole`."""
    loss, margin, size = recipe["loss"], recipe["margin"], recipe["batch_pairs"]
    first, second, similar = data.epoch(generator)
    for begin in range(0, len(first) if whole else len(first) - size + 1, size):
        batch = slice(begin, begin + size)
        a, b = outputs(model, data.left[first[batch]].float() / 255, data.right[second[batch]].float() / 255)
        yield loss(a, b, margin, None if similar is None else similar[batch], generator), len(a)


def train(recipe, model, data, validation, seed):
    """Leaves the model as it was in its best epoch. Returns what each epoch came to."""
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe["rate"])
    generator = torch.Generator().manual_seed(seed)
    epochs, best, state = [], None, None
    for epoch in range(1, recipe["epochs"] + 1):
        start = time.perf_counter()
        model.train()
        total = steps = 0
        for value, _ in losses(recipe, model, data, generator, whole=False):
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            total, steps = total + value.item(), steps + 1
        trained = time.perf_counter()
        model.eval()
        with torch.no_grad():  # the same samples in every epoch
            values = list(losses(recipe, model, validation, torch.Generator().manual_seed(seed), whole=True))
        validation_loss = sum(value.item() * n for value, n in values) / sum(n for _, n in values)
        epochs.append({"epoch": epoch, "loss": total / steps, "validation_loss": validation_loss,
                       "seconds": time.perf_counter() - start, "train_seconds": trained - start})
        print("epoch {epoch}  loss {loss:.4f}  validation loss {validation_loss:.4f}  {seconds:.1f} s".format(**epochs[-1]),
              file=sys.stderr, flush=True)
        if best is None or recipe["monitor"] == "last" or validation_loss < epochs[best]["validation_loss"]:
            best, state = epoch - 1, copy.deepcopy(model.state_dict())
        elif recipe["patience"] and epoch - 1 - best == recipe["patience"]:
            break
    model.load_state_dict(state)
    return epochs, best + 1


def embed(model, images):
    model.eval()
    with torch.no_grad():
        return torch.cat([model(part.float() / 255) for part in images.split(64)])


def estimates(figures):
    """Mean and 95 % bootstrap interval of each, over queries: name -> [queries]."""
    values = torch.stack(list(figures.values()), 1).double()
    n = len(values)
    means = torch.stack([values[torch.randint(n, (n,))].mean(0) for _ in range(RESAMPLES)])
    low, high = means.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64), 0)
    return {name: {"value": values[:, i].mean().item(), "low": low[i].item(), "high": high[i].item(), "n": n}
            for i, name in enumerate(figures)}


@functools.cache
def candidate_lists(file, lookalike):
    """The lists that `lookalike evaluate` draws for a file of pairs: of each its rows, a query and its candidates."""
    lists = []
    for seed in range(LISTS):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder, "candidates.csv")
            subprocess.run([lookalike, "data", "candidates", file, "--count", str(CANDIDATES), "--seed", str(seed), "--out", out],
                           check=True, stdout=subprocess.DEVNULL)
            lists.append(list(csv.reader(out.read_text().splitlines()))[1:])
    return lists


def rank_candidates(left, right, data, lookalike):
    """Top-k of the embeddings of data's pairs in the lists of `lookalike evaluate`, by cosine; of equal scores the earlier one is first."""
    left, right = F.normalize(left), F.normalize(right)
    row = {side: {name: i for i, name in enumerate(names)} for side, names in data.names.items()}
    truth = dict(zip(data.names["left"], data.names["right"]))
    ranks = {name: [] for name in truth}
    for rows in candidate_lists(data.file, lookalike):
        for query, *names in rows:
            scores = right[[row["right"][name] for name in names]] @ left[row["left"][query]]
            order = scores.sort(descending=True, stable=True).indices.tolist()
            ranks[query].append(1 + order.index(names.index(truth[query])))
    ranks = torch.tensor(list(ranks.values())).double()
    return {**{f"top{k}": (ranks <= k).double().mean(1) for k in (1, 2, 4)}, "mrr": (1 / ranks).mean(1)}


def retrieve(model, data):
    """Each image ranks all others by distance (docs/protocols.md, labelled embeddings)."""
    embeddings, n = embed(model, data.left), len(data.labels)
    others = data.count[data.labels] - 1
    place = torch.arange(1, others.max() + 1)
    figures = {name: [] for name in ("precision_at_1", "recall_at_5", "r_precision", "map_at_r")}
    for rows in torch.arange(n).split(500):
        d = torch.cdist(embeddings[rows], embeddings, compute_mode="donot_use_mm_for_euclid_dist")
        d[torch.arange(len(rows)), rows] = float("inf")
        hit = (data.labels[d.topk(len(place), largest=False).indices] == data.labels[rows, None]).double()
        r = others[rows, None]
        within = hit * (place <= r)
        figures["precision_at_1"].append(hit[:, 0])
        figures["recall_at_5"].append(hit[:, :5].amax(1))
        figures["r_precision"].append(within.sum(1) / r[:, 0])
        figures["map_at_r"].append((within * within.cumsum(1) / place).sum(1) / r[:, 0])
    return {name: torch.cat(parts) for name, parts in figures.items()}


def read_recipe(file):
    """What the twins need of it; exits where they would do something else than the recipe says."""
    toml = tomllib.loads(file.read_text())
    model, loss, optimizer, run = ({"name": None, **toml.get(key, {})} for key in ("model", "loss", "optimizer", "train"))
    network, network_options = NETWORKS.get(model.pop("name"), (SiameseCnn, None))
    loss_function, loss_options = LOSSES.get(loss.pop("name"), (None, None))
    shape = {"height": network.size, "width": network.size, "channels": network.channels}
    margin, rate, monitor = loss.pop("margin", None), optimizer.pop("learning_rate", 1e-3), run.pop("monitor", None)
    differences = [key for key, same in {
        "model": model == network_options,
        "input": toml.get("input", {"height": 64, "width": 64, "channels": 3}) == shape,
        "loss": loss == loss_options,
        "sampler": toml.get("sampler", {}) == ({"name": "same_different"} if network is Digits else {}),
        "optimizer": optimizer == {"name": "adam"},
        "train": monitor in ("loss", "last") and run.keys() <= {"name", "batch_pairs", "epochs", "patience"},
    }.items() if not same]
    differences += sorted(toml.keys() - {"model", "input", "loss", "sampler", "optimizer", "train", "split", "evaluate"})
    if differences:
        sys.exit(f"{file}: no twin of its {', '.join(differences)}")
    return {"network": network, "size": network.size, "channels": network.channels, "loss": loss_function, "margin": margin,
            "rate": rate, "monitor": monitor, "patience": 0, **run}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="pairs, or IDX files")
    parser.add_argument("--splits", type=pathlib.Path, help="train.csv, val.csv and test.csv of pairs (default: those of --data)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--lookalike", default=ROOT / "build/lookalike", help="the binary that draws candidates")
    parser.add_argument("--json", type=pathlib.Path, help="also write the result here")
    args = parser.parse_args()

    torch.set_num_threads(len(os.sched_getaffinity(0)))  # its own count can come out as 1 on virtual machines
    torch.manual_seed(args.seed)
    recipe = read_recipe(args.recipe)
    recipe["epochs"] = args.epochs or recipe["epochs"]
    data, validation, test = load(recipe, args.data, args.splits or args.data)
    model = recipe["network"]()
    epochs, best = train(recipe, model, data, validation, args.seed)
    figures = retrieve(model, test) if isinstance(test, Classes) else \
        rank_candidates(embed(model, test.left), embed(model, test.right), test, args.lookalike)
    result = {"recipe": args.recipe.stem, "seed": args.seed, "torch": torch.__version__, "threads": torch.get_num_threads(),
              "best_epoch": best, "epochs": epochs, "test": estimates(figures)}
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["test"]))


if __name__ == "__main__":
    main()
