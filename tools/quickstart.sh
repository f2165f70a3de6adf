#!/usr/bin/env bash
# From a fresh clone to a top-k table: installs what is needed (Debian or Ubuntu), builds, makes the emoji pairs, trains a Siamese CNN and
# evaluates it on pairs it has never seen. What is done already is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
data=datasets/emoji run=runs/quickstart

echo "== 1/4 build"
tools/install_dependencies.sh
[[ -f build/CMakeCache.txt ]] || cmake --preset release >/dev/null
cmake --build --preset release --target lookalike

echo "== 2/4 data: $data"
[[ -f $data/pairs.csv ]] || build/lookalike data emoji --out "$data"
[[ -f $data/test.csv ]] || build/lookalike data split "$data/pairs.csv" --ratios 70,15,15 --seed 0

echo "== 3/4 train: $run"
if [[ -f $run/last.safetensors ]]; then resume=--resume; else resume=; fi
build/lookalike train siamese-triplet-hard --data "$data" --out "$run" $resume

echo "== 4/4 evaluate on the test pairs"
build/lookalike evaluate "$run/model.safetensors" --data "$data" --pairs "$data/test.csv" --json "$run/test.json"

cat <<END

Next:
  build/lookalike embed $run/model.safetensors $data/left --out emoji.npy      embeddings for your own program
  build/lookalike train emoji-best --data $data --out runs/best      the most accurate recipe from random weights; build/lookalike recipes lists all
  build/lookalike train --data DIR --out runs/mine      your own pairs (README: "Your own pairs")
END
