#!/usr/bin/env bash
# mutate_kernels.sh RESULTS.tsv: deletes each barrier, bound check and async wait of the GPU kernels in turn; the GPU tests must fail, on the emulator.
# docs/mutations.md says what came of it. Works in a copy of the tree. RESULTS gets a line for each mutant as it is done; those that it has are not
# done again, so an interrupted run goes on, and after a new test the lines of survivors are deleted and the run started again.
set -euo pipefail
[[ $# == 1 ]] || { echo "usage: $0 RESULTS.tsv" >&2; exit 1; }
results=$(realpath "$1")
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
git ls-files -coz --exclude-standard | xargs -0 cp --parents -t "$scratch"
python3 tests/mutate_kernels.py plant "$scratch"
(cd "$scratch" && cmake --preset simt >/dev/null && cmake --build --preset simt --target gpu_test)
python3 tests/mutate_kernels.py run "$scratch" "$results"
