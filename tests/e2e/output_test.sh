#!/usr/bin/env bash
# output_test.sh LOOKALIKE MAKE_PAIRS: results arrive or are an error, messages never stop the work, nothing is written over that is not of
# the same kind, two processes never write the same thing, pipes and devices are refused without a wait, and no file's text commands a terminal.
set -euo pipefail
. "$(dirname "$0")/checks.sh"
export OMP_NUM_THREADS=1 LOOKALIKE_WEIGHTS=$work/none
mkdir none

"$make_pairs" data 40 16
cp -r data classes && rm classes/*.csv && mv classes/left classes/x && mv classes/right classes/y
small=(--set input.height=16 --set input.width=16 --set 'model.filters=[4,8]' --set model.embedding=8)
tiny=(--epochs 1 "${small[@]}")
train=("$lookalike" train siamese-nt-xent --data data "${tiny[@]}")
"${train[@]}" --out run >said.txt 2>err.txt || fail "$(cat err.txt)"
model=run/model.safetensors
image=$(find data/left -name '*.png' | sort | head -1)
"$lookalike" data candidates data/pairs.csv --count 4 --out candidates.csv >/dev/null
printf 'left,right\na,b\n' >pairs.csv

# Where the time goes, by layer, for those who ask.
LOOKALIKE_PROFILE=1 "$lookalike" embed "$model" data/left --out e.npy >said.txt 2>err.txt || fail "$(cat err.txt)"
grep -qE '^layer +calls +forward, ms +backward, ms +share$' err.txt || fail "no table: $(cat err.txt)"
grep -qE '^conv1 +[1-9][0-9]* +[0-9]+\.[0-9] +0\.0 +[0-9.]+%$' err.txt || fail "no layer conv1: $(cat err.txt)"
LOOKALIKE_PROFILE=1 "${train[@]}" --out profiled >said.txt 2>err.txt || fail "$(cat err.txt)"
grep -qE '^conv1 +[1-9][0-9]* +[0-9.]+ +(0\.[1-9]|[1-9][0-9]*\.[0-9]) ' err.txt || fail "no backward: $(cat err.txt)"
cmp -s run/model.safetensors profiled/model.safetensors || fail "measuring changes what is learned"
rm -r profiled

# 1. Results arrive, or there is one line and status 1.
lost() {  # COMMAND...: whose standard output is full, closed, or for reading alone
  local how status
  for how in full closed reading; do
    status=0
    case $how in
      full) "$@" >/dev/full 2>err.txt || status=$? ;;
      closed) "$@" >&- 2>err.txt || status=$? ;;
      reading) "$@" 1</dev/null 2>err.txt || status=$? ;;
    esac
    [[ $status == 1 ]] || fail "standard output $how: status $status of $*"
    grep -q '^lookalike: cannot write the result to standard output: ' err.txt || fail "standard output $how: $* said: $(cat err.txt)"
    [[ $(grep -c '^lookalike: ' err.txt) == 1 ]] || fail "not one line: $(cat err.txt)"
  done
}
lost "$lookalike"
lost "$lookalike" --help
lost "$lookalike" --version
lost "$lookalike" data split --help
lost "$lookalike" recipes
lost "$lookalike" recipes digits
lost "$lookalike" data split data/pairs.csv --out parts
lost "$lookalike" data candidates data/pairs.csv --count 4 --out c.csv
lost "$lookalike" data check data
lost "$lookalike" compare "$model" "$image" "$image"
lost "$lookalike" embed "$model" data/left --out e.npy
lost "$lookalike" evaluate "$model" --data data --include-seen --json j.json
lost "$lookalike" weights inspect "$model"
lost "$lookalike" weights center "$model" data/left --out centered.safetensors
lost "$lookalike" train siamese-nt-xent --data data "${tiny[@]}" --out run --resume
[[ -s j.json && -s e.npy ]] || fail "files are lost with standard output"
[[ $("$lookalike" --version) =~ ^[0-9.]+$ ]] || fail "no version"
# Results at which nobody looks end the program as they end others.
status=0
{ "$lookalike" recipes || echo $? >status.txt; } 2>err.txt | true || true
for _ in 1 2 3 4 5; do
  rm -f status.txt
  { { sleep 0.2; "$lookalike" recipes; } 2>err.txt || echo $? >status.txt; } | true || true
  [[ -e status.txt ]] && break
done
[[ $(cat status.txt) == 141 && ! -s err.txt ]] || fail "a pipe without a reader: status $(cat status.txt), said: $(cat err.txt)"

# 2. Messages that cannot be written stop nothing.
"${train[@]}" --out same >/dev/null 2>&1
"${train[@]}" --out full >/dev/null 2>/dev/full || fail "a full standard error stops training"
"${train[@]}" --out closed >/dev/null 2>&- || fail "a closed standard error stops training"
"${train[@]}" --out pipe 2>&1 >/dev/null | true
[[ ${PIPESTATUS[0]} == 0 ]] || fail "a pipe without a reader as standard error stops training"
"${train[@]}" --out all <&- >&- 2>&- && fail "the result of training is lost with status 0"
for run in full closed pipe all; do cmp same/model.safetensors $run/model.safetensors; done
"$lookalike" embed "$model" data/left --out f.npy <&- >&- 2>&- && fail "the result is lost with status 0"
cmp e.npy f.npy && cmp e.npy.txt f.npy.txt
status=0
"$lookalike" nothing 2>/dev/full || status=$?
[[ $status == 1 ]] || fail "status $status where the message is lost"

# A file that cannot grow: one line, the old file, nothing beside it.
cp e.npy old.npy && ls -A >before.txt
status=0
(ulimit -f 1 && exec "$lookalike" embed "$model" data/left data/right --out e.npy) >/dev/null 2>err.txt || status=$?
[[ $status == 1 && $(wc -l <err.txt) == 1 ]] && grep -q "cannot write 'e.npy.*': File too large" err.txt || fail "status $status: $(cat err.txt)"
cmp e.npy old.npy && ls -A | diff before.txt - || fail "something is left of a failed write"

# 3. Pipes, devices and folders, as inputs and outputs: one line, no wait.
mkdir piped && cp -r data/left data/right data/pairs.csv piped && mkfifo piped/test.csv piped/left/pipe.png
mkfifo pipe.csv pipe.npy pipe.toml pipe.safetensors pipe.png pipe.json
now() { local expected=$1; shift; refuse "$expected" "" timeout 20 "$@"; }
regular="it is not a regular file"
now "$regular" "$lookalike" data split pipe.csv
now "$regular" "$lookalike" data candidates pipe.csv --out c2.csv
now "$regular" "$lookalike" train pipe.toml --data data --out r
now "$regular" "$lookalike" train siamese-nt-xent --data data --out r --start pipe.safetensors "${tiny[@]}"
now "$regular" "$lookalike" compare pipe.safetensors "$image" "$image"
now "$regular" "$lookalike" compare "$model" "$image" pipe.png
now "$regular" "$lookalike" embed "$model" pipe.png --out g.npy
now "$regular" "$lookalike" embed "$model" "$image" --out g.npy --center piped/test.csv
now "$regular" "$lookalike" evaluate "$model" --data data --pairs pipe.csv
now "$regular" "$lookalike" evaluate "$model" --data data --candidates pipe.csv --scores s.csv
now "$regular" "$lookalike" weights inspect pipe.safetensors
now "$regular" "$lookalike" weights inspect /dev/zero
now "$regular" "$lookalike" weights import pipe.safetensors --model resnet50 --out i.safetensors
now "$regular" "$lookalike" weights center "$model" piped/test.csv --out i.safetensors
now "$regular" "$lookalike" weights verify "$model" --reference pipe.safetensors
now "$regular" "$lookalike" data emoji --font pipe.png --out emoji
now "$regular" "$lookalike" embed "$model" "$image" --out pipe.npy
now "$regular" "$lookalike" evaluate "$model" --data data --json pipe.json
now "$regular" "$lookalike" evaluate "$model" --data data --json /dev/stdout
now "$regular" "$lookalike" evaluate "$model" --data data --json data
now "$regular" "$lookalike" embed "$model" "$image" --out /dev/null
now "$regular" "$lookalike" data candidates data/pairs.csv --count 4 --out pipe.csv
now "$regular" "$lookalike" weights center "$model" data/left --out pipe.safetensors
status=0
"$lookalike" compare "$model" "$image" /dev/stdin <"$image" >out.txt || fail "a file as standard input is refused"
cat "$image" | timeout 20 "$lookalike" compare "$model" "$image" /dev/stdin >out.txt 2>err.txt || status=$?
[[ $status == 1 && $(wc -l <err.txt) == 1 ]] && grep -q "$regular" err.txt || fail "a pipe as standard input: status $status: $(cat err.txt)"
now "test.csv" "$lookalike" evaluate "$model" --data piped
now "problem" "$lookalike" data check piped
mkdir has-pipe && mkfifo has-pipe/metrics.jsonl
now "$regular" "${train[@]}" --out has-pipe
for option in "embed $model $image --out" "data emoji --out" "data split data/pairs.csv --out" "train digits --data data --out" \
  "evaluate $model --data data --json" "weights center $model data/left --out"; do
  for name in "" -; do refuse "${option##* } is '$name', expected the name of a" "-" "$lookalike" $option "$name"; done
done

# 4. Outputs do not replace inputs, each other, or files of another kind.
kept() {  # EXPECTED FILE COMMAND...: refused, and FILE is as it was
  local expected=$1 file=$2
  shift 2
  cp "$file" kept.tmp
  refuse "$expected" "" "$@"
  cmp -s "$file" kept.tmp || fail "$file was changed by: $*"
}
cp "$model" m.safetensors && cp "$image" photo.jpg && ln -s m.safetensors link && ln m.safetensors hard && printf 'notes\n' >notes.txt
kept "--out: 'm.safetensors' is MODEL, which is read" m.safetensors "$lookalike" embed m.safetensors "$image" --out m.safetensors
kept "--out: 'link' is MODEL, which is read" m.safetensors "$lookalike" weights center m.safetensors data/left --out link
kept "--out: 'hard' is MODEL, which is read" m.safetensors "$lookalike" weights center m.safetensors data/left --out hard
kept "--out: './/m.safetensors' is FILE, which is read" m.safetensors "$lookalike" weights import m.safetensors --model resnet50 --out .//m.safetensors
kept "--out: 'photo.jpg' is INPUT, which is read" photo.jpg "$lookalike" embed "$model" photo.jpg --out photo.jpg
kept "--json: 'data/pairs.csv' is --pairs, which is read" data/pairs.csv "$lookalike" evaluate "$model" --data data --pairs data/pairs.csv --json data/pairs.csv
kept "--scores: 'candidates.csv' is --candidates, which is read" candidates.csv "$lookalike" evaluate "$model" --data data --candidates candidates.csv --scores candidates.csv
kept "--json: 'candidates.csv' is --candidates" candidates.csv "$lookalike" evaluate "$model" --data data --candidates candidates.csv --truth data/pairs.csv --json candidates.csv
kept "--out: 'data/pairs.csv' is PAIRS, which is read" data/pairs.csv "$lookalike" data candidates data/pairs.csv --out data/pairs.csv
refuse "--scores: './new' is that of --json already" new "$lookalike" evaluate "$model" --data data --candidates candidates.csv --truth data/pairs.csv --json new --scores ./new
kept "'notes.txt' is there and is not results of evaluate" notes.txt "$lookalike" evaluate "$model" --data data --json notes.txt
kept "is not results of evaluate" m.safetensors "$lookalike" evaluate "$model" --data data --json m.safetensors
kept "is not results of evaluate" run/metrics.jsonl "$lookalike" evaluate "$model" --data data --json run/metrics.jsonl
kept "is not a NumPy array" photo.jpg "$lookalike" embed "$model" "$image" --out photo.jpg
kept "is not an SVG picture" photo.jpg "$lookalike" evaluate "$model" --data classes --scatter photo.jpg
kept "is not candidates" pairs.csv "$lookalike" data candidates data/pairs.csv --count 4 --out pairs.csv
kept "is not a model" notes.txt "$lookalike" weights center "$model" data/left --out notes.txt
cp photo.jpg g.npy.txt
echo notes >h.npy.txt
kept "'h.npy.txt' is there and is not a list of file names" h.npy.txt "$lookalike" embed "$model" "$image" --out h.npy
printf '{\n  "model": "resnet50"\n}\n' >config.json
kept "'config.json' is there and is not results of evaluate" config.json "$lookalike" evaluate "$model" --data data --json config.json
kept "'g.npy.txt' is there and is not a list of file names" g.npy.txt "$lookalike" embed "$model" "$image" --out g.npy
for kind in train val test; do
  mkdir "kaggle-$kind" && cp -r data/left data/right data/pairs.csv "kaggle-$kind" && printf 'id,label\n1,2\n' >"kaggle-$kind/$kind.csv"
  kept "$kind.csv' is there and is not a part" "kaggle-$kind/$kind.csv" "$lookalike" data split "kaggle-$kind/pairs.csv" --ratios 1,0,0
  cp -r classes "named-$kind" && printf 'id,label\n1,2\n' >"named-$kind/$kind.csv"
  kept "$kind.csv' is there and is not a part" "named-$kind/$kind.csv" "$lookalike" data split "named-$kind" --ratios 80,10,10 --by images
done
mkdir own && "$lookalike" recipes siamese-nt-xent >own/recipe.toml && cp "$model" own/start.safetensors && ln own/start.safetensors own/model.safetensors
kept "recipe.toml' is RECIPE, which is read" own/recipe.toml "$lookalike" train own/recipe.toml --data data --out own "${tiny[@]}"
kept "model.safetensors' is --start, which is read" own/model.safetensors "${train[@]}" --out own --start own/start.safetensors
refuse "is the folder of --data, expected another" data/recipe.toml "${train[@]}" --out data/.
mkdir taken && cp photo.jpg taken/model.safetensors
kept "is there and is not a model" taken/model.safetensors "${train[@]}" --out taken
# A file of its own kind is replaced; an empty one too.
: >empty
for _ in 1 2; do
  "$lookalike" embed "$model" "$image" --out again.npy >/dev/null
  "$lookalike" evaluate "$model" --data data --include-seen --json again.json >/dev/null 2>&1
  "$lookalike" evaluate "$model" --data classes --include-seen --json again2.json --scatter again.svg >/dev/null 2>&1
  "$lookalike" evaluate "$model" --data data --candidates candidates.csv --scores again.csv >/dev/null 2>&1
  "$lookalike" data candidates data/pairs.csv --count 4 --out again2.csv >/dev/null
  "$lookalike" weights center "$model" data/left --out again.safetensors >/dev/null
  "$lookalike" data split data/pairs.csv --out again >/dev/null
  "$lookalike" data candidates data/pairs.csv --count 4 --out empty >/dev/null
done
chmod 600 again.npy && "$lookalike" embed "$model" "$image" --out again.npy >/dev/null && [[ $(stat -c %a again.npy) == 600 ]] || fail "permissions changed"

# 5. Two at once: the second one is refused, the first one is as if alone, and what a killed one leaves is no obstacle.
longer=("$lookalike" train siamese-nt-xent --data data "${small[@]}" --epochs 100000 --out twice)
"${longer[@]}" >/dev/null 2>first.txt &
first=$!
until [[ -e twice/last.safetensors ]] || ! kill -0 $first 2>/dev/null; do sleep 0.05; done
refuse "cannot write 'twice': another process is writing it" "" "${longer[@]}"
refuse "cannot write 'twice': another process is writing it" "" "${longer[@]}" --resume
ln -s twice alias
refuse "cannot write 'alias': another process is writing it" "" "${longer[@]/%twice/alias}" --resume
kill -KILL $first
wait $first 2>/dev/null || true
ls -A twice | grep -q lookalike || fail "no lock in the run folder"
epochs=$(($(wc -l <twice/metrics.jsonl) + 2))
"${longer[@]/%100000/$epochs}" --resume >/dev/null 2>err.txt || fail "no resuming after a kill: $(cat err.txt)"
[[ $(wc -l <twice/metrics.jsonl) == "$epochs" ]] || fail "lines of metrics: $(cat twice/metrics.jsonl)"
ls -A twice | grep lookalike && fail "locks are left in the run folder"
# Begun at the same moment in one new folder: one run of them, whole.
for i in 1 2 3; do "${train[@]}" --out race --seed "$i" >/dev/null 2>"race$i.txt" & racing[i]=$!; done
winners=0
for i in 1 2 3; do if wait "${racing[i]}"; then winners=$((winners + 1)) winner=$i; else grep -qE "another process is writing it|holds a run already" "race$i.txt" || fail "$(cat "race$i.txt")"; fi; done
[[ $winners == 1 && $(wc -l <race/metrics.jsonl) == 1 ]] || fail "$winners trainings in one folder"
"${train[@]}" --out alone --seed "$winner" >/dev/null 2>&1
cmp race/model.safetensors alone/model.safetensors
for file in train val test; do cmp "race/splits/$file.csv" "alone/splits/$file.csv"; done
# Splits into one folder: all files are of the one or of the other.
for i in 1 2 3 4; do "$lookalike" data split data/pairs.csv --seed "$i" --out "parts$i" >/dev/null; done
for i in 1 2 3 4; do "$lookalike" data split data/pairs.csv --seed "$i" --out together >/dev/null 2>"split$i.txt" & racing[i]=$!; done
for i in 1 2 3 4; do wait "${racing[i]}" || grep -q "another process is writing it" "split$i.txt" || fail "$(cat "split$i.txt")"; done
for i in 1 2 3 4; do diff -r "parts$i" together >/dev/null && found=$i; done
[[ -n ${found:-} ]] || fail "a split of two"
font=/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf
if [[ -e $font ]]; then
  mkdir -p gems/png && for n in 0 1 2 3 4 5 6 7; do cp "$image" gems/png/1F60$n.png; done
  for i in 1 2; do "$lookalike" data emoji --gemojione gems --out smiles >/dev/null 2>"emoji$i.txt" & racing[i]=$!; done
  winners=0
  for i in 1 2; do if wait "${racing[i]}"; then winners=$((winners + 1)); else grep -qE "another process|already exists" "emoji$i.txt" || fail "$(cat "emoji$i.txt")"; fi; done
  [[ $winners == 1 && $(wc -l <smiles/pairs.csv) == 9 ]] || fail "$winners made emoji in one folder"
  # What a killed one left is removed.
  mkdir -p .grins.lookalike-folder/pairs && : >.grins.lookalike-0
  "$lookalike" data emoji --gemojione gems --out grins >/dev/null
  ls -A | grep '^\.grins' && fail "a leftover stays"
fi

# 6. Names from files and the command line: one line, nothing that a terminal obeys.
mkdir odd
esc=$'\e[31m' bidi=$'\xe2\x80\xae'
clean() { LC_ALL=C grep -qE $'[\x01-\x09\x0b-\x1f\x7f]|\xe2\x80[\xa8-\xae]' "$@" && fail "a control character in: $(cat -v "$@")"; return 0; }
refuse '\x1b[31mno' "" "$lookalike" compare "$model" "$image" "${esc}no"
clean err.txt
refuse 'li\nne' "" "$lookalike" train $'li\nne' --data data --out r
refuse '\x1b[31mno' "" "$lookalike" "${esc}no"
clean err.txt
refuse '\u202egnp' "" "$lookalike" data split "${bidi}gnp"
refuse '\xff' "" "$lookalike" compare $'\xff' "$image" "$image"
refuse "..." "" "$lookalike" compare "$model" "$image" "$(printf 'x%.0s' {1..3000})"
[[ $(wc -m <err.txt) -le 301 ]] || fail "a message of $(wc -m <err.txt) characters"
cp -r data odd/data && mv "odd/data/left/$(basename "$image")" "odd/data/left/a${esc}${bidi}.png"
cp "$image" "odd/data/left/new"$'\n'"line.png" && : >"odd/data/left/${esc}notes.txt"
"$lookalike" data check odd/data >out.txt 2>err.txt && fail "no problems found"
clean out.txt err.txt
"$lookalike" embed "$model" "odd/data/left" --out odd/e.npy >out.txt 2>err.txt || fail "$(cat err.txt)"
clean out.txt err.txt
mkdir "odd/${esc}model" && cp "$model" "odd/${esc}model/m"$'\n'"n.safetensors"
"$lookalike" evaluate "odd/${esc}model/m"$'\n'"n.safetensors" --data data --include-seen --json "odd/${esc}.json" >out.txt 2>err.txt || fail "$(cat err.txt)"
clean out.txt err.txt
"$lookalike" evaluate "odd/${esc}model/m"$'\n'"n.safetensors" --data classes --include-seen >out.txt 2>err.txt || fail "$(cat err.txt)"
clean out.txt err.txt
cp "$model" $'odd/\xff.safetensors'
"$lookalike" evaluate $'odd/\xff.safetensors' --data data --include-seen --json odd/j.json >out.txt 2>err.txt || fail "a name that is not UTF-8: $(cat err.txt)"
python3 -m json.tool odd/j.json >/dev/null || fail "not JSON"
"$lookalike" weights inspect "odd/${esc}model/m"$'\n'"n.safetensors" >out.txt 2>err.txt || fail "$(cat err.txt)"
clean out.txt err.txt
printf '[model]\nname = "\\u001b[31mconvnet\\u2028"\n' >odd/r.toml
refuse '\x1b[31m' r "$lookalike" train odd/r.toml --data data --out r
clean err.txt

# On a terminal the best row and the first words of the verdict are bold, unless that is not wanted; elsewhere no byte changes.
if command -v script >/dev/null; then
  show=("$lookalike" evaluate "$model" --data data --include-seen)
  on_terminal() { env -u NO_COLOR TERM=xterm "$@" script -qec "$(printf '%q ' "${show[@]}") 2>/dev/null" /dev/null </dev/null | tr -d '\r'; }
  "${show[@]}" >plain.txt 2>/dev/null
  on_terminal env >bold.txt
  [[ $(grep -c $'\e\\[1m' bold.txt) -ge 3 ]] || fail "nothing stands out on a terminal: $(cat -v bold.txt)"
  sed 's/\x1b\[[01]m//g' bold.txt | cmp - plain.txt || fail "a terminal shows other words"
  for setting in NO_COLOR=1 TERM=dumb; do on_terminal env $setting | cmp - plain.txt || fail "bold with $setting"; done
  on_terminal env NO_COLOR= | cmp - bold.txt || fail "an empty NO_COLOR is none"
fi
echo "all good"
