#!/usr/bin/env bash
# cli_test.sh LOOKALIKE MAKE_PAIRS: help within 80 columns, wrong words and numbers in one line each, recipes by name, training without
# one, and tables within 80 columns.
set -euo pipefail
. "$(dirname "$0")/checks.sh"

# Every command's help is one screen wide, shows each of its options and an example that this program accepts.
show_help() {
  "$lookalike" "$@" --help >help.txt || fail "$*: no help"
  awk 'length > 80 { print; bad = 1 } END { exit bad }' help.txt || fail "help of '$*' is wider than 80 columns"
  grep -q '^Example:' help.txt || fail "no example in the help of '$*'"
  sed -nE '/^Commands:/,/^$/s/^  ([a-z]+) .*/\1/p' help.txt >commands.txt
  local command
  for command in $(cat commands.txt); do show_help "$@" "$command"; done
}
show_help
grep -q 'verify' <("$lookalike" weights --help) || fail "commands are missing"
"$lookalike" evaluate --help >help.txt
for words in '--device cpu|cuda' '--similarity cosine|distance' '--part train|val|test' '--top K,...' 'MODEL --data DIR'; do
  grep -qF -- "$words" help.txt || fail "'$words' is not in the help of evaluate"
done
grep -q 'lookalike train --data DIR --out' <("$lookalike") || fail "lookalike alone does not say how to begin"

"$make_pairs" data 140 24
refuse "no command 'dta', did you mean 'data'?" "" "$lookalike" dta
refuse "no command 'splt', did you mean 'split'?" "" "$lookalike" data splt
refuse "data: expected one of emoji, split" "" "$lookalike" data
refuse "no option --epoch, did you mean '--epochs'?" "" "$lookalike" train --epoch 3
refuse "no option --epoch, did you mean '--epochs'?" r "$lookalike" train digits --data data --out r --epoch=3
refuse "expected --data DIR and --out RUN, as in: lookalike train --data" "" "$lookalike" train
refuse "'b' is one argument too many" r "$lookalike" train a b --data data --out r
refuse "--out RUN: expected 1 value, not 2" r "$lookalike" train digits --data data --out r --out q
refuse "--ratios A,B,C: expected 3 values, not 2" "" "$lookalike" data split data/pairs.csv --ratios 1,2
refuse "did you mean 'siamese-contrastive'?" r "$lookalike" train siamese-contrastiv --data data --out r
refuse "did you mean 'digits'?" "" "$lookalike" recipes digit
refuse "siamese-contrastive: loss: unknown key 'margim', did you mean 'margin'?" r "$lookalike" train siamese-contrastive --data data --out r --set loss.margim=1
refuse "margin is a key of [loss]: did you mean loss.margin?" r "$lookalike" train siamese-contrastive --data data --out r --set margin=0.3
refuse "expected section.key=value" r "$lookalike" train siamese-contrastive --data data --out r --set loss.margin

# Every number at its edges.
none="''"
evaluate=("$lookalike" evaluate model --data data)
for option in top:1 lists:1 count:2 ways:2 runs:1 seed:0; do
  name=--${option%:*} low=${option#*:}
  for value in $((low - 1)) -7; do refuse "$name is $value, expected" "" "${evaluate[@]}" "$name" "$value"; done
  refuse "$name is x, expected a whole number, " "" "${evaluate[@]}" "$name" x
  refuse "$name is 2.5, expected a whole number, " "" "${evaluate[@]}" "$name" 2.5
  refuse "$name is '', expected a whole number, " "" "${evaluate[@]}" "$name" ""
  refuse "$name is 99999999999999999999, expected a whole number, from $low to " "" "${evaluate[@]}" "$name" 99999999999999999999
done
refuse "--top is 0, expected from 1 to 1000000" "" "${evaluate[@]}" --top 1,0
refuse "--lists is 1000000000, expected from 1 to 100000" "" "${evaluate[@]}" --lists 1000000000
for value in 0 -1 2000 x ""; do refuse "--size is ${value:-$none}, expected" e "$lookalike" data emoji --out e --size "$value"; done
for value in -1 x inf nan; do refuse "--ratios is $value, expected a number from 0 to 1000000" "" "$lookalike" data split data/pairs.csv --ratios "1,$value,2"; done
for value in -1 x 1e9; do refuse "--seed is $value, expected" r "$lookalike" train digits --data data --out r --seed $value; done
refuse "--count is 0, expected from 2 to 1000000" c.csv "$lookalike" data candidates data/pairs.csv --count 0 --out c.csv
refuse "--tolerance is -1, expected a number from 0 to 1000000" "" "$lookalike" weights verify m --reference r --tolerance -1
refuse "--size is 5000, expected from 1 to 4096" o "$lookalike" weights import f --model m --out o --size 5000
refuse "--precision is fp8, expected fp32, tf32, bf16" "" "${evaluate[@]}" --precision fp8

# Every option that takes a number, as the help lists them: beyond what any number is, and at the edge of 32 and 64 bits.
numbers_of() {
  local -a command=("$@")
  local option value status name
  "$lookalike" "${command[@]}" --help >help.txt
  local -a inside
  mapfile -t inside < <(sed -nE '/^Commands:/,/^$/s/^  ([a-z]+) .*/\1/p' help.txt)
  # An option is named by the help that lists it, its type N, K or X, or of more than one, A,B,C.
  local -a options
  mapfile -t options < <(sed -nE 's/^  (-[a-z], )?(--[a-z-]+) (N|X|K,\.\.\.|A,B,C)( .*)?$/\2/p' help.txt)
  for name in "${inside[@]}"; do numbers_of "${command[@]}" "$name"; done
  for option in "${options[@]}"; do
    seen_numbers=$((seen_numbers + 1))
    for value in -1 -9223372036854775808 9223372036854775808 18446744073709551616 nan inf 1e999 x; do
      refuse "$option is $value, expected" "" "$lookalike" "${command[@]}" "$option=$value"
    done
    # What is in range is refused for what else is missing, at once.
    for value in 0 1 2147483647 2147483648 9223372036854775807; do
      refuse "" "" timeout 10 "$lookalike" "${command[@]}" "$option=$value"
    done
  done
}
seen_numbers=0
numbers_of
((seen_numbers >= 15)) || fail "$seen_numbers options with numbers were found in the help"

# Recipes by name, from any folder; what is printed is a recipe.
"$lookalike" recipes >list.txt
awk 'length > 80 { exit 1 }' list.txt || fail "the list of recipes is wider than 80 columns"
grep -q '^  siamese-contrastive$' list.txt || fail "not in the list: siamese-contrastive"
"$lookalike" recipes siamese-nt-xent >own.toml
tiny=(--epochs 1 --set input.height=16 --set input.width=16 --set model.filters=[4,8] --set model.embedding=8)
for recipe in siamese-nt-xent own.toml; do "$lookalike" train "$recipe" --data data --out "run-$recipe" "${tiny[@]}" >/dev/null 2>&1; done
cmp run-siamese-nt-xent/model.safetensors run-own.toml/model.safetensors

# Without a recipe and without weights: the small network, and why. It goes on without a recipe, too.
mkdir none
LOOKALIKE_WEIGHTS=$PWD/none PIP_NO_INDEX=1 "$lookalike" train --data data --out chosen --epochs 1 --set input.height=32 --set input.width=32 >/dev/null 2>err.txt
grep -q '^recipe small-network: there is no pre-trained network' err.txt || fail "no recipe was chosen: $(cat err.txt)"
grep -q '^for a better one: lookalike weights fetch ' err.txt || fail "no word on a better one: $(cat err.txt)"
"$lookalike" train --data data --out chosen --resume >/dev/null 2>err.txt || fail "resumed without a recipe: $(cat err.txt)"

# A table within 80 columns, whatever the model is called and however many columns.
long=$PWD/a-folder-with-a-long-name/and-another-one/below-it
mkdir -p "$long" && cp run-own.toml/model.safetensors "$long"
"$lookalike" data split data/pairs.csv >/dev/null
"$lookalike" evaluate "$long/model.safetensors" --data data --top 1,2,4,15,20 >out.txt
[[ $(grep -v "^/" out.txt | wc -L) -le 80 ]] || fail "a table wider than 80 columns: $(cat out.txt)"
grep -q 'top-20 %' out.txt && grep -q 'MRR' out.txt || fail "columns are missing: $(cat out.txt)"

echo "all good"
