#!/usr/bin/env python3
"""From what size on an approximate index is the better tool: faiss's flat, IVF and HNSW indexes, one query at a time.

  python bench/peers/approximate.py [--rows 100000,1000000] [--threads 2]

Rows are drawn as embeddings lie: a curved sheet of 32 dimensions in 128, of unit length.
Prints a line of JSON for each index: seconds to build, median milliseconds of a query, share of the true ten nearest found.
"""
import argparse
import json
import time

import faiss
import numpy as np

WIDTH, NEAREST, QUERIES = 128, 10, 500


def draw(rows, seed, basis):
    random = np.random.default_rng(seed)
    latent = random.standard_normal((rows, len(basis)), dtype=np.float32)
    x = np.tanh(latent @ basis) + 0.05 * random.standard_normal((rows, WIDTH), dtype=np.float32)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", default="100000,1000000")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    faiss.omp_set_num_threads(arguments.threads)
    random = np.random.default_rng(0)
    basis = random.standard_normal((32, WIDTH), dtype=np.float32) / 4
    queries = draw(QUERIES, 2, basis)
    for rows in map(int, arguments.rows.split(",")):
        data = draw(rows, 1, basis)
        flat = faiss.IndexFlatIP(WIDTH)
        flat.add(data)
        truth = flat.search(queries, NEAREST)[1]

        def report(name, index, seconds):
            times, found = [], []
            for query in queries:
                begin = time.perf_counter()
                found.append(index.search(query[None], NEAREST)[1][0])
                times.append(time.perf_counter() - begin)
            recall = np.mean([len(set(a) & set(b)) / NEAREST for a, b in zip(found, truth)])
            print(json.dumps({"index": name, "rows": rows, "build_s": round(seconds, 1), "ms": round(1e3 * float(np.median(times)), 3),
                              "recall_at_10": round(float(recall), 4)}), flush=True)

        report("flat", flat, 0)
        del flat
        begin = time.perf_counter()
        lists = int(4 * rows**0.5)
        ivf = faiss.index_factory(WIDTH, f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
        ivf.train(data[: 64 * lists])
        ivf.add(data)
        seconds = time.perf_counter() - begin
        for probes in (8, 32):
            ivf.nprobe = probes
            report(f"IVF{lists}, nprobe {probes}", ivf, seconds)
        del ivf
        begin = time.perf_counter()
        hnsw = faiss.IndexHNSWFlat(WIDTH, 16, faiss.METRIC_INNER_PRODUCT)
        hnsw.hnsw.efConstruction = 100
        hnsw.add(data)
        seconds = time.perf_counter() - begin
        for ef in (32, 128):
            hnsw.hnsw.efSearch = ef
            report(f"HNSW16, efSearch {ef}", hnsw, seconds)


if __name__ == "__main__":
    main()
