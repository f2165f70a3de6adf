#!/usr/bin/env python3
"""Times the exact search of random unit rows, as bench/search_bench does, in faiss or PyTorch.

    search.py RUNTIME [--rows N] [--width D] [--queries N...] [--k K] [--seconds S]

RUNTIME: faiss (IndexFlatIP) or torch (a product and topk). Prints one line of JSON for each number of queries.
"""
import argparse
import json
import os
import statistics
import time

import numpy as np

THREADS = len(os.sched_getaffinity(0))


def make_faiss(database, k):
    import faiss
    faiss.omp_set_num_threads(THREADS)
    index = faiss.IndexFlatIP(database.shape[1])
    index.add(database)
    return lambda queries: index.search(queries, k), faiss.__version__


def make_torch(database, k):
    import torch
    torch.set_num_threads(THREADS)
    columns = torch.from_numpy(database).T

    def search(queries):
        with torch.inference_mode():
            return (torch.from_numpy(queries) @ columns).topk(k)

    return search, torch.__version__


def unit_rows(count, width, seed):
    rows = np.random.default_rng(seed).uniform(-1, 1, (count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runtime", choices=["faiss", "torch"])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--queries", type=int, nargs="+", default=[1])
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=5, help="for each number of queries")
    args = parser.parse_args()
    make = {"faiss": make_faiss, "torch": make_torch}[args.runtime]
    search, version = make(unit_rows(args.rows, args.width, 1), args.k)
    for count in args.queries:
        queries = unit_rows(count, args.width, 2)
        search(queries)  # warm-up
        times, start = [], time.perf_counter()
        while len(times) < 3 or time.perf_counter() - start < args.seconds:
            begin = time.perf_counter()
            search(queries)
            times.append(time.perf_counter() - begin)
        print(json.dumps({"runtime": args.runtime, "version": version, "queries": count,
                          "ms": 1e3 * statistics.median(times), "best_ms": 1e3 * min(times), "threads": THREADS}))


if __name__ == "__main__":
    main()
