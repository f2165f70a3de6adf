#!/usr/bin/env python3
"""The mutants of tests/mutate_kernels.sh: plants them all in a copy of the sources, each behind a number that LOOKALIKE_MUTANT chooses at run time,
so that one build serves them all; and runs the tests of each.

    mutate_kernels.py plant TREE              rewrites the kernels of TREE, writes TREE/mutants.tsv
    mutate_kernels.py run TREE RESULTS.tsv    runs those that RESULTS lacks, prints a summary
"""
import collections
import concurrent.futures
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import time

# Seconds of processor time beyond ten times what a test takes without a mutant: what needs more
# hangs. Time on the clock would make a busy machine catch mutants.
LIMIT = 60

# Kept by the planted code: which mutant is on, and where a mutant that is off would have made a difference.
HEADER = """#pragma once
#include <cstdio>
#include <cstdlib>
namespace lookalike {
struct Mutants {
  const int on = std::getenv("LOOKALIKE_MUTANT") ? std::atoi(std::getenv("LOOKALIKE_MUTANT")) : -1;
  bool reached[%d] = {};
  ~Mutants() {
    const char* const name = std::getenv("LOOKALIKE_REACHED");
    FILE* const file = name ? std::fopen(name, "w") : nullptr;
    for (int i = 0; file && i < %d; i++) std::fputc('0' + reached[i], file);
    if (file) std::fclose(file);
  }
};
inline Mutants mutants;
LOOKALIKE_UNSEEN inline bool mutated(int i) {
  mutants.reached[i] = true;
  return mutants.on == i;
}
}  // namespace lookalike
"""

DELETED = (("barrier", r"\b__sync(?:threads|warp)\(\);|(?<![\w:])(?:Group::)?sync\(\);"),
           ("async", r"(?<!::)\bcp_async_(?:wait<[^;]*>|commit)\(\);"))
# Device code may call nothing else that sounds like synchronisation; else the script would pass
# over a kind of wait that it does not know.
SOUNDS = re.compile(r"\b\w*(?:sync|wait|commit|fence|arrive|barrier)\w*(?=[(<])")
HARMLESS = re.compile(r"__(?:shfl|ballot|any|all)\w*_sync|cp_async|__syncthreads_\w+")
# Comparisons of values, not of places; and those with >= that let through where they hold.
VALUES = re.compile(
    r"squared < near|near < .*|far >= 0|partner\[row\] < .*|a < b|triplets.*anchor < row|"
    r"at < place|place\[j\] < 0|row < x.n \? positive|l < r|own_logit < top")
THROUGH = re.compile(r".* >= 0|row >= begin|begin \+ anchors >= m")
# Counts that may be zero, or too few to divide by.
COUNTS = re.compile(r"\b(?:\w+\.)?(?:blocks|rows|n) > [01]\b")
# What decides whether a place may be read and written in vectors.
ALIGNED = re.compile(r"(?:\b[\w.]+|reinterpret_cast<uintptr_t>\([\w.]+\)) % (?:4|16|kRun) == 0")
NUMBER = r"-?[\d.]+f?|int64_t\{\d+\}"
CONSTANT = r"(?:\w+::)*(?:k[A-Z]\w*|\d+)"
CONSTANTS = rf"{CONSTANT}(?:\s*[-+*/]\s*{CONSTANT})*"
# Flags where they decide, not where they are made, and pointers that may be null.
FLAG = r"(?<![\w.])(?<!< )(?:\w+\.)*(?:inside_?|exists|valid|whole)(?:\[\w+\])?"
FLAGS = re.compile(rf"{FLAG}(?= \?| &&)|(?:(?<=[(!])|(?<=&& )){FLAG}(?=\))|(?<= = ){FLAG}(?=;)|"
                   r"(?<=global, kBytes, )valid|[\w.]+ != nullptr")
TOKEN = re.compile(r"&&|\|\||::|->|<<|>>|[-+*/%&|^!=<>]=|\w+|\S")
STOPS = {",", ";", "?", ":", "&&", "||", "!", "=", "==", "!=", "+=", "return"}


def blank(match):
    return re.sub(r"[^\n]", " ", match if isinstance(match, str) else match[0])


def closing(text, at):
    """The place behind the bracket that closes the one at `at`."""
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] in "([{") - (text[i] in ")]}")
        if depth == 0:
            return i + 1


def device_code(text):
    """The text with blanks for everything but the run-time code of the bodies of device functions."""
    text = re.sub(r"^#else\n.*?^#endif", blank, re.sub("//.*", blank, text), flags=re.M | re.S)
    text = re.sub("^#.*", blank, text, flags=re.M)
    result, end = "", 0
    for match in re.finditer(r"__(?:device|global)__", text):
        if match.start() < end:
            continue
        at = match.end()
        while text[at] not in "{;":
            at = closing(text, at) if text[at] in "([" else at + 1
        begin, end, before = at, closing(text, at) if text[at] == "{" else at, len(result)
        result += blank(text[before:begin]) + text[begin:end]
    result += blank(text[len(result):])
    for match in re.finditer(r"\b(?:if constexpr|static_assert) ?\(", result):
        at = closing(result, match.end() - 1)
        result = result[:match.start()] + blank(result[match.start():at]) + result[at:]
    return result


def operand(tokens, at, step):
    """The end of the operand that begins at token `at` and grows by `step`."""
    depth = 0
    while True:
        token = tokens[at][0]
        if depth == 0 and (token in STOPS or token in ("([{" if step < 0 else ")]}")):
            return at - step
        depth += step * ((token in "([{") - (token in ")]}"))
        at += step


def mutants_of(text):
    """(place, kind, what, insertions) of each mutant; an insertion is (place, text with {} for whether the mutant is on)."""
    code = device_code(text)
    for kind, statement in DELETED:
        for match in re.finditer(statement, code):
            yield match.start(), kind, match[0] + " deleted", [(match.start(), "{} ? void() : ")]
    for match in re.finditer(r"\b__syncthreads_\w+(?=\()", code):
        argument = text[match.end():closing(code, match.end())]
        yield match.start(), "barrier", f"{match[0]}{argument} -> {argument}", [(match.start(), "{} ? %s : " % argument)]

    def bound(begin, end, becomes, after, before="("):
        return begin, "bound", f"{text[begin:end]} {becomes}", [(begin, before), (end, after)]

    for pattern in FLAGS, COUNTS, ALIGNED:
        for match in pattern.finditer(code):
            yield bound(*match.span(), "-> true", " || {})")
    for match in re.finditer(r"[\w.]+ == nullptr", code):
        yield bound(*match.span(), "-> false", " && !{})")
    for match in re.finditer(r"(?<![:\w])(?:min|max|f(?:min|max)f)\(", code):
        end = closing(code, match.end() - 1)
        commas = [i for i in range(match.end(), end) if code[i] == ","]
        comma = next(i for i in commas if closing("(" + code[match.end():i] + ")", 0) == i - match.end() + 2)
        a, b = text[match.end():comma].strip(), text[comma + 1:end - 1].strip()
        if bool(re.fullmatch(NUMBER, b)) != ("max" in match[0]):
            continue  # a clamp of a value, or the largest of some
        sign = "<" if "max" in match[0] else ">"
        for take, other in ((a, b), (b, a)):
            before = f"({take} {sign} {other} && {{}} ? {take} : "
            yield bound(match.start(), end, f"-> {take}", ")", before)

    loops = []  # of each the range of its condition, and a pattern for ends that are no bound of data: of geometric steps, and of constants
    for match in re.finditer(r"\bfor \(", code):
        parts = code[match.end():closing(code, match.end() - 1) - 1].split(";")
        if len(parts) == 3:
            begin = match.end() + len(parts[0]) + 1
            harmless = ".*" if re.search("[*/]=", parts[2]) else CONSTANTS if re.search(rf"= {CONSTANT}$", parts[0]) else "$"
            loops.append((range(begin, begin + len(parts[1])), harmless))
    for match in re.finditer(r"\bwhile \(", code):
        loops.append((range(match.end(), closing(code, match.end() - 1)), "$"))
    tokens = list(TOKEN.finditer(code))
    for i, token in enumerate(tokens):
        if token[0] not in ("<", "<=", ">=") or code[token.start() - 1] + code[token.end()] != "  ":
            continue
        begin, end = tokens[operand(tokens, i - 1, -1)].start(), tokens[operand(tokens, i + 1, 1)].end()
        a, b = text[begin:token.start()].strip(), text[token.end():end].strip()
        harmless = next((pattern for place, pattern in loops if begin in place), None)
        if VALUES.match(text[begin:end + 11]) or harmless and re.fullmatch(harmless, b):
            continue
        if harmless:
            equal = f"{a} == {b}" + {"<": "", "<=": " + 1", ">=": " - 1"}[token[0]]
            yield bound(begin, end, "lets one more round through", " || (%s && {}))" % equal)
        elif re.match(rf"\s*\?\s*{re.escape(a)}\s*:\s*{re.escape(b)}\b", text[end:]):
            yield bound(begin, end, f"? {a} : {b} -> {a}", " || {})")
            yield bound(begin, end, f"? {a} : {b} -> {b}", " && !{})")
        elif (token[0] == "<" and b != "0" or token[0] == "<=" and " + " in a or
              THROUGH.fullmatch(text[begin:end])):
            yield bound(begin, end, "-> true", " || {})")
        elif token[0] != "<=":
            yield bound(begin, end, "-> false", " && !{})")


def check_synchronisation(path, text):
    code = device_code(text)
    for _, statement in DELETED:
        code = re.sub(statement, blank, code)
    code = re.sub(r"\bsimt::\w+|\bvoid \w+(?=\()", blank, code)
    unknown = [name for name in SOUNDS.findall(code) if not HARMLESS.fullmatch(name)]
    if unknown:
        raise SystemExit(f"{path}: {unknown[0]}() is a kind of wait or barrier without mutants")


def plant(tree):
    table = []
    paths = {path for end in ("cu", "cuh", "h") for path in tree.glob(f"kernels/**/*.{end}")}
    for path in sorted(paths - set(tree.glob("kernels/simt/**/*"))):
        text, insertions = path.read_text(), []
        check_synchronisation(path, text)
        for at, kind, what, inserts in sorted(mutants_of(text)):
            on = f"::lookalike::mutated({len(table)})"
            insertions += [(place, -order, piece.replace("{}", on)) for order, (place, piece) in enumerate(inserts)]
            line = text.count("\n", 0, at) + 1
            table.append((str(path.relative_to(tree)), str(line), kind, " ".join(what.split())))
        for place, _, piece in sorted(insertions, reverse=True):
            text = text[:place] + piece + text[place:]
        if insertions:
            path.write_text(text)
    (tree / "mutants.tsv").write_text("".join("\t".join(row) + "\n" for row in table))
    (tree / "kernels/gpu/mutants.h").write_text(HEADER % (len(table), len(table)))
    kernel = tree / "kernels/gpu/kernel.h"
    include = '#include "kernels/simt/simt.h"\n'
    kernel.write_text(kernel.read_text().replace(include, include + '#include "kernels/gpu/mutants.h"\n'))
    print(f"{len(table)} mutants")


def rows_of(path):
    return [line.split("\t") for line in path.read_text().splitlines()] if path.exists() else []


def run_test(tree, name, seconds=None, **environment):
    """(means or None where the test passes, a line of what it says)"""
    variables = {f"LOOKALIKE_{key.upper()}": str(value) for key, value in environment.items()}
    # A comma would separate patterns.
    command = [tree / "build-simt/tests/gpu_test", "-tc=" + name.replace(",", "?"), "--abort-after=1"]
    limit = round(seconds) if seconds else resource.RLIM_INFINITY
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"} | variables, text=True,
                          errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (limit, limit)))
    if -done.returncode in (signal.SIGXCPU, signal.SIGKILL):
        return "hang", ""
    said = re.search(r"(?:THREW exception: |CHECK\(.*\) is NOT correct!\n +values: CHECK\(|test case CRASHED: )(.*)", done.stdout)
    message = said[1].strip() if said else ""
    if done.returncode == 0:
        return None, ""
    if done.returncode < 0 or "CRASHED" in done.stdout:
        return "crash", message
    if "was written outside" in message:
        return "canary", message
    return "checker" if "THREW" in done.stdout else "wrong result", message


def run(tree, results):
    mutants, done = rows_of(tree / "mutants.tsv"), {tuple(row[:4]) for row in rows_of(results)}
    listing = subprocess.run([tree / "build-simt/tests/gpu_test", "-ltc"], text=True, stdout=subprocess.PIPE, check=True).stdout
    tests = re.findall(r"^(?!\[|=)(.+)$", listing, flags=re.M)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as lanes:
        def measure(number):
            start, file = time.monotonic(), tree / f"reached{number}"
            means, message = run_test(tree, tests[number], reached=file)
            if means:
                raise SystemExit(f"'{tests[number]}' fails without any mutant: {message}")
            return time.monotonic() - start, file.read_text()

        measured = list(lanes.map(measure, range(len(tests))))

        def try_out(number):
            outcome = "survived", "", "", ""
            ready = sorted((seconds, test) for test, (seconds, reached) in zip(tests, measured) if reached[number] == "1")
            if not ready:
                outcome = "not reached", "", "", ""
            for schedule in "sequential", "reversed":
                for seconds, test in ready:
                    means, message = run_test(tree, test, LIMIT + 10 * seconds, mutant=number, simt_schedule=schedule)
                    if means:
                        return "caught", means, test, message
            return outcome

        def record(number):
            row = *mutants[number], *try_out(number)
            with results.open("a") as file:
                file.write("\t".join(row) + "\n")

        list(lanes.map(record, [i for i, row in enumerate(mutants) if tuple(row) not in done]))
    summarise({tuple(row[:4]): row for row in rows_of(results)}, mutants)


def summarise(outcomes, mutants):
    rows = [outcomes[tuple(row)] for row in mutants]
    for kind in sorted({row[2] for row in rows}):
        print(kind, dict(collections.Counter(row[5] or row[4] for row in rows if row[2] == kind)))
    caught = sum(row[4] == "caught" for row in rows)
    for row in rows:
        if row[4] != "caught":
            print(f"{row[0]}:{row[1]}: {row[3]}: {row[4]}")
    print(f"{len(rows)} mutants, {caught} caught, {100 * caught / len(rows):.1f} %")


if __name__ == "__main__":
    if sys.argv[1] == "plant":
        plant(pathlib.Path(sys.argv[2]))
    else:
        run(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
