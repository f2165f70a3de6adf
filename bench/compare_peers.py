#!/usr/bin/env python3
"""Our training, embedding, search and losses against what else does the same work, on this machine, in alternation.

    bench/compare_peers.py [--only TEXT...] [--quick] [--rounds 3] [--seconds 5] [--json NAME]

Needs a release build; peers that aren't installed are skipped (bench/peers/README.md tells how to get them). The
first round runs ours and every variant of each peer; the rounds after it ours and the fastest variant of each peer
with default and with tuned settings. Prints the median and the best of each, and ours to the best peer of those that
went all rounds. The share of
peak is the arithmetic of a dense step done a second over the peak that bench/peak measures.

--quick takes under ten minutes on two cores: the newest PyTorch alone, tuned settings, two rounds of 1.5 seconds, and
of training no torch.compile, which takes minutes and has not been the fastest variant on any CPU so far. --only
measures those works whose name contains one of the texts. README.md's table is written when all works were measured,
each beside a peer; with --json also bench/results/NAME.json.
"""
import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
OURS = "lookalike"
BEGIN, END = "<!-- peers table: bench/compare_peers.py -->", "<!-- end -->"


def resnet50_layers():
    layers, size, inputs = [112 * 112 * 64 * 49 * 3], 56, 64
    for width, blocks, stride in (64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2):
        for block in range(blocks):
            out = size // (stride if block == 0 else 1)
            layers += [size**2 * inputs * width, out**2 * 9 * width**2, out**2 * width * 4 * width]
            layers += [out**2 * inputs * 4 * width] if block == 0 else []
            size, inputs = out, 4 * width
    return layers


# Multiply-adds of one image's forward pass, layer by layer; the first layer has no gradient for its input.
LAYERS = {
    "siamese_cnn": [64 * 64 * 64 * 25 * 3, 32 * 32 * 128 * 9 * 64, 128 * 16 * 16 * 128],
    "convnet_bn": [64 * 64 * 32 * 9 * 3, 64 * 64 * 32 * 9 * 32,
                   32 * 32 * 64 * 9 * 32, 32 * 32 * 64 * 9 * 64,
                   16 * 16 * 128 * 9 * 64, 16 * 16 * 128 * 9 * 128,
                   8 * 8 * 128 * 9 * 128, 128 * 128],
    # A transposed convolution: each of its input's pixels meets every weight.
    "autoencoder": [128 * 128 * 32 * 9, 64 * 64 * 32 * 9 * 32, 32 * 32 * 32 * 9 * 32,
                    16 * 16 * 32 * 9 * 16, 32 * 32 * 16 * 9 * 16, 64 * 64 * 16 * 9 * 16, 128 * 128 * 9 * 16],
    "resnet50": resnet50_layers(),
}
TRAINING = {"siamese_cnn": "`siamese_cnn`, triplet batch-hard, 32 pairs of 64x64, Adam",
            "convnet_bn": "`convnet_bn`, NT-Xent, 64 pairs of 64x64, AdamW",
            "autoencoder": "`autoencoder`, 32 grey pictures of 128x128, Adam",
            "resnet50": "`resnet50`, triplet batch-hard, 8 pairs of 224x224, SGD"}
NETWORKS = {"efficientnet_lite0": "EfficientNet-Lite0", "squeezenet": "SqueezeNet 1.1"}
LOSSES = {"triplet batch_hard 4096": "batch-hard triplets of 4,096 rows of 128, forward and backward",
          "nt_xent 2048": "NT-Xent of 2,048 pairs of rows of 128, forward and backward"}
QUERIES = (1, 16, 256)

VARIANTS = {1: ["", "--channels-last"],
            2: ["", "--channels-last", "--channels-last --fused", "--compile --fused",
                "--channels-last --compile --fused"]}


@dataclasses.dataclass
class Contender:
    command: list
    env: dict
    group: str  # after the first round the fastest of a group goes on


@dataclasses.dataclass
class Work:
    name: str
    rows: dict  # the titles, by the key that `read` finds in a line of JSON
    unit: str  # images/s or ms
    read: object  # a line of JSON -> {key: value}
    contenders: dict
    gflop: float = 0  # of an image

    def better(self, values):
        return (max if self.unit == "images/s" else min)(values)

    def ratio(self, ours, peer):
        return ours / peer if self.unit == "images/s" else peer / ours


def gflop_per_image(model):
    layers = LAYERS[model]
    return 2e-9 * (3 * sum(layers) - layers[0])


def environment(tuned):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OPENBLAS_", "OMP_", "GLIBC_TUNABLES"))}
    if tuned:
        env["GLIBC_TUNABLES"] = ("glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4294967296:"
                                 "glibc.malloc.trim_threshold=8589934592:glibc.malloc.top_pad=268435456")
        if "avx512f" in pathlib.Path("/proc/cpuinfo").read_text():
            env["OPENBLAS_CORETYPE"] = "SkylakeX"  # OpenBLAS 0.3.21 takes newer processors for old ones
    return env


def run_json(command, env=None):
    """The output's lines of JSON; none, and one line on stderr that says what failed."""
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    except (OSError, subprocess.TimeoutExpired, json.JSONDecodeError) as error:
        lines, done = [], error
    if not lines or done.returncode != 0:
        why = done if isinstance(done, Exception) else (done.stderr.strip().splitlines() or ["no output"])[-1]
        print(f"\r\033[Kfailed: {' '.join(map(str, command))}: {why}", file=sys.stderr)
    return lines


def versions_of(python, packages):
    """The installed ones of these packages: name -> version."""
    code = ("import importlib.metadata as m, json, sys\nfound = {}\nfor name in sys.argv[1:]:\n"
            "  try: found[name] = '.'.join(m.version(name).split('+')[0].split('.')[:2])\n"
            "  except m.PackageNotFoundError: pass\nprint(json.dumps(found))")
    try:
        done = subprocess.run([python, "-c", code, *packages], capture_output=True, text=True)
        return json.loads(done.stdout)
    except (OSError, json.JSONDecodeError):
        return {}


class Bench:
    """What there is to run: our binaries of a build, and the peers of the interpreters."""

    def __init__(self, args):
        self.build = ROOT / args.build / "bench"
        self.seconds = args.seconds
        self.quick = args.quick
        self.settings = (True,) if args.quick else (False, True)
        packages = ["torch", "torchvision", "onnxruntime", "openvino", "faiss-cpu", "pytorch-metric-learning", "onnx"]
        self.pythons = {python: versions_of(python, packages) for python in args.python}
        for python, found in self.pythons.items():
            if not found:
                print(f"skipped: {python} has no peer")

    def ours(self, program, *arguments):
        command = [self.build / program, *arguments, "--seconds", str(self.seconds)]
        return {OURS: Contender(list(map(str, command)), environment(tuned=False), OURS)}

    def peers(self, script, package, title, variants=("",), arguments=()):
        """Every variant in every setting, in each interpreter that has the package."""
        found = {}
        for python, packages in self.pythons.items():
            if package not in packages:
                continue
            peer = f"{title} {packages[package]}"
            for flags in variants(packages[package]) if callable(variants) else variants:
                for tuned in self.settings:
                    setting = "tuned" if tuned else "default"
                    name = " ".join([peer, setting, *(flag.strip("-") for flag in flags.split())])
                    command = [python, ROOT / "bench/peers" / script, *arguments, *flags.split(), "--seconds", self.seconds]
                    found[name] = Contender(list(map(str, command)), environment(tuned), f"{peer} {setting}")
        return found

    def variants(self, version):
        variants = VARIANTS[min(2, int(version.split(".")[0]))]
        return [flags for flags in variants if not self.quick or "--compile" not in flags]

    @staticmethod
    def compiling(*plain):
        """These variants, and torch.compile where there is one."""
        return lambda version: [*plain, *(["--compile"] if int(version.split(".")[0]) > 1 else [])]

    def works(self):
        for model, title in TRAINING.items():
            yield Work(f"train {model}", {model: f"train {title}"}, "images/s", by("model", "images_per_s"),
                       self.ours("train_bench", "--model", model)
                       | self.peers("train_torch.py", "torch", "PyTorch", self.variants, [model]), gflop_per_image(model))
        for network, title in NETWORKS.items():
            for size in 224, 128:
                work = ["--model", network, "--size", size, "--batch", 1, 32]
                contenders = self.ours("embed_bench", *work)
                for package, runtime, name in (("onnxruntime", "onnxruntime", "ONNX Runtime"),
                                               ("openvino", "openvino", "OpenVINO")):
                    contenders |= self.peers("embed.py", package, name, arguments=[runtime, *work])
                if not self.quick:
                    contenders |= self.peers("embed.py", "torch", "PyTorch", self.compiling("--channels-last"),
                                             ["torch", *work])
                yield Work(f"embed {network} {size}",
                           {batch: f"embed with {title}, {size}x{size}, batch of {batch}" for batch in (1, 32)},
                           "images/s", by("batch", "images_per_s"), contenders)
        yield Work("search", {q: f"top-20 of 1 million rows of 128, {q} quer{'y' if q == 1 else 'ies'}" for q in QUERIES},
                   "ms", by("queries", "ms"),
                   self.ours("search_bench", "--queries", *QUERIES)
                   | self.peers("search.py", "faiss-cpu", "faiss", arguments=["faiss", "--queries", *QUERIES])
                   | self.peers("search.py", "torch", "PyTorch", arguments=["torch", "--queries", *QUERIES]))
        yield Work("losses", LOSSES, "ms", lambda line: line["milliseconds"],
                   self.ours("loss_bench", *LOSSES)
                   | self.peers("losses_torch.py", "torch", "PyTorch", self.compiling(""), list(LOSSES))
                   | self.peers("losses_torch.py", "pytorch-metric-learning", "pytorch-metric-learning",
                                arguments=[*LOSSES, "--library", "metric_learning"]))


def by(key, value):
    return lambda line: {line[key]: line[value]}


def measure(work, rounds):
    """{row: {contender: values of the rounds}}"""
    values = {row: {} for row in work.rows}
    running = list(work.contenders)
    for number in range(rounds):
        for name in running:
            print(f"\r\033[K{work.name}, round {number + 1} of {rounds}: {name}", end="", file=sys.stderr, flush=True)
            for line in run_json(work.contenders[name].command, work.contenders[name].env):
                for row, value in work.read(line).items():
                    values[row].setdefault(name, []).append(value)
        running = []
        for measured in values.values():
            groups = {}
            for name in measured:
                groups.setdefault(work.contenders[name].group, []).append(name)
            for names in groups.values():
                best = work.better((work.better(measured[name]), name) for name in names)[1]
                running += [best] if best not in running else []
    print("\r\033[K", end="", file=sys.stderr)
    return values


def report(work, values, peak):
    """Prints the rows, and gives what is kept of them."""
    rows = []
    for key, title in work.rows.items():
        measured = values[key]
        median = {name: statistics.median(runs) for name, runs in measured.items()}
        print(f"\n{title}, {work.unit}")
        for name in sorted(median, key=median.get, reverse=work.unit == "images/s"):
            share = f"{median[name] * work.gflop / peak:9.0%} of peak" if work.gflop else ""
            print(f"  {name:58} {median[name]:9.1f}  best {work.better(measured[name]):9.1f}{share}")
        kept = {"work": work.name, "title": title, "unit": work.unit, "runs": measured}
        if work.gflop:
            kept["gflop_per_image"] = work.gflop
        peers = {name: value for name, value in median.items()
                 if name != OURS and len(measured[name]) == max(map(len, measured.values()))}
        if OURS in median and peers:
            value, best = work.better((value, name) for name, value in peers.items())
            kept |= {"best_peer": best, "ratio_to_best_peer": work.ratio(median[OURS], value)}
            print(f"  ours is {kept['ratio_to_best_peer']:.2f} times {best}", flush=True)
        rows.append(kept)
    return rows


def table_of(results):
    def figure(row, name):
        value = statistics.median(row["runs"][name])
        return f"{value:,.0f} {row['unit']}" if value >= 100 else f"{value:.1f} {row['unit']}"

    yield "| work | Lookalike | best peer | ratio | share of the peak |"
    yield "|---|---|---|---|---|"
    for row in results["rows"]:
        ours, best = figure(row, OURS), row["best_peer"]
        peer = [f"{figure(row, best)}, {best}", f"{row['ratio_to_best_peer']:.2f}x"]
        flops = row.get("gflop_per_image", 0) * statistics.median(row["runs"][OURS])
        share = f"{flops / results['peak_gflops']:.0%}" if flops else ""
        yield f"| {' | '.join([row['title'], f'**{ours}**', *peer, share])} |"


def write_readme(results):
    if missing := [row["title"] for row in results["rows"] if "best_peer" not in row]:
        print(f"README.md stays as it is: nothing to compare of {', '.join(missing)}")
        return
    rounds = len(results["rows"][0]["runs"][OURS])
    heading = (f"{results['date']}, {results['threads']} threads of {results['processor']}, fp32 peak {results['peak_gflops']:.0f} "
               f"GFLOP/s, medians of {rounds} rounds:")
    readme = ROOT / "README.md"
    before, rest = readme.read_text().split(BEGIN)
    readme.write_text(before + "\n".join([BEGIN, heading, "", *table_of(results), END]) + rest.split(END, 1)[1])


def processor():
    """Its name, and which instruction set its kernels are compiled for."""
    text = pathlib.Path("/proc/cpuinfo").read_text()
    facts = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    flags = facts.get("flags", "").split()
    isa = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "SSE2"
    return f"{facts.get('model name', 'unknown')} (family {facts.get('cpu family')}, model {facts.get('model')}, {isa})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[""], metavar="TEXT", help="works whose name contains it")
    parser.add_argument("--quick", action="store_true", help="tuned settings, two rounds of 1.5 seconds")
    parser.add_argument("--python", nargs="+", help="the interpreters that have peers")
    parser.add_argument("--build", default="build", help="folder of the release build")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of each measurement")
    parser.add_argument("--json", metavar="NAME", help="also write bench/results/NAME.json")
    args = parser.parse_args()
    args.rounds = args.rounds or (2 if args.quick else 3)
    args.seconds = args.seconds or (1.5 if args.quick else 5)
    venv = ROOT / ".venv/bin/python"
    args.python = args.python or ([str(venv)] if args.quick and venv.exists() else ["/usr/bin/python3", str(venv)])

    def measure_peak():
        lines = run_json([ROOT / args.build / "bench/peak"]) or sys.exit(f"build first: cmake --build {args.build}")
        return lines[-1]["peak_gflops"]

    peak = measure_peak()
    works = [work for work in Bench(args).works() if any(text in work.name for text in args.only)]
    results = {"date": str(datetime.date.today()), "processor": processor(),
               "threads": len(os.sched_getaffinity(0)), "rows": []}
    for work in works:
        values = measure(work, args.rounds)
        peak = max(peak, measure_peak())
        results["rows"] += report(work, values, peak)
    results["peak_gflops"] = peak
    if args.json:
        path = ROOT / "bench/results" / f"{args.json}.json"
        path.write_text(json.dumps(results, indent=1) + "\n")
    if args.only == [""]:
        write_readme(results)


if __name__ == "__main__":
    main()
