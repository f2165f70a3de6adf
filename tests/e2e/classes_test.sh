#!/usr/bin/env bash
# classes_test.sh LOOKALIKE MAKE_PAIRS: the commands that take class data, on made-up folders and IDX files; on Omniglot where it is at hand.
set -euo pipefail
omniglot=${LOOKALIKE_OMNIGLOT:-$(dirname "$0")/../../../shared/data/omniglot}
[[ ! -d $omniglot ]] || omniglot=$(cd "$omniglot" && pwd)
. "$(dirname "$0")/checks.sh"

"$make_pairs" pairs 140 28
cat >tiny.toml <<'TOML'
[model]
name = "convnet_bn"
channels = [8, 16]
pool_after = [1, 2]
embedding = 8
[input]
height = 28
width = 28
channels = 1
[train]
batch_pairs = 16
TOML
# The run has not seen the first 60 pairs, which the rest of this measures on.
sed -i '/pair0[0-5]/d' pairs/pairs.csv
"$lookalike" train tiny.toml --data pairs --out run --epochs 2 >/dev/null
evaluate=("$lookalike" evaluate run/model.safetensors)

# Each pair a class of two images; 24 of them one group, 20 another, 16 a third.
i=0
for left in pairs/left/pair0[0-5]?.png; do
  group=a; ((i < 24)) || group=b; ((i < 44)) || group=c
  class=data/$group/class$((100 + i))
  mkdir -p "$class"
  cp "$left" "$class/1.png"
  cp "pairs/right/$(basename "$left")" "$class/2.png"
  i=$((i + 1))
done
"${evaluate[@]}" --data data --json all.json --scatter all.svg | tee out.txt
grep -q '^one-shot classification: .* 1120 lists of 16 to 20 candidates' out.txt || fail "not the expected lists"
grep -q '^120 images of 60 classes, each ranks all others by cosine' out.txt || fail "not the expected classes"
grep -q '"one_shot"' all.json && grep -q '"map_at_r"' all.json || fail "figures are missing in all.json"
grep -q '</svg>' all.svg || fail "no picture was drawn"
"${evaluate[@]}" --data data --json again.json >/dev/null
cmp all.json again.json
"$lookalike" train tiny.toml --data pairs --out wide --epochs 1 --set input.height=32 --set input.width=32 >/dev/null
"${evaluate[@]}" --data data --versus wide/model.safetensors --json versus.json >out.txt
for figure in 'one-shot top-1' 'precision@1'; do grep -q "^$figure: both get" out.txt || fail "$figure is not compared: $(cat out.txt)"; done
tail -2 out.txt | tr '\n' ' ' | grep -Eq 'wide/model.safetensors.*, 120 queries $' || fail "no sentence: $(cat out.txt)"
"$lookalike" evaluate wide/model.safetensors --data data --json wide.json >/dev/null
"${evaluate[@]}" --data data --versus wide.json --json from-file.json >again.txt
cmp out.txt again.txt && cmp versus.json from-file.json || fail "a model and its results compare differently"
refuse "wide.json: answers other lists" "" "${evaluate[@]}" --data data --versus wide.json --groups a,b

# Flat class folders train, keep a test part of their own, and are cut into parts in files.
"$lookalike" train tiny.toml --data data --out flat --epochs 1 >out.txt 2>&1 || fail "flat class folders: $(cat out.txt)"
refuse "images of data trained flat/model.safetensors" "" "$lookalike" evaluate flat/model.safetensors --data data
"$lookalike" evaluate flat/model.safetensors --data data --images flat/splits/test.csv --json own.json >/dev/null
grep -q '"seen_in_training": 0' own.json || fail "the run's own test images count as seen"
"$lookalike" evaluate flat/model.safetensors --data data --include-seen >out.txt 2>&1
tr -d ' \n' <out.txt | grep -q 'imagesseen' || fail "the row does not say that images were seen: $(cat out.txt)"
cp -r data cut && "$lookalike" data split cut --seed 1 >out.txt
[[ $(cat cut/{train,val,test}.csv | grep -vc '^image$') == 120 ]] || fail "data split: $(cat out.txt)"
"$lookalike" train tiny.toml --data cut --out cut-run --epochs 1 >/dev/null 2>&1
"$lookalike" evaluate cut-run/model.safetensors --data cut --json own.json >/dev/null
grep -q '"seen_in_training": 0' own.json && grep -q '"seen_in_validation": 0' own.json || fail "the test part was trained with"
# A test part never chooses the epoch.
mkdir parts && for part in train test; do mkdir parts/$part && for c in $(tail -n +2 cut/$part.csv | xargs -n1 dirname | sort -u); do mkdir -p "parts/$part/$c" && cp "cut/$c"/* "parts/$part/$c"; done; done
"$lookalike" train tiny.toml --data parts --out parts-run --epochs 1 >/dev/null 2>&1
"$lookalike" evaluate parts-run/model.safetensors --data parts --json own.json >/dev/null
grep -q '"seen_in_validation": 0' own.json || fail "the test part chose the epoch"
mv parts/test parts/val
"$lookalike" train tiny.toml --data parts --out val-run --epochs 1 >/dev/null 2>&1
[[ $(tail -n +2 val-run/splits/val.csv | wc -l) == $(find parts/val -name '*.png' | wc -l) ]] || fail "val/ does not validate"
cp -r cut/a parts/a
refuse "cannot tell parts from classes" x "$lookalike" train tiny.toml --data parts --out x
"${evaluate[@]}" --data data --groups a,b --ways 5 --runs 3 >out.txt
grep -q ' 30 lists of 5 candidates' out.txt || fail "not the expected lists: $(cat out.txt)"
"$lookalike" data check data | grep -q 'no problems' || fail "problems in whole data"
"$lookalike" embed run/model.safetensors data --out e.npy
[[ $(head -1 e.npy.txt) == data/a/class100/1.png && $(wc -l <e.npy.txt) == 120 ]] || fail "e.npy.txt: $(head -3 e.npy.txt)"

# 20 images of 28x28 bytes that are those of a PNG, over and over.
mkdir idx
cat pairs/left/*.png >files && head -c 15680 files >pixels
{ printf '\0\0\10\3\0\0\0\24\0\0\0\34\0\0\0\34' && cat pixels; } | gzip >idx/t10k-images-idx3-ubyte.gz
{ printf '\0\0\10\1\0\0\0\24' && for _ in 1 2 3 4 5; do printf '\0\1\2\3'; done; } >idx/t10k-labels-idx1-ubyte
"${evaluate[@]}" --data idx >out.txt
grep -q '^20 images of 4 classes' out.txt || fail "not the expected classes: $(cat out.txt)"
if grep -q 'one-shot' out.txt; then fail "one-shot lists where nobody asked and no group is"; fi
"${evaluate[@]}" --data idx --ways 3 | grep -q ' 60 lists of 3 candidates' || fail "not the expected lists"

refuse "the nearest is 'a'" "" "${evaluate[@]}" --data data --groups aa
refuse "expected train, val, test" "" "${evaluate[@]}" --data data --part tests
refuse "expected cosine or distance" "" "${evaluate[@]}" --data data --similarity dot
refuse "--count is for pairs" "" "${evaluate[@]}" --data data --count 5
refuse "--ways is for class data" "" "${evaluate[@]}" --data pairs --ways 5
refuse "--ways is 1, expected from 2 to 1000000" "" "${evaluate[@]}" --data data --ways 1
refuse "train-images-idx3-ubyte: no such file" "" "${evaluate[@]}" --data idx --part train
refuse "no such folder" "" "${evaluate[@]}" --data nowhere
refuse "no data set" "" "${evaluate[@]}" --data run/splits
refuse "no image in it" "" "$lookalike" embed run/model.safetensors idx --out f.npy
mkdir mixed
cp data/c/class150/1.png mixed/picture
touch mixed/Thumbs.db mixed/notes.txt
"$lookalike" embed run/model.safetensors mixed --out f.npy >out.txt 2>err.txt || fail "embed: $(cat err.txt)"
grep -q "^f.npy: 1 embeddings" out.txt || fail "not one embedding: $(cat out.txt)"
grep -qx "mixed: passed over 1 file that is no image: notes.txt" err.txt || fail "not told what was passed over: $(cat err.txt)"
printf 'not a picture' >data/a/class103/1.png
rm data/c/class150/2.png
refuse "class103/1.png: not an image" "" "${evaluate[@]}" --data data
refuse "data: 2 problems" "" "$lookalike" data check data
[[ $(wc -l <out.txt) == 2 ]] && grep -q "class 'c/class150' has one image" out.txt || fail "data check: $(cat out.txt)"
refuse "idx: 1 problem" "" "$lookalike" data check idx

if [[ -d $omniglot ]] && command -v unzip >/dev/null; then
  unzip -q "$omniglot/images_background_small2.zip" -d omniglot
  "${evaluate[@]}" --data omniglot/images_background_small2 >out.txt
  grep -q ' 1940 lists of 17 to 20 candidates' out.txt || fail "not the expected lists: $(cat out.txt)"
  grep -q '^3120 images of 156 classes' out.txt || fail "not the expected classes: $(cat out.txt)"
else
  echo "skipped: Omniglot, which LOOKALIKE_OMNIGLOT can name, or unzip is not here"
fi
echo "all good"
