#!/usr/bin/env bash
# Builds the fuzz targets with clang and hands each of them RUNS inputs that libFuzzer makes, beginning
# with the kept corpus (docs/fuzzing.md):
#   tests/fuzz.sh [RUNS] [TARGET...]
# A line for each target goes to stdout; logs, inputs that reached something new and inputs that failed
# to build-fuzz/fuzzing/. Status 1 when one failed.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-2000000}
shift || true
cmake --preset fuzz > build-fuzz.log && cmake --build --preset fuzz >> build-fuzz.log ||
  { cat build-fuzz.log; exit 1; }
rm build-fuzz.log
binary=build-fuzz/tests/fuzz/fuzz_targets out=build-fuzz/fuzzing
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(FUZZ_TARGET='' $binary -runs=0 2> /dev/null)
TMPDIR=$(mktemp -d /dev/shm/lookalike-fuzz.XXXXXX)  # where the targets write the files that they read
trap 'rm -rf "$TMPDIR"' EXIT
export TMPDIR OMP_NUM_THREADS=1
# Large quarantines and filled memory take a third of the time.
export ASAN_OPTIONS=quarantine_size_mb=4:malloc_context_size=4:max_malloc_fill_size=0
failed=0
for target in "${targets[@]}"; do
  log=$out/$target.log
  mkdir -p "$out/$target"
  options=(-runs="$runs" -max_len=4096 -timeout=60 -rss_limit_mb=2560 -malloc_limit_mb=1024
           -print_final_stats=1 -artifact_prefix="$out/failed-$target-")
  case $target in recipe | set | model_metadata) options+=(-dict=tests/fuzz/options.dict) ;; esac
  FUZZ_TARGET=$target nice -n 19 $binary "${options[@]}" "$out/$target" "tests/fuzz/corpus/$target" \
    > "$log" 2>&1 || { failed=1; printf 'FAILED '; }
  awk -v target="$target" '
    /#[0-9]+.*cov:/ { for (i = 1; i < NF; i++) { if ($i == "cov:") edges = $(i + 1); if ($i == "corp:") corpus = $(i + 1) } }
    /stat::number_of_executed_units/ { runs = $2 }
    /stat::average_exec_per_sec/ { speed = $2 }
    /stat::peak_rss_mb/ { memory = $2 }
    END { printf "%s: %d runs, %d a second, %d edges, corpus %s, %d MB\n", target, runs, speed, edges, corpus, memory }' "$log"
done
exit $failed
