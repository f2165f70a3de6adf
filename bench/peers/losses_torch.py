#!/usr/bin/env python3
"""The fused losses' twins in PyTorch, timed: forward and backward on rows of 128, as bench/loss_bench has them.

    losses_torch.py [NAME...] [--device cuda] [--compile] [--library metric_learning] [--seconds S]

NAME: 'triplet batch_hard ROWS' (a class has two) or 'nt_xent PAIRS', as gpu_bench names its rows. Prints one line of
JSON: milliseconds by name. Rows are normalised numbers. --library metric_learning takes pytorch-metric-learning's
TripletMarginLoss behind its BatchHardMiner, and its SupConLoss: the same loss as NT-Xent's when a class has two
members, but for a sum over all rows of both sides.
"""
import argparse
import json
import os
import statistics
import time

import torch
from torch.nn import functional as F

from train_torch import batch_hard_triplet, nt_xent

D = 128
SIZES = (256, 1024, 4096, 8192)


def make_loss(name, rows, library):
    """The loss of embeddings[rows, D], rows i and rows / 2 + i being partners."""
    hard = name == "triplet batch_hard"
    if library is None:
        if hard:
            return lambda e: batch_hard_triplet(e, margin=0.5)
        return lambda e: nt_xent(*e.chunk(2), temperature=0.1)
    from pytorch_metric_learning import losses, miners
    labels = torch.arange(rows) % (rows // 2)
    if not hard:
        supcon = losses.SupConLoss(temperature=0.1)
        return lambda e: supcon(e, labels)
    loss, miner = losses.TripletMarginLoss(margin=0.5), miners.BatchHardMiner()
    return lambda e: loss(e, labels, miner(e, labels))


def time_loss(name, args):
    wait = torch.cuda.synchronize if args.device == "cuda" else lambda: None
    loss, _, count = name.rpartition(" ")
    count = int(count) * (2 if loss == "nt_xent" else 1)
    rows = F.normalize(torch.randn(count, D, device=args.device)).requires_grad_()
    function = make_loss(loss, count, args.library)
    if args.compile:
        function = torch.compile(function)

    def step():
        rows.grad = None
        function(rows).backward()

    for _ in range(3):
        step()
    times, begin = [], time.perf_counter()
    while time.perf_counter() - begin < args.seconds or len(times) < 3:
        repeats = 10 if args.device == "cuda" else 1  # launches line up behind each other, as in training
        wait()
        start = time.perf_counter()
        for _ in range(repeats):
            step()
        wait()
        times.append((time.perf_counter() - start) / repeats)
    return 1e3 * statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*",
                        default=[f"{loss} {n}" for n in SIZES for loss in ("triplet batch_hard", "nt_xent")])
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--compile", action="store_true", help="torch.compile (PyTorch 2)")
    parser.add_argument("--library", choices=["metric_learning"], help="on the CPU")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each loss and size")
    args = parser.parse_args()

    torch.manual_seed(0)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    times = {name: time_loss(name, args) for name in args.names}
    print(json.dumps({"torch": torch.__version__, "compile": args.compile, "milliseconds": times}))


if __name__ == "__main__":
    main()
