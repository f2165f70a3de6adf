#!/usr/bin/env python3
"""The fused losses' twins in PyTorch, timed: forward and backward of batch-hard triplets and NT-Xent on n rows of 128.

    losses_torch.py [--device cuda] [--compile] [--sizes 256,1024,4096,8192] [--seconds S]

Prints one line of JSON: milliseconds by name, named as gpu_bench names its rows. Rows are normalised numbers; a class has two
rows in batch-hard, n pairs make 2n rows in NT-Xent.
"""
import argparse
import json
import statistics
import time

import torch
from torch.nn import functional as F

from train_torch import batch_hard_triplet, nt_xent

D = 128


def batch_hard(rows):
    return batch_hard_triplet(rows, margin=0.5)


def nt_xent_rows(rows):
    return nt_xent(*rows.chunk(2), temperature=0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--compile", action="store_true", help="torch.compile (PyTorch 2)")
    parser.add_argument("--sizes", type=lambda text: [int(n) for n in text.split(",")], default=[256, 1024, 4096, 8192])
    parser.add_argument("--seconds", type=float, default=0.5, help="for each loss and size")
    args = parser.parse_args()

    torch.manual_seed(0)
    wait = torch.cuda.synchronize if args.device == "cuda" else lambda: None
    results = {}
    for n in args.sizes:
        for name, loss_of, count in (("triplet batch_hard", batch_hard, n), ("nt_xent", nt_xent_rows, 2 * n)):
            rows = F.normalize(torch.randn(count, D, device=args.device)).requires_grad_()
            function = torch.compile(loss_of) if args.compile else loss_of

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
            results[f"{name} {n}"] = 1e3 * statistics.median(times)
    print(json.dumps({"torch": torch.__version__, "compile": args.compile, "milliseconds": results}))


if __name__ == "__main__":
    main()
