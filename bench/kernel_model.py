#!/usr/bin/env python3
"""What the compiler says of the GPU kernels, without a GPU: registers, shared memory and spills (ptxas), how many
warps of a multiprocessor's 64 the registers allow and how many blocks the shared memory, and, where cuobjdump is there, the instructions: how many, which share multiplies (FFMA, HMMA) or loads.

    kernel_model.py [--arch 90a] [--cuobjdump PROGRAM] [kernels/x.cu ...]

Everything printed is modelled, nothing is measured. Dynamic shared memory is not known here, so kernels that use it may
have fewer blocks than this says.
"""
import argparse
import collections
import pathlib
import re
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Of one multiprocessor of sm_80 and sm_90: 32-bit registers, in units of 256 for a warp; shared memory; warps.
REGISTERS, SHARED, WARPS, BLOCK_OVERHEAD = 65536, {"80": 164 << 10, "90": 228 << 10}, 64, 1024
OPCODE = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z0-9]+)")


def warps_by_registers(registers):
    return min(WARPS, REGISTERS // (-(-registers * 32 // 256) * 256))


def short(name):
    """The kernel's own name out of a demangled one."""
    name = re.sub(r"\(anonymous namespace\)::|lookalike::(cuda|gpu)::|^void ", "", name)
    return re.sub(r"\(.*", "", name)


def demangle(names):
    return subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True).stdout.splitlines()


def resources(log):
    found = re.findall(
        r"Function properties for (\S+)\n\s*(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads\n"
        r"ptxas info\s*: Used (\d+) registers(?:[^\n]*?(\d+) bytes smem)?", log)
    return {name: (int(registers), int(shared or 0), int(stack) + int(stores) + int(loads))
            for name, stack, stores, loads, registers, shared in found}


def instructions(program, binary):
    counts, kernel = {}, None
    listing = subprocess.run([program, "-sass", binary], capture_output=True, text=True).stdout
    for line in listing.splitlines():
        if header := re.search(r"Function : (\S+)", line):
            kernel = counts.setdefault(header[1], collections.Counter())
        elif kernel is not None and (match := OPCODE.search(line)):
            kernel[match[1]] += 1
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--arch", default="90a")
    parser.add_argument("--cuobjdump", default=shutil.which("cuobjdump"))
    parser.add_argument("sources", nargs="*", type=pathlib.Path, default=sorted((ROOT / "kernels").glob("*.cu")))
    args = parser.parse_args()
    if not shutil.which("nvcc"):
        return print("skipped: there is no nvcc")
    if not args.cuobjdump:
        print("instructions: skipped, there is no cuobjdump")
    print(f"modelled for sm_{args.arch}\n{'kernel':<60} regs shared spills warps blocks  instructions FFMA% HMMA% load%")
    with tempfile.TemporaryDirectory() as folder:
        for source in args.sources:
            binary = f"{folder}/{source.stem}.cubin"
            run = subprocess.run(["nvcc", "-std=c++20", "--expt-relaxed-constexpr", f"-I{ROOT}", f"-arch=sm_{args.arch}",
                                  "-Xptxas", "-v", "-cubin", source, "-o", binary], capture_output=True, text=True)
            if run.returncode != 0:
                raise SystemExit(run.stderr)
            kernels = resources(run.stderr)
            mix = instructions(args.cuobjdump, binary) if args.cuobjdump else {}
            for mangled, name in zip(kernels, demangle(kernels)):
                registers, shared, spills = kernels[mangled]
                blocks = min(32, SHARED[args.arch[:2]] // (shared + BLOCK_OVERHEAD))
                line = f"{short(name)[:60]:<60} {registers:>4} {shared:>6} {spills:>6} {warps_by_registers(registers):>5} {blocks:>6}"
                if counts := mix.get(mangled):
                    total = sum(counts.values())
                    loads = sum(counts[op] for op in ("LDG", "LDS", "LDSM", "LDGSTS"))
                    line += f" {total:>13} {100 * counts['FFMA'] / total:>5.0f}"
                    line += f" {100 * counts['HMMA'] / total:>5.0f} {100 * loads / total:>5.0f}"
                print(line, flush=True)


if __name__ == "__main__":
    main()
