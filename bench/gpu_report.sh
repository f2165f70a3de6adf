#!/usr/bin/env bash
# gpu_report.sh [OUT_FOLDER]: on a machine with an H100 or H200 and nothing installed, beside the binaries that bench/package_gpu.sh gathered: device facts, the whole
# GPU test suite, compute-sanitizer on the small tests, the kernels by themselves, training in every precision beside PyTorch. Under nine minutes.
# Writes report.json and table.txt. What is missing here is named in one line, and the rest goes on; ends with status 1 when something failed.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "${1:-gpu_report}")
mkdir -p "$out"
deadline=$((SECONDS + 520)) failed=0 json='{"date": "'$(date +%F)'"'
# PyTorch brings cuBLAS and cuDNN along.
packages=$(python3 -c 'import site; print(*site.getsitepackages())' 2>/dev/null || true)
peers=$(for p in $packages; do find "$p/nvidia" \( -name 'libcublas*.so*' -o -name 'libcudnn*.so*' \) -printf '%h\n' 2>/dev/null; done | sort -u | paste -sd:)
# For our binaries alone: Python keeps its own C++ library.
libraries=$here/lib${peers:+:$peers}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

say() { echo "$*" | tee -a "$out/table.txt"; }
: >"$out/table.txt"
# step SECONDS NAME COMMAND...: runs it, its output in NAME.txt, within what is left of the time.
step() {
  local limit=$1 name=$2 left=$((deadline - SECONDS)) status=0
  shift 2
  [[ $1 == /* && ! -x $1 ]] && { say "$name: skipped, there is no $(basename "$1")"; return 1; }
  ((left > 5)) || { say "$name: skipped, the time is up"; return 1; }
  [[ $1 != "$here"/* && $1 != *compute-sanitizer ]] || set -- env LD_LIBRARY_PATH="$libraries" "$@"
  timeout $((limit < left ? limit : left)) "$@" >"$out/$name.txt" 2>&1 || status=$?
  [[ $(head -n 1 "$out/$name.txt") != skipped:* ]] || status=1  # there is a GPU, but not for these binaries
  ((status == 0)) || { say "$name: FAILED with status $status: $(tail -n 1 "$out/$name.txt")"; failed=1; }
  json+=", \"$name\": {\"status\": $status}"
  return $status
}
# keep NAME KEY: the last line of a step's output is JSON.
keep() { local line; line=$(tail -n 1 "$out/$1.txt"); say "$1: $line"; [[ $line == \{* ]] && json+=", \"$1.result\": $line"; }

have_gpu=0
if command -v nvidia-smi >/dev/null; then
  facts=$(nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit --format=csv,noheader | head -n 1) && have_gpu=1
  say "device: $facts"
  json+=", \"device\": \"$facts\""
  nvidia-smi -q >"$out/nvidia-smi.txt" 2>&1 || true
else
  say "device: skipped, there is no nvidia-smi"
fi
if ((have_gpu == 0)); then
  say "tests, benchmarks, training: skipped, there is no GPU"
else
  step 120 gpu_test "$here/gpu_test" && say "gpu_test: $(grep -a 'test cases' "$out/gpu_test.txt")"
  step 180 gpu_bench "$here/gpu_bench" --json "$out/gpu_bench.json" || true
  [[ ! -e $out/gpu_bench.txt ]] || tee -a "$out/table.txt" <"$out/gpu_bench.txt"
  [[ ! -s $out/gpu_bench.json ]] || json+=", \"gpu_bench.result\": $(cat "$out/gpu_bench.json")"
  for model in siamese_cnn convnet_bn; do
    for precision in fp32 tf32 bf16; do
      step 30 "train_${model}_$precision" "$here/train_bench" --model $model --device cuda --precision $precision --seconds 3 && keep "train_${model}_$precision"
    done
    if python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
      step 30 "torch_${model}_eager" python3 "$here/peers/train_torch.py" $model --device cuda --seconds 3 && keep "torch_${model}_eager"
      step 30 "torch_${model}_autocast" python3 "$here/peers/train_torch.py" $model --device cuda --channels-last --autocast --fused --seconds 3 && keep "torch_${model}_autocast"
      step 60 "torch_${model}_compile" python3 "$here/peers/train_torch.py" $model --device cuda --channels-last --autocast --fused --compile --seconds 3 && keep "torch_${model}_compile"
    else
      say "torch_$model: skipped, there is no PyTorch that sees the GPU"
    fi
  done
  if python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
    step 30 torch_losses_eager python3 "$here/peers/losses_torch.py" --device cuda && keep torch_losses_eager
    step 90 torch_losses_compile python3 "$here/peers/losses_torch.py" --device cuda --compile --sizes 1024,8192 && keep torch_losses_compile
  fi
  # Last, as these are the slowest: the tests of single kernels.
  if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck initcheck synccheck; do
      step 60 "sanitizer_$tool" "$(command -v compute-sanitizer)" --tool $tool --error-exitcode 1 "$here/gpu_test" -tc="gemm*,top_k*,grad_norm*,optimiser*,accumulate,nt_xent,triplet*" && say "sanitizer_$tool: passed"
    done
  else
    say "sanitizer: skipped, there is no compute-sanitizer"
  fi
fi
echo "$json, \"seconds\": $SECONDS}" >"$out/report.json"
say "$out/report.json: $SECONDS s"
exit $failed
