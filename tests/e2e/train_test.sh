#!/usr/bin/env bash
# train_test.sh LOOKALIKE MAKE_PAIRS: the binary from end to end on made-up pairs. Training learns, repeats bit for bit with one thread and
# with two, continues after SIGKILL and signals as if nothing had happened, and is lengthened; bad input ends with one line and status 1.
set -euo pipefail
. "$(dirname "$0")/checks.sh"

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

"$lookalike" train tiny.toml --data data --out a >said.txt 2>err.txt || fail "$(cat err.txt)"
awk 'length > 80 { exit 1 }' err.txt || fail "lines of more than 80 columns: $(cat err.txt)"
tr '\n' ' ' <said.txt | grep -Eq ' a (beats|equals|loses to) raw pixels.*: on the validation pairs, which chose the epoch, top-1 .* points \[' || fail "no sentence on raw pixels: $(cat said.txt)"
grep -q '"mean_similarity":{"matching":0.*,"measure":"cosine","other":' a/metrics.jsonl || fail "$(cat a/metrics.jsonl)"
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

# Ctrl-C and SIGTERM: everything is saved, and the line that is printed goes on. A run that ended before it was met begins again.
for signal in INT:130 TERM:143; do
  run="it's ${signal%:*}" status=0
  for attempt in 1 2 3 4 5; do
    rm -rf "$run"
    env --default-signal=INT "$lookalike" train tiny.toml --data data --out "$run" --set 'split.held_out=[]' >out.txt 2>err.txt &
    child=$!
    until [[ -e $run/last.safetensors ]] || ! kill -0 $child 2>/dev/null; do sleep 0.01; done
    kill -s "${signal%:*}" $child 2>/dev/null || true
    status=0
    wait $child || status=$?
    ((status == 0)) || break
  done
  ((status == ${signal#*:})) || fail "status $status after SIG${signal%:*}: $(cat err.txt)"
  grep -Eq '^stopped (in epoch [0-9]+, step [0-9]+ of [0-9]+|after epoch [0-9]+); go on with: ' <(tail -n 1 err.txt) || fail "$(cat err.txt)"
  [[ ! -s out.txt ]] || fail "a result of a run that was stopped: $(cat out.txt)"
  eval "$(sed -n 's/^stopped.* go on with: //p' err.txt)" >/dev/null 2>&1
  cmp a/last.safetensors "$run/last.safetensors"
done
# Before the first step it ends at once.
status=0
timeout -s TERM --preserve-status 0.01 "$lookalike" train tiny.toml --data data --out early >/dev/null 2>err.txt || status=$?
((status == 143)) && [[ ! -s err.txt || -e early/last.safetensors ]] || fail "status $status: $(cat err.txt)"

# A finished run says so, writes nothing, and is lengthened to what a longer one gives; with a cosine schedule it says what does.
short=("$lookalike" train tiny.toml --data data --out short)
"${short[@]}" --epochs 3 --set train.patience=9 >/dev/null 2>&1
find short -type f -exec touch -d 2000-01-01 {} +
"${short[@]}" --epochs 3 --set train.patience=9 --resume >out.txt 2>err.txt
grep -q '^finished already, all 3 epochs; for more: .* --resume --epochs 6$' err.txt || fail "$(cat err.txt)"
[[ -z $(find short -newermt 2001-01-01 -type f) ]] || fail "a finished run was written to"
refuse "train.epochs is 2 (--epochs), but this run has done 3 epochs already" "" "${short[@]}" --epochs 2 --resume
"${short[@]}" --resume >/dev/null 2>&1
cmp a/last.safetensors short/last.safetensors
cosine=("$lookalike" train tiny.toml --data data --out cosine --set optimizer.schedule=cosine)
"${cosine[@]}" --epochs 2 >/dev/null 2>&1
"${cosine[@]}" --epochs 2 --resume >out.txt 2>err.txt
grep -q 'begin a new run from its weights, with --start cosine/last.safetensors and another --out' err.txt || fail "$(cat err.txt)"
refuse "train.epochs cannot become 3 (--epochs) where it was 2" "" "${cosine[@]}" --epochs 3 --resume
"$lookalike" train tiny.toml --data data --out cosine2 --epochs 1 --start cosine/last.safetensors >/dev/null 2>&1
refuse "nothing: no run to go on with (no last.safetensors); without --resume a new one begins" nothing "$lookalike" train tiny.toml --data data --out nothing --resume
refuse "train.seed is 0 in the run and 5 now (--seed 0), and 1 more" "" "$lookalike" train tiny.toml --data data --out a --resume --seed 5 --start random
cp -r a broken && LC_ALL=C sed -i 's/\\"epoch\\":6/\\"epoch\\":9/' broken/last.safetensors
refuse "broken/last.safetensors: metadata 'progress': 'epoch' is 9, expected an integer from 0 to 6" "" "$lookalike" train tiny.toml --data data --out broken --resume

# NaN: in weights, features and losses it is an error that says where, and nothing prints it.
not_a_number() { printf '\0\0\300\177' | dd of="$1" bs=1 seek=$(($(stat -c %s "$1") - 4)) conv=notrunc 2>/dev/null; }
cp short/last.safetensors broken/last.safetensors && not_a_number broken/last.safetensors
refuse "holds NaN or infinity" "" "$lookalike" train tiny.toml --data data --out broken --resume --epochs 7
cp a/model.safetensors nan.safetensors && not_a_number nan.safetensors
refuse "nan.safetensors: tensor" n.json "$lookalike" evaluate nan.safetensors --data data --json n.json
refuse "holds NaN or infinity" n.npy "$lookalike" embed nan.safetensors data/left/pair000.png --out n.npy
refuse "holds NaN or infinity" "" "$lookalike" compare nan.safetensors data/left/pair000.png data/right/pair000.png
status=0
"$lookalike" train tiny.toml --data data --out wild --set optimizer.name=sgd --set optimizer.learning_rate=1e38 >out.txt 2>err.txt || status=$?
((status == 1)) && grep -q 'finite.*--set optimizer.learning_rate' err.txt || fail "status $status: $(cat err.txt)"
grep -qi '[^a-z]nan[^a-z]' out.txt err.txt && fail "NaN was printed: $(cat err.txt)"
cached=(train tiny.toml --data data --set augmentation.flip=0 --set augmentation.shift=0 --set augmentation.rotation=0 --start random --freeze conv1 --cache-features --epochs 1)
"$lookalike" "${cached[@]}" --out features >/dev/null 2>&1
for file in data/features/*; do not_a_number "$file"; done
refuse "hold NaN or infinity; delete the file" x "$lookalike" "${cached[@]}" --out x
rm -r data/features

# What batches lack is said; a network that is well hears of nothing.
grep -q 'warning\|batches hold' <("$lookalike" train tiny.toml --data data --out well 2>&1) && fail "a warning of a run that is well"
"$lookalike" train tiny.toml --data data --out few --epochs 1 --set train.batch_pairs=200 >out.txt 2>err.txt
grep -q '^batches hold 72 samples, since there are no more; train.batch_pairs is 200$' err.txt || fail "$(cat err.txt)"
"$lookalike" train tiny.toml --data data --out stopped --epochs 60 --set train.patience=2 >out.txt
read -r epochs best < <(sed -nE 's/^stopped: ([0-9]+) epochs, .* in epoch ([0-9]+)$/\1 \2/p' out.txt)
((epochs == best + 2 && epochs < 60)) || fail "patience of 2: $(cat out.txt)"

"$lookalike" evaluate a/model.safetensors --data data --pairs a/splits/test.csv --json report.json
"$lookalike" data candidates a/splits/test.csv --count 20 --seed 1 --out candidates.csv
"$lookalike" evaluate a/model.safetensors --data data --candidates candidates.csv --truth a/splits/test.csv --scores scores.csv
"$lookalike" evaluate a/model.safetensors --data data --candidates candidates.csv --scores unlabelled.csv
grep -q '"at_validation_threshold": {' report.json || fail "no rates at a threshold from validation in $(cat report.json)"
grep -q '^  "gallery": {$' report.json && grep -Eq '^      "cmc": \[[0-9.,]*1\.0\],?$' report.json || fail "no gallery in $(cat report.json)"
grep -q '"versus_raw_pixels": {' report.json || fail "no comparison in $(cat report.json)"
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
refuse "--start: is not UTF-8" d "$lookalike" train tiny.toml --data data --out d --start $'m\xff'
refuse "conv excludes --exact-conv" d "$lookalike" train tiny.toml --data data --out d --conv native --exact-conv
refuse "--recipe" d "$lookalike" train tiny.toml --data data --out d --recipe x
refuse "nowhere" d "$lookalike" train tiny.toml --data nowhere --out d
refuse "none.toml" d "$lookalike" train none.toml --data data --out d
refuse "--resume" "" "$lookalike" train tiny.toml --data data --out a
refuse "seed" "" "$lookalike" train tiny.toml --data data --out a --resume --seed 5
cp -r data other && "$lookalike" data split other/pairs.csv --ratios 60,20,20 --seed 9
refuse "a/splits/test.csv" "" "$lookalike" train tiny.toml --data other --out a --resume --epochs 7
on_gpu=("$lookalike" embed a/model.safetensors data/left/pair000.png --device cuda --out g.npy)
"${on_gpu[@]}" >/dev/null 2>&1 || refuse "cuda" g.npy "${on_gpu[@]}"  # where there is a GPU, train_gpu_test.sh uses it
refuse "--epochs is -3, expected from 1 to 1000000" d "$lookalike" train tiny.toml --data data --out d --epochs -3
evaluate=("$lookalike" evaluate a/model.safetensors --data data)
refuse "--scores requires --candidates" s.csv "${evaluate[@]}" --pairs a/splits/test.csv --scores s.csv
refuse "--truth requires --candidates" "" "${evaluate[@]}" --truth a/splits/test.csv
refuse "--candidates excludes --" "" "${evaluate[@]}" --candidates candidates.csv --count 4
refuse "without --truth" r.json "${evaluate[@]}" --candidates candidates.csv --json r.json --scores s.csv
refuse "nowhere" s.csv "${evaluate[@]}" --candidates nowhere.csv --scores s.csv
refuse "the header is" "" "${evaluate[@]}" --pairs candidates.csv
refuse "says nothing of left image" s.csv "${evaluate[@]}" --candidates candidates.csv --truth a/splits/val.csv --scores s.csv
"${evaluate[@]}" --pairs a/splits/test.csv --count 25 2>err.txt | grep -q '24 queries, 120 lists of 24 candidates' || fail "lists are not shortened"
grep -q '24 pairs: each is ranked among all 24' err.txt || fail "shorter lists are not said: $(cat err.txt)"

# No figure on what the model has seen, unless that is asked for: without a test part, of a stale one, of a split with another seed.
refuse "72 of 120 queries of data/pairs.csv trained a/model.safetensors and 24 chose its epoch; what it has not seen: --pairs a/splits/test.csv; --include-seen" r.json "${evaluate[@]}" --json r.json
"${evaluate[@]}" --include-seen --json r.json >out.txt 2>err.txt
for kind in 'unseen (24)' 'seen in training (72)' 'seen in validation (24)'; do [[ $(grep -c "^$kind " out.txt) -ge 3 ]] || fail "no rows '$kind': $(cat out.txt)"; done
grep -q '"seen_in_training": 72' r.json && grep -q '"seen_in_validation": 24' r.json || fail "counts are missing in r.json"
"${evaluate[@]}" --pairs a/splits/test.csv --json r.json >/dev/null
grep -q '"seen_in_training": 0' r.json || fail "the run's own test pairs count as seen"
cp -r data again && "$lookalike" data split again/pairs.csv --ratios 60,20,20 --seed 5 >/dev/null
refuse "of again/test.csv trained a/model.safetensors" "" "$lookalike" evaluate a/model.safetensors --data again
# Other names and other metadata hide nothing, nor does a run that starts from the weights.
mkdir -p renamed/{left,right}
for i in 000 001 002 003 004 005; do for side in left right; do { cat data/$side/pair$i.png; echo more; } >renamed/$side/x$i.png; done; done
printf 'left,right\n%s' "$(for i in 000 001 002 003 004 005; do echo "x$i,x$i"; done)" >renamed/pairs.csv
refuse "of renamed/pairs.csv trained a/model.safetensors" "" "$lookalike" evaluate a/model.safetensors --data renamed
"$lookalike" data split other/pairs.csv --ratios 60,20,20 --seed 9 >/dev/null
# Two models on the same lists, each with its own preprocessing, or with what --json wrote of the other.
"$lookalike" train tiny.toml --data data --out small --epochs 1 --set input.height=10 --set input.width=10 >/dev/null 2>&1
versus=("$lookalike" evaluate small/model.safetensors --data data --pairs a/splits/test.csv)
"${versus[@]}" --versus a/model.safetensors --json versus.json >out.txt
grep -Eq '^top-1: both get [0-9]+ queries right, small' out.txt || fail "no comparison of queries: $(cat out.txt)"
tail -3 out.txt | tr '\n' ' ' | grep -Eq 'small/model.safetensors (loses to|equals) a/model.safetensors.* points \[.*\], 24 queries $' || fail "no sentence: $(cat out.txt)"
awk 'length > 80 { exit 1 }' out.txt || fail "lines of more than 80 columns: $(cat out.txt)"
"${evaluate[@]}" --pairs a/splits/test.csv --json a.json >/dev/null
[[ $(grep -c '^    "right": \[[0-9,]*\],$' a.json) == 1 ]] || fail "no compact list of answers: $(cat a.json)"
"${versus[@]}" --versus a.json --json from-file.json >again.txt
cmp out.txt again.txt && cmp versus.json from-file.json || fail "a model and its results compare differently"
refuse "a.json: answers other lists (hash pairs" v2.json "${versus[@]}" --versus a.json --count 4 --json v2.json
refuse "a.json: answers other lists (hash pairs" "" "${versus[@]}" --versus a.json --seed 4
refuse "--json: 'a.json' is --versus, which is read" "" "${versus[@]}" --versus a.json --json a.json
refuse "nowhere.safetensors" v2.json "${versus[@]}" --versus nowhere.safetensors --json v2.json
sed 's/"answers"/"answer"/' a.json >bad.json
refuse "bad.json: holds no answers to lists of pairs" v2.json "${versus[@]}" --versus bad.json --json v2.json
"$lookalike" train tiny.toml --data data --out elsewhere --epochs 1 --set split.seed=4 >/dev/null 2>&1
refuse "chose its epoch; what it has not seen: --pairs elsewhere/splits/test.csv; --include-seen compares" v2.json "${versus[@]}" --versus elsewhere/model.safetensors --json v2.json
"${versus[@]}" --versus elsewhere/model.safetensors --include-seen --json v2.json >out.txt 2>err.txt
grep -q 'elsewhere/model.safetensors and .*: they are not compared' err.txt && grep -q 'on what neither has seen, top-1' out.txt || fail "$(cat out.txt err.txt)"
! grep -q '"left_out_as_seen": 0' v2.json || fail "seen queries were compared: $(cat v2.json)"
"$lookalike" evaluate elsewhere/model.safetensors --data data --pairs a/splits/test.csv --include-seen --json seen.json >/dev/null 2>&1
refuse "queries were seen by elsewhere/model.safetensors; --include-seen compares on the others" "" "${versus[@]}" --versus seen.json
"${versus[@]}" --versus seen.json --include-seen --json v3.json >/dev/null
cmp v2.json v3.json || fail "results of seen queries compare otherwise than their model"
refuse "only --scores" s.csv "${evaluate[@]}" --candidates candidates.csv --scores s.csv --versus a.json
"$lookalike" train tiny.toml --data other --out started --epochs 1 --start a/model.safetensors --set train.patience=0 >/dev/null 2>&1
refuse "trained started/model.safetensors" "" "$lookalike" evaluate started/model.safetensors --data data --pairs a/splits/train.csv
refuse "train has no share" "" "$lookalike" data split again/pairs.csv --ratios 0,50,50
refuse "no such file or folder" "" "$lookalike" data split nosuch --by images
refuse "is a key of [loss] where loss.name is nt_xent, and here it is triplet" d "$lookalike" train tiny.toml --data data --out d --set temperature=0.3
refuse "cannot write to '/proc/x'" "" "$lookalike" train tiny.toml --data data --out /proc/x
# All parts of a split or none; a part without a share goes, and no part is split as if it were all.
"$lookalike" data split again/pairs.csv --ratios 70,30,0 >out.txt
[[ -e again/val.csv && ! -e again/test.csv ]] || fail "test.csv of the split before is still there"
refuse "is a part of again/pairs.csv" "" "$lookalike" data split again/train.csv
rm again/val.csv && mkdir again/val.csv
cp again/train.csv before.csv
refuse "again/val.csv" "" "$lookalike" data split again/pairs.csv --seed 3
cmp again/train.csv before.csv
rmdir again/val.csv
# Of a folder with train.csv alone beside pairs.csv, the other pairs are neither trained with nor chosen by.
"$lookalike" data split again/pairs.csv --ratios 70,0,30 >/dev/null && cp again/test.csv held.csv
"$lookalike" train tiny.toml --data again --out parts --epochs 1 >/dev/null 2>&1
"$lookalike" evaluate parts/model.safetensors --data again --json r.json >/dev/null
grep -q '"seen_in_training": 0' r.json && grep -q '"seen_in_validation": 0' r.json || fail "the test part was trained with"
cmp held.csv parts/splits/test.csv
# What a training that began before models remembered has left: said, not refused.
python3 - <<'PY' 2>/dev/null || true
import json, struct
data = open('a/model.safetensors', 'rb').read()
size = struct.unpack('<Q', data[:8])[0]
header = json.loads(data[8:8 + size])
del header['__metadata__']['seen']
for name in ('seen/training', 'seen/validation'):
    header.pop(name)
keep = sorted((v['data_offsets'], k) for k, v in header.items() if k != '__metadata__')
body, at = b'', 0
for (begin, end), name in keep:
    body += data[8 + size + begin:8 + size + end]
    header[name]['data_offsets'] = [at, at + end - begin]
    at += end - begin
text = json.dumps(header).encode()
text += b' ' * (-len(text) % 8)
open('old.safetensors', 'wb').write(struct.pack('<Q', len(text)) + text + body)
PY
if [[ -e old.safetensors ]]; then
  "$lookalike" evaluate old.safetensors --data data --pairs a/splits/train.csv >/dev/null 2>err.txt
  grep -q 'old.safetensors: does not remember' err.txt || fail "an old model's lack of memory is not said: $(cat err.txt)"
fi
refuse "tiny.toml" e2.npy "$lookalike" embed a/model.safetensors tiny.toml --out e2.npy
refuse "nowhere" "" "$lookalike" embed a/model.safetensors data/left --out nowhere/e.npy
refuse "nothing.safetensors" e2.npy "$lookalike" embed nothing.safetensors data/left --out e2.npy
head -c 1000 a/model.safetensors >cut.safetensors
refuse "cut.safetensors" r2.json "$lookalike" evaluate cut.safetensors --data data --json r2.json
cp -r data bad && printf 'not a picture' >bad/left/pair003.png
refuse "pair003.png" d "$lookalike" train tiny.toml --data bad --out d
"$lookalike" train tiny.toml --data bad --out skipped --epochs 1 --skip-corrupt >out.txt 2>&1
grep -q 'skipped: .*pair003.png' out.txt || fail "a skipped pair was not reported: $(cat out.txt)"

# Every command has the same choice: stop, or skip and list; a missing file counts as one, and side computations stop nothing.
refuse "pair003.png" bad.npy "$lookalike" embed a/model.safetensors bad/left --out bad.npy
"$lookalike" embed a/model.safetensors bad/left --out bad.npy --skip-corrupt >out.txt 2>err.txt
[[ $(wc -l <bad.npy.txt) == 119 ]] && grep -q 'skipped: .*pair003.png' err.txt || fail "embed --skip-corrupt: $(cat err.txt)"
cp a/splits/test.csv bad/test.csv
rm "bad/right/$(tail -1 bad/test.csv | cut -d, -f2).png"
refuse "--skip-corrupt" "" "$lookalike" evaluate a/model.safetensors --data bad
"$lookalike" evaluate a/model.safetensors --data bad --skip-corrupt >out.txt 2>err.txt
grep -q '^23 queries' out.txt || fail "evaluate --skip-corrupt: $(cat out.txt err.txt)"
cp -r data sides && cp a/splits/*.csv sides && printf x >"sides/left/$(tail -1 sides/train.csv | cut -d, -f1).png"
"$lookalike" evaluate a/model.safetensors --data sides >out.txt 2>err.txt || fail "a damaged training image stopped the evaluation: $(cat err.txt)"
grep -q "^without 'pixels minus training mean': sides/left/" err.txt || fail "a damaged training image, passed over in silence: $(cat err.txt)"
"$lookalike" evaluate a/model.safetensors --data sides --skip-corrupt >out.txt 2>err.txt
grep -q '^skipped: ' err.txt && grep -q 'training mean' out.txt || fail "a mean without a damaged training image: $(cat out.txt err.txt)"
refuse "pair003.png" w.safetensors "$lookalike" weights center a/model.safetensors bad/left --out w.safetensors
for what in center whiten; do
  "$lookalike" weights $what a/model.safetensors bad/pairs.csv --out w.safetensors --skip-corrupt >out.txt 2>err.txt
  [[ $(grep -c '^skipped: ' err.txt) == 2 ]] || fail "weights $what --skip-corrupt: $(cat err.txt)"
done
refuse "queries of data/pairs.csv trained w.safetensors" "" "$lookalike" evaluate w.safetensors --data data --pairs data/pairs.csv
# Pictures with several partners: data is read and cut, networks are trained, hard negatives found and queries ranked.
cp -r data shared && rm -f shared/{train,val,test}.csv
for i in 00 01 02 03 04 05 06 07 08 09; do echo "pair${i}0,pair${i}1" && echo "pair${i}2,pair${i}1"; done >>shared/pairs.csv
"$lookalike" data split shared/pairs.csv --ratios 60,20,20 >/dev/null
"$lookalike" data check shared | grep -q 'no problems' || fail "problems in pairs that share pictures"
for loss in triplet nt_xent contrastive; do
  settings=(--set loss.name=$loss); [[ $loss == triplet ]] || sed '/^negatives/d' tiny.toml >shared.toml
  [[ $loss == triplet ]] && { cp tiny.toml shared.toml; settings+=(--set sampler.hard_negatives=true); }
  "$lookalike" train shared.toml --data shared --out shared-$loss --epochs 2 "${settings[@]}" >out.txt 2>&1 || fail "$loss: $(cat out.txt)"
done
"$lookalike" evaluate shared-triplet/model.safetensors --data shared --versus shared-nt_xent/model.safetensors >out.txt 2>err.txt || fail "$(cat err.txt)"
grep -q "^each query among all $(tail -n +2 shared/test.csv | cut -d, -f2 | sort -u | wc -l) right images" out.txt || fail "$(cat out.txt)"
grep -q "^$(tail -n +2 shared/test.csv | cut -d, -f1 | sort -u | wc -l) queries" out.txt || fail "$(cat out.txt)"
"$lookalike" evaluate shared-triplet/model.safetensors --data shared --pairs shared/val.csv --include-seen --json v4.json >out.txt 2>/dev/null
if grep -q 'validation_threshold' v4.json || grep -q 'among the validation' out.txt; then fail "a threshold from the pairs that are measured"; fi
# Pictures of the same names that the run did not validate with choose no threshold.
mkdir -p foreign/{left,right} && cp elsewhere/splits/val.csv foreign/pairs.csv
sed 1d foreign/pairs.csv | tr ',' ' ' | while read -r left right; do cp data/left/pair000.png "foreign/left/$left.png" && cp "data/right/pair001.png" "foreign/right/$right.png"; done
"$lookalike" evaluate elsewhere/model.safetensors --data foreign --include-seen >out.txt 2>err.txt || fail "$(cat err.txt)"
grep -q "^without a threshold from validation pairs: " err.txt || fail "$(cat out.txt err.txt)"
# Outputs are tried before the work.
refuse "nowhere" "" "${evaluate[@]}" --pairs a/splits/test.csv --json nowhere/r.json
[[ ! -s out.txt ]] || fail "the work was done before its output was tried"
refuse "is not a folder" "" "$lookalike" train tiny.toml --data data --out tiny.toml/run
echo "all good"
