#!/usr/bin/env bash
# search_test.sh LOOKALIKE MAKE_PAIRS: an index is built, asked, changed and described, near duplicates are found, a threshold is stored and used,
# and what is wrong ends in one line with nothing half-written.
set -euo pipefail
. "$(dirname "$0")/checks.sh"
export OMP_NUM_THREADS=1 LOOKALIKE_WEIGHTS=$work/none
mkdir none

"$make_pairs" data 48 16
small=(--set input.height=16 --set input.width=16 --set 'model.filters=[4,8]' --set model.embedding=8)
"$lookalike" data split data/pairs.csv --ratios 50,25,25 >/dev/null
"$lookalike" train siamese-nt-xent --data data --epochs 2 "${small[@]}" --out run >said.txt 2>err.txt || fail "$(cat err.txt)"
model=run/model.safetensors
run() { "$@" >out.txt 2>err.txt || fail "$*: $(cat err.txt)"; }
has() { grep -qF -- "$1" out.txt || fail "'$1' is not in: $(cat out.txt)"; }
says() { grep -qF -- "$1" err.txt || fail "'$1' was not said: $(cat err.txt)"; }
# json EXPRESSION: true of out.txt, as Python has it
json() { python3 -c "import json, sys; d = json.load(open('out.txt')); sys.exit(not ($1))" || fail "not $1: $(cat out.txt)"; }

# 1. An index, asked.
run "$lookalike" index build "$model" data/left --out all.index
has "all.index: 48 pictures, 8 values each"
[[ ! -s err.txt ]] || fail "said: $(cat err.txt)"
first=$(find data/left -name '*.png' | sort | head -1)
run "$lookalike" search all.index "$first" -k 3
[[ $(sed -n 2p out.txt) == "    1   1.0000  $first  (the same picture)" ]] || fail "$(cat out.txt)"
[[ $(wc -l <out.txt) == 4 ]] || fail "not three matches: $(cat out.txt)"
awk 'NR > 2 && $2 > last { exit 1 } { last = $2 }' out.txt || fail "not the best first: $(cat out.txt)"
run "$lookalike" search all.index "$first" -k 100
[[ $(wc -l <out.txt) == 49 ]] || fail "not all pictures: $(cat out.txt)"
run "$lookalike" search all.index "$first" --above 1
[[ $(wc -l <out.txt) -ge 1 ]]
run "$lookalike" search all.index data/left -k 2 --json
json "d['schema'] == 1 and d['result'] == 'search' and d['similarity'] == 'cosine' and d['above'] is None"
json "len(d['queries']) == 48 and all(len(q['matches']) == 2 for q in d['queries'])"
json "all(q['matches'][0]['same_picture'] for q in d['queries'] if q['matches'][0]['name'] == q['query'])"
json "all(set(m) == {'name', 'score', 'same_picture'} for q in d['queries'] for m in q['matches'])"
# The model turned to see the same thing eight times.
run "$lookalike" search all.index "$first" --orientations -k 2 --json
json "d['queries'][0]['matches'][0]['orientation'] == 'upright' and len(d['queries'][0]['matches']) == 2"
# Names that hold anything are valid JSON, and command no terminal.
cp "$first" $'odd\x7f\x1b\u202e\xff\n.png'
run "$lookalike" search all.index odd* -k 1 --json
json "'\x7f\x1b\u202e' in d['queries'][0]['query'] and d['queries'][0]['matches'][0]['same_picture']"
! grep -qP '[\x7f\x1b]' out.txt || fail "control characters on a terminal"
rm odd*
# A program drives it: a line for each line, errors too.
printf '%s\nnone.png\n\ndata/pairs.csv\r\n%s\n' "$first" "$first" | "$lookalike" search all.index --stdin -k 1 >out.txt 2>err.txt || fail "$(cat err.txt)"
[[ $(wc -l <out.txt) == 5 && ! -s err.txt ]] || fail "not a line for each: $(cat out.txt err.txt)"
python3 - <<'END' || fail "$(cat out.txt)"
import json
lines = [json.loads(line) for line in open("out.txt")]
assert all(line["schema"] == 1 and line["result"] == "search" for line in lines)
assert lines[0] == lines[4] and lines[0]["matches"][0]["score"] > 0.999
assert ["error" in line for line in lines] == [False, True, True, True, False]
assert "none.png" in lines[1]["error"] and lines[3]["query"] == "data/pairs.csv"
END
"$lookalike" search all.index --stdin </dev/null >out.txt
[[ ! -s out.txt ]] || fail "an answer to nothing"
# An answer comes before the next question.
coproc driven { "$lookalike" search all.index --stdin -k 1; }
echo "$first" >&"${driven[1]}"
read -r -t 30 line <&"${driven[0]}" || fail "no answer while the input is open"
[[ $line == *'"matches"'* ]] || fail "$line"
kill "$driven_PID" && wait "$driven_PID" 2>/dev/null || true

# 2. An index, changed. The file that comes of it is that of building at once.
mkdir part rest && find data/left -name '*.png' | sort | head -30 | xargs -I{} cp {} part && find data/left -name '*.png' | sort | tail -18 | xargs -I{} cp {} rest
run "$lookalike" index build "$model" part rest --out whole.index
run "$lookalike" index build "$model" part --out grown.index --json
json "d == {'schema': 1, 'result': 'index', 'index': 'grown.index', 'added': 30, 'removed': 0, 'images': 30}"
run "$lookalike" index add grown.index rest
has "grown.index: 18 pictures added, 48 in it"
cmp -s grown.index whole.index || fail "adding makes another file than building"
run "$lookalike" index remove grown.index "$(find rest -name '*.png' | head -1)"
has "grown.index: 1 pictures removed, 47 in it"
cp "$first" copy.png
run "$lookalike" index add whole.index copy.png
says "1 of the new pictures is there already under another name: copy.png is part/"
run "$lookalike" index info whole.index --json
json "d['images'] == 49 and d['different_pictures'] == 48 and d['storage'] == 'f32' and d['width'] == 8 and d['calibration'] is None"
run "$lookalike" index build "$model" data/left data/right --out half.index --storage f16
run "$lookalike" index info half.index
has "f16         kept "
run "$lookalike" index add half.index copy.png
run "$lookalike" search half.index copy.png -k 2
has "(the same picture)"
# Killed at any moment, the old index or the new one is there, and the next change goes on.
cp grown.index killed.index
for delay in 0.002 0.005 0.01 0.02 0.03 0.05 0.1; do
  timeout -s KILL $delay "$lookalike" index add killed.index copy.png >/dev/null 2>&1 || true
  run "$lookalike" index info killed.index --json
  json "d['images'] in (47, 48)"
  grep -q '"images": 47' out.txt || break
done
"$lookalike" index remove killed.index copy.png >/dev/null 2>&1 || true
cmp -s killed.index grown.index || fail "not the same index after a kill"
# It needs nothing but itself.
mkdir alone && mv half.index alone
(cd alone && "$lookalike" search half.index ../copy.png -k 1 >/dev/null)
python3 - <<'END' || fail "the index does not open as safetensors"
import json, struct
file = open("alone/half.index", "rb").read()
header = json.loads(file[8:8 + struct.unpack("<Q", file[:8])[0]])
assert header["index/embeddings"]["dtype"] == "F16" and header["index/embeddings"]["shape"] == [97, 8]
assert header["__metadata__"]["format"] == "lookalike-index-1"
END

# 3. A threshold, stored and used.
before=$(sha256sum <"$model")
run "$lookalike" compare "$model" "$first" copy.png
has "cosine 1.0000"
says "run/model.safetensors has no threshold; \`lookalike calibrate MODEL --data DIR\` finds and stores one"
refuse "data/none.csv" "" "$lookalike" calibrate "$model" --data data --pairs data/none.csv
refuse "132 pairs that do not match cannot tell a false-match rate of 0.001 from none" "" "$lookalike" calibrate "$model" --data data
[[ $(sha256sum <"$model") == "$before" ]] || fail "a refused calibration changed the model"
run "$lookalike" calibrate "$model" --data data --false-match-rate 0.05 --json
json "d['result'] == 'calibrate' and d['calibration']['matching_pairs'] == 12 and d['calibration']['other_pairs'] == 132"
json "d['calibration']['threshold'][1] <= 0.05 and d['calibration']['interval'][0] <= d['calibration']['threshold'][0] <= d['calibration']['interval'][1]"
run "$lookalike" compare "$model" "$first" copy.png
has "same: the threshold is "
run "$lookalike" compare "$model" "$first" copy.png --json
json "d['schema'] == 1 and d['verdict'] == 'same' and d['measure'] == 'cosine' and d['score'] > 0.999 and d['false_match_rate'] <= 0.05"
run "$lookalike" index build "$model" data/left --out with.index
run "$lookalike" search with.index "$first" --above auto --json
json "d['above'] is not None and all(m['score'] >= d['above'] for q in d['queries'] for m in q['matches'])"
refuse "trained run/model.safetensors: a threshold of theirs says nothing of new pictures" "" "$lookalike" calibrate "$model" --data data --pairs data/train.csv
run "$lookalike" calibrate "$model" --data data --false-match-rate 0.1 --out other.safetensors
run "$lookalike" evaluate other.safetensors --data data --json evaluated.json
cp evaluated.json out.txt
json "list(d)[:2] == ['schema', 'result'] and d['schema'] == 1 and d['result'] == 'evaluate' and 'model' in d"
run "$lookalike" evaluate other.safetensors --data data --json evaluated.json
# Other embeddings have other scores.
run "$lookalike" weights center "$model" data/left --out centered.safetensors
run "$lookalike" compare centered.safetensors "$first" copy.png
says "has no threshold"

# 4. Near duplicates.
mkdir pictures && cp data/left/*.png pictures && cp "$first" pictures/copy.png
run "$lookalike" duplicates pictures --model "$model" --above 0.9999999 --json
json "d['result'] == 'duplicates' and d['images'] == 49 and d['duplicates'] == sum(len(g['members']) for g in d['groups'])"
json "[m['same_picture'] for g in d['groups'] for m in g['members']].count(True) == 1"
run "$lookalike" index build "$model" pictures --out pictures.index
run "$lookalike" duplicates pictures.index --above 0.9999999
has "(the same picture)"
cp out.txt by_index.txt
run "$lookalike" duplicates pictures --model "$model" --above 0.9999999
cmp -s out.txt by_index.txt || fail "an index and its pictures have other duplicates"
run "$lookalike" duplicates pictures.index --above auto
# As pages, in which no name is markup.
cp "$first" 'pictures/<img src=x onerror=alert(1)>&"'"'"'.png'
run "$lookalike" index add pictures.index pictures/*onerror*
run "$lookalike" search pictures.index pictures/*onerror* copy.png --html found.html
run "$lookalike" duplicates pictures.index --html twice.html
for page in found.html twice.html; do
  grep -q '&lt;img src=x onerror=alert(1)&gt;&amp;&quot;&#39;.png' $page || fail "no name in $page"
  ! grep -q '<img src=x' $page || fail "a name is markup in $page"
  ! grep -qE '(src|href)="[^d]|url\(' $page || fail "$page is not self-contained"
  python3 - $page <<'END' || fail "$page is no whole page"
import base64, html.parser, sys
class Check(html.parser.HTMLParser):
    open = []
    def handle_starttag(self, tag, attributes):
        if tag == "img":
            kind, data = dict(attributes)["src"].split(",")
            data = base64.b64decode(data, validate=True)
            assert kind == "data:image/jpeg;base64" and data[:2] == b"\xff\xd8" and data[-2:] == b"\xff\xd9"
        if tag not in ("meta", "img"): self.open.append(tag)
    def handle_endtag(self, tag): assert self.open.pop() == tag
check = Check(); check.feed(open(sys.argv[1]).read()); assert not check.open
END
done
run "$lookalike" search pictures.index copy.png --html found.html
mv pictures gone && run "$lookalike" search pictures.index copy.png --html found.html
grep -q 'cannot be read' found.html || fail "a picture that is gone is not said"
grep -q "^skipped: cannot read .pictures" err.txt || fail "not said: $(cat err.txt)"
mv gone pictures

run "$lookalike" embed "$model" pictures --out e.npy --json
json "d['schema'] == 1 and d['result'] == 'embed' and d['images'] == 50 and d['width'] == 8"
run "$lookalike" data check data --json
json "d['schema'] == 1 and d['result'] == 'data check' and d['problems'] == []"

# 5. What is wrong is one line, and changes nothing.
before=$(sha256sum <all.index)
refuse "none.png" "" "$lookalike" search all.index none.png
refuse "data/pairs.csv" "" "$lookalike" search all.index data/pairs.csv
refuse "expected an index" "" "$lookalike" search "$model" "$first"
refuse "not an index" "" "$lookalike" search "$first" "$first"
refuse "cannot read 'none.index'" "" "$lookalike" search none.index "$first"
refuse "no QUERY" "" "$lookalike" search all.index
refuse "expected images, or --stdin" "" "$lookalike" search all.index "$first" --stdin
refuse "--matches is 0, expected from 1 to 1000" "" "$lookalike" search all.index "$first" -k 0
refuse "--above is '', expected" "" "$lookalike" search all.index "$first" --above ''
for above in 1.5 -1.5 nan x 0.9x; do refuse "--above is '$above', expected auto or a cosine, from -1 to 1" "" "$lookalike" search all.index "$first" --above="$above"; done
refuse "--above auto: all.index has no threshold" "" "$lookalike" search all.index "$first" --above auto
refuse "named twice, expected each picture once" new.index "$lookalike" index build "$model" data/left "$first" --out new.index
refuse "all.index has $first already; expected pictures that are not in it" "" "$lookalike" index add all.index "$first"
refuse "already and 47 more of these" "" "$lookalike" index add all.index data/left
refuse "there is no picture named none.png" "" "$lookalike" index remove all.index "$first" none.png
refuse "nothing would be left" "" "$lookalike" index remove all.index data/left/*
mkdir empty
refuse "empty" new.index "$lookalike" index build "$model" empty --out new.index
refuse "cannot write 'missing/new.index'" missing "$lookalike" index build "$model" data/left --out missing/new.index
refuse "is there and is not an index" "" "$lookalike" index build "$model" data/left --out other.safetensors
refuse "is there and is not a model" "" "$lookalike" weights center "$model" data/left --out all.index
printf 'broken' >broken.png
refuse "broken.png" new.index "$lookalike" index build "$model" data/left broken.png --out new.index
refuse "broken.png" "" "$lookalike" index add all.index broken.png
refuse "storage" new.index "$lookalike" index build "$model" data/left --out new.index --storage f8
refuse "--false-match-rate" "" "$lookalike" calibrate "$model" --data data --false-match-rate 0
refuse "--html" "" "$lookalike" search all.index --stdin --html found.html
refuse "cannot write 'missing/a.html'" missing "$lookalike" search all.index "$first" --html missing/a.html
refuse "is there and is not a page" "" "$lookalike" search all.index "$first" --html data/pairs.csv
refuse "--model is for pictures" "" "$lookalike" duplicates all.index --model "$model"
head -c 5000 all.index >cut.index
refuse "cut.index" "" "$lookalike" search cut.index "$first"
sed 's/lookalike-index-1/lookalike-index-9/' all.index >newer.index
refuse "an index of another version, lookalike-index-9" "" "$lookalike" search newer.index "$first"
[[ $(sha256sum <all.index) == "$before" ]] || fail "a refused change changed the index"
run "$lookalike" index add all.index broken.png copy.png --skip-corrupt
says "skipped: "
has "1 pictures added, 49 in it"
[[ -z $(find . -name '.*lookalike*') ]] || fail "left behind: $(find . -name '.*lookalike*')"
echo "all good"
