#!/usr/bin/env bash
# train_test.sh LOOKALIKE MAKE_PAIRS: the binary from end to end on made-up pairs. Training learns, repeats bit for bit with one thread and
# with two, and continues after SIGKILL as if nothing had happened; bad input ends with one line and status 1.
set -euo pipefail
. "$(dirname "$0")/checks.sh"
lookalike=$1 make_pairs=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

"$make_pairs" data 120 32
cat >tiny.toml <<'TOML'
[model]
name = "convnet_bn"
channels = [8, 16]
pool_after = [1, 2]
embedding = 16
[input]
height = 32
width = 32
[loss]
name = "triplet"
negatives = "random"
[augmentation]
flip = 0.5
shift = 0.1
rotation = 10
[train]
batch_pairs = 16
epochs = 6
checkpoint_steps = 2
[split]
ratios = [60, 20, 20]
TOML

"$lookalike" train tiny.toml --data data --out a
for file in recipe.toml model.safetensors last.safetensors metrics.jsonl splits/{train,val,test}.csv; do
  [[ -s a/$file ]] || fail "a/$file is missing"
done
[[ $(wc -l <a/metrics.jsonl) == 6 ]] || fail "metrics.jsonl has $(wc -l <a/metrics.jsonl) lines, expected 6"

OMP_NUM_THREADS=1 "$lookalike" train tiny.toml --data data --out b
for file in last model; do cmp a/$file.safetensors b/$file.safetensors; done

# Killed again and again, at moments that fall where they may.
kills=0
for delay in 0.05 0.15 0.1 0.3 0.2 0.25 0.4; do
  resume=()
  [[ -e c/last.safetensors ]] && resume=(--resume)
  [[ -e c && ! -e c/last.safetensors ]] && rm -rf c
  "$lookalike" train tiny.toml --data data --out c "${resume[@]}" 2>/dev/null >/dev/null &
  child=$!
  sleep "$delay"
  kill -KILL $child 2>/dev/null && kills=$((kills + 1))
  wait $child 2>/dev/null || true
done
resume=()
[[ -e c/last.safetensors ]] && resume=(--resume)
"$lookalike" train tiny.toml --data data --out c "${resume[@]}"
for file in last model; do cmp a/$file.safetensors c/$file.safetensors; done
((kills > 0)) || fail "every run ended before it could be killed"
echo "killed $kills times, same weights"

"$lookalike" train tiny.toml --data data --out stopped --epochs 60 --set train.patience=2 >out.txt
read -r epochs best < <(sed -nE 's/^stopped: ([0-9]+) epochs, .* in epoch ([0-9]+)$/\1 \2/p' out.txt)
((epochs == best + 2 && epochs < 60)) || fail "patience of 2: $(cat out.txt)"

"$lookalike" evaluate a/model.safetensors --data data --pairs a/splits/test.csv --json report.json
"$lookalike" data candidates a/splits/test.csv --count 20 --seed 1 --out candidates.csv
"$lookalike" evaluate a/model.safetensors --data data --candidates candidates.csv --truth a/splits/test.csv --scores scores.csv
"$lookalike" evaluate a/model.safetensors --data data --candidates candidates.csv --scores unlabelled.csv
[[ -s report.json && $(wc -l <scores.csv) == 25 ]] || fail "evaluate wrote no report"
cmp scores.csv unlabelled.csv
"$lookalike" embed a/model.safetensors data/left data/right/pair000.png --out e.npy
[[ $(wc -l <e.npy.txt) == 121 ]] || fail "e.npy.txt has $(wc -l <e.npy.txt) names, expected 121"
"$lookalike" weights inspect a/model.safetensors >out.txt
grep -q conv1.weight out.txt || fail "weights inspect does not list conv1.weight"

refuse "did you mean loss.margin?" d "$lookalike" train tiny.toml --data data --out d --set loss_.margin=1
refuse "did you mean 'margin'" d "$lookalike" train tiny.toml --data data --out d --set loss.margim=1
refuse "did you mean 'batch_hard'" d "$lookalike" train tiny.toml --data data --out d --set loss.negatives=batchhard
refuse "batch_pairs = 1" d "$lookalike" train tiny.toml --data data --out d --set train.batch_pairs=1
refuse "needs --device cuda" d "$lookalike" train tiny.toml --data data --out d --conv cudnn
refuse "expected native or cudnn" d "$lookalike" train tiny.toml --data data --out d --conv cudn
refuse "--recipe" d "$lookalike" train tiny.toml --data data --out d --recipe x
refuse "nowhere" d "$lookalike" train tiny.toml --data nowhere --out d
refuse "none.toml" d "$lookalike" train none.toml --data data --out d
refuse "--resume" "" "$lookalike" train tiny.toml --data data --out a
refuse "seed" "" "$lookalike" train tiny.toml --data data --out a --resume --seed 5
cp -r data other && "$lookalike" data split other/pairs.csv --ratios 60,20,20 --seed 9
refuse "a/splits/test.csv" "" "$lookalike" train tiny.toml --data other --out a --resume
on_gpu=("$lookalike" embed a/model.safetensors data/left/pair000.png --device cuda --out g.npy)
"${on_gpu[@]}" >/dev/null 2>&1 || refuse "cuda" g.npy "${on_gpu[@]}"  # where there is a GPU, train_gpu_test.sh uses it
refuse "--epochs is -3, expected 1 or more" d "$lookalike" train tiny.toml --data data --out d --epochs -3
evaluate=("$lookalike" evaluate a/model.safetensors --data data)
refuse "--scores requires --candidates" s.csv "${evaluate[@]}" --pairs a/splits/test.csv --scores s.csv
refuse "--truth requires --candidates" "" "${evaluate[@]}" --truth a/splits/test.csv
refuse "--candidates excludes --" "" "${evaluate[@]}" --candidates candidates.csv --count 4
refuse "without --truth" r.json "${evaluate[@]}" --candidates candidates.csv --json r.json --scores s.csv
refuse "nowhere" s.csv "${evaluate[@]}" --candidates nowhere.csv --scores s.csv
refuse "the header is" "" "${evaluate[@]}" --pairs candidates.csv
refuse "says nothing of left image" s.csv "${evaluate[@]}" --candidates candidates.csv --truth a/splits/val.csv --scores s.csv
refuse "25 candidates for 24 pairs" "" "${evaluate[@]}" --pairs a/splits/test.csv --count 25
refuse "tiny.toml" e2.npy "$lookalike" embed a/model.safetensors tiny.toml --out e2.npy
refuse "nowhere" "" "$lookalike" embed a/model.safetensors data/left --out nowhere/e.npy
refuse "nothing.safetensors" e2.npy "$lookalike" embed nothing.safetensors data/left --out e2.npy
head -c 1000 a/model.safetensors >cut.safetensors
refuse "cut.safetensors" r2.json "$lookalike" evaluate cut.safetensors --data data --json r2.json
cp -r data bad && printf 'not a picture' >bad/left/pair003.png
refuse "pair003.png" d "$lookalike" train tiny.toml --data bad --out d
"$lookalike" train tiny.toml --data bad --out skipped --epochs 1 --skip-corrupt >out.txt 2>&1
grep -q 'skipped: .*pair003.png' out.txt || fail "a skipped pair was not reported: $(cat out.txt)"
echo "all good"
