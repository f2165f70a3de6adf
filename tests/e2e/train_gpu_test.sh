#!/usr/bin/env bash
# train_gpu_test.sh LOOKALIKE MAKE_PAIRS: a few steps of a tiny network on the GPU, or on what stands in for it: training repeats bit for bit, goes on
# from a checkpoint as if it had not stopped, gives what the CPU gives, and its model serves on either device. Without a GPU one line, and no failure.
set -euo pipefail
. "$(dirname "$0")/checks.sh"

"$make_pairs" data 16 12
cat >tiny.toml <<'TOML'
[model]
name = "convnet_bn"
channels = [4, 8]
pool_after = [1]
embedding = 8
[input]
height = 12
width = 12
[loss]
name = "triplet"
[optimizer]
clip_norm = 1.0
[augmentation]
flip = 0.5
rotation = 10
[train]
batch_pairs = 4
epochs = 2
[split]
ratios = [50, 25, 25]
[evaluate]
candidates = 4
TOML

train() { "$lookalike" train tiny.toml --data data "$@"; }
if ! train --device cuda --out gpu >out.txt 2>err.txt; then
  [[ $(wc -l <err.txt) == 1 && ! -e gpu ]] || fail "not one line: $(cat err.txt)"
  echo "skipped: $(cat err.txt)"
  exit 0
fi
cat out.txt
train --device cuda --out again >/dev/null
for file in last model; do cmp gpu/$file.safetensors again/$file.safetensors; done

# Killed after its first epoch.
"$lookalike" train tiny.toml --data data --device cuda --out resumed >/dev/null 2>&1 &
child=$!
until [[ -s resumed/last.safetensors ]] || ! kill -0 $child 2>/dev/null; do sleep 0.02; done
kill -KILL $child 2>/dev/null && echo killed
wait $child 2>/dev/null || true
train --device cuda --out resumed --resume >/dev/null
cmp gpu/last.safetensors resumed/last.safetensors

train --out cpu >/dev/null
loss_of() { sed -nE '$ s/.*,"loss":([^,]*),"seconds".*/\1/p' "$1"; }
for precision in tf32 bf16; do train --device cuda --precision $precision --out $precision >/dev/null; done
# With cuDNN's convolutions, or one line and nothing written.
runs=(gpu tf32 bf16) status=0
train --device cuda --conv cudnn --out cudnn >/dev/null 2>err.txt || status=$?
if ((status == 0)); then
  train --device cuda --conv cudnn --out cudnn_again >/dev/null
  cmp cudnn/last.safetensors cudnn_again/last.safetensors
  runs+=(cudnn)
else
  [[ $status == 1 && $(wc -l <err.txt) == 1 && ! -e cudnn ]] || fail "status $status, not one line: $(cat err.txt)"
  grep -q "conv 'cudnn': .*; use --conv native" err.txt || fail "$(cat err.txt)"
  echo "skipped: $(cat err.txt)"
fi
for run in "${runs[@]}"; do
  awk -v a="$(loss_of $run/metrics.jsonl)" -v b="$(loss_of cpu/metrics.jsonl)" -v run=$run \
    'BEGIN { d = a - b; limit = run == "gpu" || run == "cudnn" ? 1e-3 : 0.05; if (a == "" || b == "" || d * d > limit * limit * b * b) exit 1 }' ||
    fail "the loss of $run differs from the CPU's: $(tail -n 1 $run/metrics.jsonl; tail -n 1 cpu/metrics.jsonl)"
done

# The parts of other systems: one epoch gives the CPU's loss.
cat >picture.toml <<'TOML'
[model]
name = "autoencoder"
filters = [4, 4]
decoder = [4, 4]
[input]
height = 12
width = 12
[loss]
name = "reconstruction"
[train]
batch_pairs = 4
epochs = 1
[split]
ratios = [50, 25, 25]
[evaluate]
candidates = 4
TOML
same_loss() {
  local name=$1
  shift
  for device in cpu cuda; do "$lookalike" train "$@" --data data --epochs 1 --device $device --out $name-$device >/dev/null 2>err.txt || fail "$name: $(cat err.txt)"; done
  awk -v a="$(loss_of $name-cpu/metrics.jsonl)" -v b="$(loss_of $name-cuda/metrics.jsonl)" \
    'BEGIN { d = a - b; if (a == "" || d * d > 1e-6 * b * b) exit 1 }' || fail "$name: $(cat $name-*/metrics.jsonl)"
}
same_loss picture picture.toml
same_loss views tiny.toml --set sampler.name=views --set loss.name=barlow_twins --set 'model.head.projector=[6, 6]'
same_loss judge tiny.toml --set loss.name=match --set model.head.matcher=classifier --set model.head.matcher_hidden=4
frozen=(--set train.start=random --set train.freeze=norm1 --set augmentation.flip=0 --set augmentation.rotation=0)
same_loss frozen tiny.toml "${frozen[@]}" --set sampler.hard_negatives=true
same_loss cached tiny.toml "${frozen[@]}" --set sampler.hard_negatives=true --cache-features

# Networks that do not end in a normalisation make float embeddings in bf16, too.
"$lookalike" train picture.toml --data data --device cuda --precision bf16 --out picture-bf16 >/dev/null
"$lookalike" train tiny.toml --data data --epochs 1 --device cuda --precision bf16 --out wide --set model.head.embedding=4 --set model.head.normalize=false \
  --set loss.name=contrastive --set model.similarity=distance >/dev/null
"$lookalike" embed wide/model.safetensors data/left --device cuda --precision bf16 --out wide.npy >/dev/null

for device in cpu cuda; do "$lookalike" embed gpu/model.safetensors data/left --device $device --out $device.npy >/dev/null; done
"$lookalike" evaluate gpu/model.safetensors --data data --pairs gpu/splits/test.csv --count 4 --device cuda
"$lookalike" train tiny.toml --data data --out x --precision bf16 2>err.txt && fail "bf16 on the CPU was accepted"
grep -q 'needs --device cuda' err.txt || fail "$(cat err.txt)"
echo "all good"
