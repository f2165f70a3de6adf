#!/usr/bin/env bash
# gpu_report.sh [OUT_FOLDER [PART...]]: on a machine with an H100 or H200 and nothing installed, in the folder that bench/package_gpu.sh gathered:
# device facts, and the parts in this order (default: all; under nine minutes)
#   tests      the whole GPU test suite
#   sanitizer  compute-sanitizer on the tests of single kernels, as these are slow
#   training   in every precision, and with `peers` beside PyTorch
#   embedding  by networks with ImageNet weights, likewise
#   losses     the fused losses' twins in PyTorch, with `peers`
#   kernels    kernels by themselves, beside cuBLAS and cuDNN; LOOKALIKE_REPORT_KERNELS=TEXT: those whose name contains it
#   peers      no part of its own: those of the others
# After LOOKALIKE_REPORT_SECONDS (520) nothing more is begun. Writes report.json and table.txt to an empty folder. What is missing here is named in one
# line, and the rest goes on; ends with status 1 when something failed.
set -uo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
out=$(realpath -m "${1:-gpu_report}")
parts=" ${*:2} "
all=" tests sanitizer training embedding losses kernels peers "
[[ $parts != "  " ]] || parts=$all
for part in $parts; do [[ $all == *" $part "* ]] || { echo "gpu_report.sh: part '$part', expected some of:$all"; exit 1; }; done
wants() { [[ $parts == *" $1 "* ]]; }
mkdir -p "$out"
[[ -z $(ls -A "$out") ]] || { echo "gpu_report.sh: $out is not empty"; exit 1; }
trap 'kill $(jobs -p) 2>/dev/null' EXIT
deadline=$((SECONDS + ${LOOKALIKE_REPORT_SECONDS:-520})) failed=0 json='{"date": "'$(date +%F)'"'
# PyTorch brings cuBLAS and cuDNN along.
packages=$(python3 -c 'import site; print(*site.getsitepackages())' 2>/dev/null || true)
peers=$(for p in $packages; do find "$p/nvidia" \( -name 'libcublas*.so*' -o -name 'libcudnn*.so*' \) -printf '%h\n' 2>/dev/null; done | sort -u | paste -sd:)
# For our binaries alone: Python keeps its own C++ library.
libraries=$here/lib${peers:+:$peers}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

say() { echo "$*" | tee -a "$out/table.txt"; }
: >"$out/table.txt"
# step SECONDS NAME COMMAND...: runs it, its output in NAME.txt, within what is left of the time.
step() {
  local limit=$1 name=$2 left=$((deadline - SECONDS)) status=0 begin=$SECONDS
  shift 2
  [[ $1 == /* && ! -x $1 ]] && { say "$name: skipped, there is no $(basename "$1")"; return 1; }
  ((left > 5)) || { say "$name: skipped, the time is up"; return 1; }
  [[ $1 != "$here"/* && $1 != *compute-sanitizer ]] || set -- env LD_LIBRARY_PATH="$libraries" "$@"
  timeout $((limit < left ? limit : left)) "$@" >"$out/$name.txt" 2>"$out/$name.err" || status=$?
  [[ $(head -n 1 "$out/$name.txt") != skipped:* ]] || status=1  # there is a GPU, but not for these binaries
  ((status == 0)) || { say "$name: FAILED with status $status: $(cat "$out/$name.txt" "$out/$name.err" | tail -n 1)"; failed=1; }
  json+=", \"$name\": {\"status\": $status, \"seconds\": $((SECONDS - begin))}"
  return $status
}
# keep NAME: the lines of a step's output that are JSON, also when it did not come to its end.
keep() {
  local lines
  lines=$(grep -a '^{.*}$' "$out/$1.txt") || return 0
  say "$lines"
  json+=", \"$1.result\": [$(paste -sd, <<<"$lines")]"
}
# measure SECONDS NAME COMMAND...
measure() { step "$@"; [[ ! -e $out/$2.txt ]] || keep "$2"; }

have_gpu=0
if command -v nvidia-smi >/dev/null; then
  facts=$(nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit --format=csv,noheader | head -n 1) && have_gpu=1
  say "device: $facts"
  json+=", \"device\": \"$facts\""
else
  say "device: skipped, there is no nvidia-smi"
fi
if ((have_gpu == 0)); then
  say "tests, benchmarks, training: skipped, there is no GPU"
else
  training=(siamese_cnn convnet_bn efficientnet_lite0) embedding=(efficientnet_lite0 squeezenet) batches=(1 32 256)
  train_torch=(python3 "$here/bench/peers/train_torch.py" --device cuda --channels-last --autocast --fused)
  embed_torch=(python3 "$here/bench/peers/embed.py" torch --device cuda --channels-last --autocast)
  compile=(--compile --mode reduce-overhead)
  if wants peers && ! python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
    say "peers: skipped, there is no PyTorch that sees the GPU"
    parts=${parts/ peers / }
  fi
  if wants peers; then
    # PyTorch compiles for a minute and keeps what it made: that goes on beside the tests, which time nothing.
    export TORCHINDUCTOR_COMPILE_THREADS=2
    compiling=$((deadline - SECONDS < 150 ? deadline - SECONDS : 150))
    for model in "${training[@]}"; do
      ! wants training || timeout "$compiling" "${train_torch[@]}" "${compile[@]}" --seconds 0 "$model" >"$out/compile_train_$model.txt" 2>&1 &
    done
    for model in "${embedding[@]}"; do
      for batch in "${batches[@]}"; do
        ! wants embedding || timeout "$compiling" "${embed_torch[@]}" --compile --seconds 0 --model "$model" --batch $batch >"$out/compile_embed_${model}_$batch.txt" 2>&1 &
      done
    done
  fi
  if wants tests; then
    step 150 gpu_test "$here/gpu_test"
    [[ ! -e $out/gpu_test.txt ]] || say "gpu_test: $(grep -a 'test cases\|assertions' "$out/gpu_test.txt" | paste -sd' ')"
    step 60 train_on_gpu "$here/tests/e2e/train_gpu_test.sh" "$here/lookalike" "$here/make_pairs" && say "train_on_gpu: passed"
  fi
  if wants sanitizer && command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck initcheck synccheck; do
      step 60 "sanitizer_$tool" "$(command -v compute-sanitizer)" --tool $tool --error-exitcode 1 "$here/gpu_test" -tc="gemm*,top_k*,grad_norm*,optimiser*,accumulate,nt_xent,triplet*" &&
        say "sanitizer_$tool: passed"
    done
  elif wants sanitizer; then
    say "sanitizer: skipped, there is no compute-sanitizer"
  fi
  wait  # for what PyTorch compiles
  say "$SECONDS s: timing"
  if wants training; then
    for model in "${training[@]}"; do
      for precision in fp32 tf32 bf16; do
        measure 30 "train_${model}_$precision" "$here/train_bench" --model "$model" --device cuda --precision $precision --seconds 1
      done
    done
    if wants peers; then
      for model in "${training[@]}"; do
        measure 60 "torch_train_$model" "${train_torch[@]}" --seconds 1 "$model"
        measure 60 "torch_train_${model}_compile" "${train_torch[@]}" "${compile[@]}" --seconds 1 "$model"
      done
    fi
  fi
  if wants embedding; then
    for model in "${embedding[@]}"; do
      for batch in "${batches[@]}"; do
        for precision in fp32 tf32 bf16; do
          measure 30 "embed_${model}_${batch}_$precision" "$here/embed_bench" --model "$model" --batch $batch --device cuda --precision $precision --seconds 0.5
        done
      done
    done
    if wants peers; then
      for model in "${embedding[@]}"; do
        measure 60 "torch_embed_$model" "${embed_torch[@]}" --seconds 0.5 --model "$model" --batch "${batches[@]}"
        measure 60 "torch_embed_${model}_compile" "${embed_torch[@]}" --compile --seconds 0.5 --model "$model" --batch "${batches[@]}"
      done
    fi
  fi
  if wants losses && wants peers; then
    measure 30 torch_losses_eager python3 "$here/bench/peers/losses_torch.py" --device cuda
    measure 90 torch_losses_compile python3 "$here/bench/peers/losses_torch.py" --device cuda --compile \
      "triplet batch_hard 1024" "nt_xent 1024" "triplet batch_hard 8192" "nt_xent 8192"
  fi
  if wants kernels; then
    step 200 gpu_bench "$here/gpu_bench" --json "$out/gpu_bench.json" --only "${LOOKALIKE_REPORT_KERNELS:-}"
    [[ ! -e $out/gpu_bench.txt ]] || cat "$out/gpu_bench.txt" >>"$out/table.txt"
    [[ ! -s $out/gpu_bench.json ]] || json+=", \"gpu_bench.result\": $(cat "$out/gpu_bench.json")"
  fi
fi
echo "$json, \"seconds\": $SECONDS}" >"$out/report.json"
say "$out/report.json: $SECONDS s"
exit $failed
