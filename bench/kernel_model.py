#!/usr/bin/env python3
"""What can be known of the GPU kernels' speed without a GPU, read from a binary that nvcc made: registers, hence warps on
a multiprocessor; the instructions of each kernel's hot loop; and which of the device's units that loop keeps busy longest.

    kernel_model.py [build-cuda/lookalike] [--arch sm_90a] [--only TEXT] [--access FILE] [--check SHARE]

cuobjdump of the CUDA toolkit reads the binary. --access: the JSON that gpu_bench writes on the emulator, what the kernels
did to memory. --check: ends with status 1 if a kernel's share is below SHARE percent.

The hot loop is the innermost one with the most arithmetic of matrix products, or else with the most bytes of global
memory; a kernel without a loop is taken whole. Cycles that a warp's round keeps a unit of its quarter of a
multiprocessor busy:
  issue    one for each instruction
  fp32     one for each FFMA, FADD, FMUL (two on sm_80)
  tensor   four for each m16n8k16 of bf16 or m16n8k8 of tf32 (eight on sm_80)
  shared   four for each 128 bytes that the warp's 32 lanes ask of shared memory, which four quarters share; lanes that ask for the
           same bytes are counted apart, though hardware may serve them together
  memory   its bytes at the device's bandwidth, divided among all quarters
The share is the time of the unit that the kernel is for (tensor, fp32 or memory) by that of the busiest one. A kernel that is for
tensor or fp32 reads its tiles from the cache, so memory is left out there; where memory is it, the share is also at most
what the bytes under way allow: warps times bytes loaded a round, by bandwidth times latency.

Everything printed is modelled: nothing is measured, and nothing here knows caches, clocks or dependencies.
"""
import argparse
import collections
import json
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Device:
    """Published figures: multiprocessors, GHz, bytes a second, seconds from a load to its data (about)."""

    def __init__(self, name, multiprocessors, clock, bandwidth, fp32, tensor):
        self.name, self.multiprocessors, self.clock, self.bandwidth = name, multiprocessors, clock, bandwidth
        self.fp32, self.tensor = fp32, tensor  # cycles of one instruction
        self.latency = 6e-7

    def memory_cycles(self, byte_count):
        return byte_count / self.bandwidth * self.clock * 4 * self.multiprocessors


DEVICES = {"sm_90a": Device("H100 SXM", 132, 1.755e9, 3.35e12, 1, 4), "sm_80": Device("A100", 108, 1.41e9, 1.555e12, 2, 8)}
REGISTERS, WARPS = 65536, 64  # of a multiprocessor
INSTRUCTION = re.compile(r"/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)([^;]*);")
WIDTH = re.compile(r"\.(?:U8|S8|U16|S16|64|128)\b")
FP32 = ("FFMA", "FADD", "FMUL", "FMNMX")


def width(opcode):
    """Bytes of a lane's load or store."""
    match = WIDTH.search(opcode)
    return {None: 4, ".U8": 1, ".S8": 1, ".U16": 2, ".S16": 2, ".64": 8, ".128": 16}[match and match[0]]


class Round:
    """What one round of a loop does, for each lane."""

    def __init__(self, instructions):
        self.count = len(instructions)
        self.kinds = collections.Counter()
        self.loaded = self.stored = self.shared = 0
        for _, opcode, _ in instructions:
            kind = opcode.split(".")[0]
            self.kinds[kind] += 1
            if kind in ("LDG", "LDGSTS"):
                self.loaded += width(opcode)
            if kind == "STG":
                self.stored += width(opcode)
            if kind in ("LDS", "STS", "LDGSTS"):
                self.shared += width(opcode)
            if kind == "LDSM":
                self.shared += 4 * int(opcode[-1])  # .M88.4: four matrices, 16 bytes a lane

    @property
    def fp32(self):
        return sum(self.kinds[kind] for kind in FP32)

    @property
    def is_fp32_product(self):
        return self.kinds["FFMA"] >= 32 and self.kinds["LDS"] > 0

    def cycles(self, device):
        return {"issue": self.count, "fp32": self.fp32 * device.fp32, "tensor": self.kinds["HMMA"] * device.tensor,
                "shared": 4 * self.shared * 32 / 128, "memory": device.memory_cycles(32 * (self.loaded + self.stored))}

    def heat(self):
        products = self.kinds["FFMA"] if self.is_fp32_product else 0
        return 64 * self.kinds["HMMA"] + products, self.loaded + self.stored


def hot_loop(code):
    """code: (address, opcode, operands) of one kernel."""
    loops = []
    for address, opcode, operands in code:
        target = re.search(r"0x([0-9a-f]+)\s*$", operands)
        if opcode.startswith("BRA") and target and int(target[1], 16) < address:
            loops.append((int(target[1], 16), address))
    innermost = [a for a in loops if not any(a != b and a[0] <= b[0] and b[1] <= a[1] for b in loops)]
    rounds = [Round([i for i in code if begin <= i[0] <= end]) for begin, end in innermost]
    whole = Round(code)
    best = max(rounds, key=Round.heat, default=whole)
    return best if any(best.heat()) else whole


def model(device, round_, warps):
    """(unit that the kernel is for, the busiest one, share of the first)"""
    cycles = round_.cycles(device)
    goal = "tensor" if cycles["tensor"] else "fp32" if round_.is_fp32_product else "memory"
    if goal != "memory":
        del cycles["memory"]
    busiest = max(cycles, key=cycles.get)
    share = cycles[goal] / max(1, cycles[busiest])
    if goal == "memory" and round_.loaded:
        under_way = warps * 32 * round_.loaded * device.multiprocessors
        share = min(share, under_way / (device.bandwidth * device.latency))
    return goal, busiest, share


def short(name):
    """The kernel's own name and template arguments out of a demangled one."""
    name = re.sub(r"\(anonymous namespace\)::|lookalike::(?:cuda|gpu)?(?:::)?|std::integral_constant|^void ", "", name)
    name = re.sub(r"GemmShape<\(GemmTile\)(\d)>", lambda tile: ("large", "tall", "small", "narrow")[int(tile[1])], name)
    name = re.sub(r"\(Math\)(\d)", lambda math: ("fp32", "tf32", "bf16")[int(math[1])], name)
    name = re.sub(r"\((?:Mining|int|bool)\)", "", name)
    return name[:name.rfind("(")] if name.endswith(")") else name


def kernels(cuobjdump, binary, arch):
    """name -> (registers, static shared memory, code)"""
    dump = lambda what: subprocess.run([cuobjdump, what, "-arch", arch, binary], capture_output=True, text=True, check=True).stdout
    used = {name: (int(registers), int(shared)) for name, registers, shared in re.findall(
        r"Function (\S+):\s+REG:(\d+) STACK:\d+ SHARED:(\d+)", dump("-res-usage"))}
    codes, code = {}, None
    for line in dump("-sass").splitlines():
        if header := re.search(r"Function : (\S+)", line):
            code = codes.setdefault(header[1], [])
        elif code is not None and (match := INSTRUCTION.search(line)):
            if match[2] != "NOP":
                code.append((int(match[1], 16), match[2], match[3]))
    names = subprocess.run(["c++filt"], input="\n".join(used), capture_output=True, text=True).stdout.splitlines()
    return {short(name): (*used[mangled], codes[mangled]) for mangled, name in zip(used, names) if mangled in codes}


def print_access(file):
    report = json.loads(pathlib.Path(file).read_text())
    print("\nWhat the emulator counted, at small sizes: bytes moved by those needed; the fewest sectors by those moved; the\n"
          "fewest passes through shared memory by those made\n"
          f"{'work':<36} {'':<6} {'moved':>6} {'coalesced':>9} {'banks':>6} {'barriers':>8}")
    for row in report["kernels"]:
        print(f"{row['name']:<36} {row['precision']:<6} {row['moved_bytes'] / row['needed_bytes']:>5.1f}x {100 * row['coalesced']:>8.0f}% "
              f"{100 * row['banks']:>5.0f}% {row['barriers']:>8}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("binary", nargs="?", type=pathlib.Path, default=ROOT / "build-cuda/lookalike")
    parser.add_argument("--arch", default="sm_90a", choices=DEVICES)
    parser.add_argument("--only", default="")
    parser.add_argument("--cuobjdump", default=shutil.which("cuobjdump"))
    parser.add_argument("--access", type=pathlib.Path)
    parser.add_argument("--check", type=float, default=0)
    args = parser.parse_args()
    if not args.cuobjdump:
        return print("skipped: there is no cuobjdump")
    device, below = DEVICES[args.arch], 0
    print(f"modelled for {device.name}, {args.arch}; a round of the hot loop, for each lane\n"
          f"{'kernel':<110} regs warps instr  fp32 tensor shared B global B  for      busiest  share")
    for name, (registers, shared, code) in sorted(kernels(args.cuobjdump, args.binary, args.arch).items()):
        if args.only not in name:
            continue
        warps = min(WARPS, REGISTERS // (-(-registers * 32 // 256) * 256))
        hot = hot_loop(code)
        goal, busiest, share = model(device, hot, warps)
        below += 100 * share < args.check
        calls = "  calls" if hot.kinds["CALL"] else ""
        print(f"{name[:110]:<110} {registers:>4} {warps:>5} {hot.count:>5} {hot.fp32:>5} {hot.kinds['HMMA']:>6} {hot.shared:>8} "
              f"{hot.loaded + hot.stored:>8}  {goal:<8} {busiest:<8} {100 * share:>4.0f}%{calls}")
    if args.access:
        print_access(args.access)
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
