#!/usr/bin/env bash
# own_pairs_test.sh LOOKALIKE MAKE_PAIRS: what the README says under "Your own pairs", word by word, from another folder, with 40, 120 and 1,000
# made-up pairs. Without weights the recipe is the small network, of which one epoch is enough here; where they are at hand, 40 pairs with them.
set -euo pipefail
. "$(dirname "$0")/checks.sh"
commands=$(awk '/<!-- own pairs/ { found = 1 } found && /^```/ { if (inside) exit; inside = 1; next } inside' "$source/README.md")
[[ $(wc -l <<<"$commands") == 5 ]] || fail "the README's commands were not found: $commands"

lookalike() {
  if [[ $1 == train ]]; then "$lookalike" "$@" "${limits[@]}"; else "$lookalike" "$@"; fi
}
follow() {
  rm -rf mine runs mine.npy*
  "$make_pairs" mine "$1" "$2"
  while read -r command; do
    eval "$command" >out.txt 2>>said.txt </dev/null || fail "$1 pairs: $command: $(cat out.txt said.txt)"
    [[ $command != *train* ]] || grep -Eq 'raw pixels' out.txt || fail "training ends in no verdict: $(cat out.txt)"
    if [[ $command == *evaluate* ]]; then
      grep -q '^top-1\|raw pixels' out.txt || fail "evaluation ends in no verdict: $(cat out.txt)"
      [[ $(wc -L <out.txt) -le 80 ]] || fail "wider than 80 columns: $(cat out.txt)"
    fi
  done <<<"$commands"
  [[ $(wc -l <mine.npy.txt) == $((2 * $1)) ]] || fail "not $((2 * $1)) embeddings"
}

export PIP_NO_INDEX=1
limits=(--epochs 1)
sizes=(40 120 1000)
[[ -z ${LOOKALIKE_SLOW:-} ]] || sizes=(40)
for pairs in "${sizes[@]}"; do
  : >said.txt
  LOOKALIKE_WEIGHTS=$work/none follow $pairs 32
  grep -q '^recipe small-network: ' said.txt || fail "not the small network, or not said: $(cat said.txt)"
done
limits=()
if [[ -f $source/weights/efficientnet_lite2.safetensors && -z ${LOOKALIKE_SLOW:-} ]]; then
  : >said.txt
  LOOKALIKE_WEIGHTS=$source/weights follow 40 32
  grep -q '^recipe pretrained-head: ' said.txt || fail "not the head on a network, or not said: $(cat said.txt)"
else
  echo "skipped: with pre-trained weights, which are not in weights/ (lookalike weights fetch efficientnet_lite2)"
fi
echo "all good"
