#!/usr/bin/env bash
# ptx.sh [PTXRUN]: runs what nvcc compiled without a GPU: the GPU tests and a few training steps, on an interpreter of PTX that takes
# the place of the CUDA runtime library, in both orders of blocks and warps. PTXRUN is the folder of that tool, which this project does not contain;
# without it, or without nvcc, one line says so. Ends like a test runner: N passed, N failed.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=${1:-../shared/tools/ptxrun}
[[ -x $tool/build.sh ]] || { echo "skipped: there is no PTX interpreter in $tool"; exit 0; }
command -v nvcc >/dev/null || { echo "skipped: there is no nvcc"; exit 0; }

build=build-ptx
mkdir -p $build/ptxrun
"$tool/build.sh" "$PWD/$build/ptxrun"
cmake --preset ptx >/dev/null
cmake --build $build --target gpu_test lookalike make_pairs
export LD_LIBRARY_PATH=$PWD/$build/ptxrun
export CUDA_VISIBLE_DEVICES=  # cuDNN would take the interpreter's memory for that of a real GPU
export OMP_NUM_THREADS=1  # of the host, as all four run at a time
pids=() logs=()
trap 'kill "${pids[@]}" 2>/dev/null || true' EXIT
for order in forward reversed; do
  for test in "$build/tests/gpu_test" "tests/e2e/train_gpu_test.sh $build/lookalike $build/tests/make_pairs"; do
    log=$build/ptxrun/$order-$(basename "${test%% *}").txt
    # shellcheck disable=SC2086
    PTXRUN_ORDER=$order $test >"$log" 2>&1 &
    pids+=($!) logs+=("$log")
  done
done
passed=0 failed=0
for i in "${!pids[@]}"; do
  if wait "${pids[i]}"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
  echo "== ${logs[i]}"
  tail -n 40 "${logs[i]}"
done
echo "$passed passed, $failed failed"
((failed == 0))
