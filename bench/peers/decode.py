#!/usr/bin/env python3
"""Times decoding of picture files in memory to RGB with Pillow or Pillow-SIMD: what bench/decode_bench does.

    decode.py FOLDER [--threads N] [--seconds S]

FOLDER is what `decode_bench --write FOLDER` wrote. N processes work at a time. Prints a line of JSON for each picture.
"""
import argparse
import io
import json
import multiprocessing
import pathlib
import time

import PIL
from PIL import Image, features


def decode(data):
    Image.open(io.BytesIO(data)).convert("RGB").load()


def work(arguments):
    data, seconds = arguments
    decode(data)  # warm-up
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        decode(data)
        count += 1
    return count / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1)
    args = parser.parse_args()
    version = f"{PIL.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}"
    with multiprocessing.Pool(args.threads) as pool:
        for path in sorted(args.folder.iterdir()):
            data = path.read_bytes()
            speed = sum(pool.map(work, [(data, args.seconds)] * args.threads, chunksize=1))
            print(json.dumps({"picture": path.name, "threads": args.threads, "images_per_s": speed,
                              "mb_per_s": speed * len(data) / 1e6, "version": version}), flush=True)


if __name__ == "__main__":
    main()
