#!/usr/bin/env bash
# systems_test.sh LOOKALIKE MAKE_PAIRS: what the published systems are made of, from end to end on made-up pictures: data in the course's form,
# weights to start from, frozen layers and cached features, hard negatives, heads that judge pairs, classes of images. Tiny networks, but for the
# course's form.
set -euo pipefail
. "$(dirname "$0")/checks.sh"
recipes=$source/models/recipes

# train RECIPE DATA OUT ...: a run of a recipe, on small pictures; what it says goes to out.txt.
train() {
  local recipe=$1 data=$2 out=$3
  shift 3
  "$lookalike" train "$recipes/$recipe.toml" --data "$data" --out "$out" --set input.height=32 --set input.width=32 "$@" >out.txt 2>&1 ||
    fail "$recipe: $(cat out.txt)"
}
small_cnn=(--set model.filters=[4,8] --set model.embedding=16 --set train.batch_pairs=16)
small_bn=(--set model.channels=[8,8,8] --set model.pool_after=[1,2,3] --set model.grid=2 --set model.embedding=16 --set train.batch_pairs=32)
tiny_resnet=(--set model.width=4 --set model.blocks=[1,1,1,1] --set train.start=random --set train.batch_pairs=16 --epochs 2)

# A folder in the form of the course data: recipes as they are but for the epochs (one of them where
# the build is slow), the answer has the form of the candidates.
"$make_pairs" --course course 170
recipes_as_they_are=(autoencoder siamese-contrastive siamese-triplet-hard pair-classifier)
[[ -z ${LOOKALIKE_SLOW:-} ]] || recipes_as_they_are=(autoencoder)
for recipe in "${recipes_as_they_are[@]}"; do
  "$lookalike" train "$recipes/$recipe.toml" --data course --out course-run --epochs 1 >out.txt 2>&1 || fail "$recipe: $(cat out.txt)"
  "$lookalike" evaluate course-run/model.safetensors --data course --candidates course/test_candidates.csv --scores answer.csv >/dev/null
  [[ $(head -1 answer.csv) == "$(head -1 course/test_candidates.csv)" ]] || fail "header of the answer: $(head -1 answer.csv)"
  [[ $(cut -d, -f1 answer.csv) == "$(cut -d, -f1 course/test_candidates.csv)" ]] || fail "the answer's left names differ"
  awk -F, 'NF != 21 { exit 1 }' answer.csv || fail "the answer has not 21 cells a row"
  "$lookalike" evaluate course-run/model.safetensors --data course --pairs course-run/splits/test.csv >/dev/null
  rm -r course-run answer.csv
done

"$lookalike" data check course >/dev/null

"$make_pairs" data 150 32
# An autoencoder in both directions, and its encoder as the start of a Siamese network.
small_encoder=(--set model.filters=[4,8] --epochs 2)
train autoencoder data auto "${small_encoder[@]}" --set model.decoder=[4,4]
train autoencoder data same "${small_encoder[@]}" --set model.decoder=[4,4] --set loss.direction=same --set loss.measure=mse --set input.channels=3
"$lookalike" evaluate auto/model.safetensors --data data --pairs auto/splits/test.csv >/dev/null
train siamese-from-encoder data from "${small_encoder[@]}" --start auto/model.safetensors
grep -q 'starts from auto/model.safetensors: 4 tensors; new: head.embedding' out.txt || fail "start: $(cat out.txt)"
refuse "made for images prepared as" x "$lookalike" train "$recipes/siamese-from-encoder.toml" --data data --out x --start same/model.safetensors
refuse "has none of the network's tensors" x "$lookalike" train "$recipes/siamese-triplet-hard.toml" --data data --out x --set input.channels=1 --start auto/model.safetensors
refuse "nowhere.safetensors" x "$lookalike" train "$recipes/siamese-triplet-hard.toml" --data data --out x --start nowhere.safetensors

# Barlow Twins without labels, then projection layers on top.
train barlow-pretrain data barlow "${small_bn[@]}" --set model.head.projector=[16,16] --epochs 2
train barlow-triplet data tuned "${small_bn[@]}" --set model.head.dense=[16] --epochs 2 --start barlow/model.safetensors
train barlow-pretrain-lite0 data barlow-lite0 --set model.head.projector=[16,16] --set train.batch_pairs=16 --epochs 1
train barlow-triplet-lite0 data tuned-lite0 --set model.head.dense=[16] --set train.batch_pairs=16 --epochs 1 --start barlow-lite0/model.safetensors
grep -q 'new: head.dense1' out.txt || fail "start: $(cat out.txt)"

# Heads that judge pairs; the learned distance leaves the network as it was.
train pair-classifier data judge "${small_cnn[@]}" --epochs 3
"$lookalike" evaluate judge/model.safetensors --data data --pairs judge/splits/test.csv >/dev/null
train siamese-triplet-random data cnn "${small_cnn[@]}" --epochs 2
train learned-distance data learned "${small_cnn[@]}" --epochs 2 --start cnn/model.safetensors
"$lookalike" weights inspect cnn/model.safetensors >/dev/null
for run in cnn learned; do "$lookalike" embed $run/model.safetensors data/left --out $run.npy >/dev/null; done
cmp cnn.npy learned.npy

# Frozen layers: cached features train to the same bits, and are read again; batch norm keeps its averages.
resnet=(resnet50-triplet data)
train "${resnet[@]}" plain "${tiny_resnet[@]}" --set train.freeze=layer2
train "${resnet[@]}" cached "${tiny_resnet[@]}" --set train.freeze=layer2 --cache-features
[[ $(ls data/features | wc -l) == 2 ]] || fail "features: $(ls data/features)"
touch -d 2000-01-01 data/features/*
train "${resnet[@]}" again "${tiny_resnet[@]}" --freeze layer2 --cache-features
[[ -z $(find data/features -newermt 2001-01-01 -type f) ]] || fail "features were computed again"
for run in cached again; do cmp plain/last.safetensors $run/last.safetensors || fail "features changed the run $run"; done
refuse "no layer 'layer9'" x "$lookalike" train "$recipes/resnet50-triplet.toml" --data data --out x --set train.start=random --freeze layer9
refuse "there are no frozen layers" x "$lookalike" train "$recipes/siamese-triplet-hard.toml" --data data --out x --cache-features
refuse "with augmentation" x "$lookalike" train "$recipes/siamese-triplet-flip.toml" --data data --out x --start random --freeze conv1 --cache-features
refuse "FILE from https://download.pytorch.org/models/resnet50-0676ba61.pth" x "$lookalike" train "$recipes/resnet50-triplet.toml" --data data --out x

refuse "without train.start" x "$lookalike" train "$recipes/learned-distance.toml" --data data --out x
refuse "values from 0 to 1" x "$lookalike" train "$recipes/autoencoder.toml" --data data --out x --set input.mean=[0.5] --set input.std=[0.2]
refuse "is for sampler 'pairs'" x "$lookalike" train "$recipes/barlow-pretrain.toml" --data data --out x --set sampler.hard_negatives=true
refuse "are for classes" x "$lookalike" train "$recipes/barlow-pretrain.toml" --data data --out x --set sampler.rotated_classes=true

# Hard negatives out of the whole set: killed at any moment and resumed, the same weights.
hard=(siamese-triplet-hard data)
mined=("${small_cnn[@]}" --epochs 4 --set sampler.hard_negatives=true --set train.checkpoint_steps=1)
train "${hard[@]}" mined "${mined[@]}"
for delay in 0.05 0.1 0.15 0.2 0.3; do
  resume=()
  [[ -e killed/last.safetensors ]] && resume=(--resume)
  timeout -s KILL $delay "$lookalike" train "$recipes/siamese-triplet-hard.toml" --data data --out killed --set input.height=32 --set input.width=32 \
    "${mined[@]}" "${resume[@]}" >/dev/null 2>&1 || true
done
resume=()
[[ -e killed/last.safetensors ]] && resume=(--resume)
train "${hard[@]}" killed "${mined[@]}" "${resume[@]}"
cmp mined/last.safetensors killed/last.safetensors

# Networks for ImageNet, here with random weights: any size of image, a head on frozen features, stages that learn more slowly.
lite=(--set model.head.embedding=8 --set train.batch_pairs=16 --set train.start=random --epochs 2)
train emoji-frozen data frozen "${lite[@]}" --cache-features
train emoji-finetune data finetuned "${lite[@]}"
train emoji-finetune-all data all "${lite[@]}" --set train.start=finetuned/model.safetensors
grep -q 'starts from finetuned/model.safetensors: [0-9]* tensors$' out.txt || fail "start, head included: $(cat out.txt)"
train emoji-frozen data squeezed "${lite[@]}" --set model.name=squeezenet --set input.height=48 --set input.width=48
refuse "lookalike weights fetch squeezenet" x "$lookalike" train "$recipes/emoji-frozen.toml" --data data --out x --set model.name=squeezenet --set train.start=nowhere.safetensors
refuse "expected 32 x 32 or more" x "$lookalike" train "$recipes/emoji-frozen.toml" --data data --out x --set train.start=random --set input.height=31
refuse "expected 31 x 31 or more" x "$lookalike" train "$recipes/emoji-frozen.toml" --data data --out x --set model.name=squeezenet --set train.start=random --set input.height=30 --set input.width=40

# A mean that embeddings are taken without: found on the way, stored in the model, taken from there.
"$lookalike" weights center frozen/model.safetensors frozen/splits/train.csv --out x 2>err.txt && fail "a pairs file without images beside it"
cp frozen/splits/train.csv data/train.csv
"$lookalike" weights center frozen/model.safetensors data/train.csv --out centred.safetensors >/dev/null
"$lookalike" embed frozen/model.safetensors data/left --out plain.npy >/dev/null
"$lookalike" embed frozen/model.safetensors data/left --out found.npy --center data/train.csv >/dev/null
"$lookalike" embed frozen/model.safetensors data/left --out taken.npy --center centred.safetensors >/dev/null
"$lookalike" embed centred.safetensors data/left --out stored.npy >/dev/null
cmp -s plain.npy found.npy && fail "--center changed nothing"
for name in taken stored; do cmp found.npy $name.npy; done
rm data/train.csv
# A whitening: a mean of its own for each side, and rows of length 1.
cp frozen/splits/train.csv data/train.csv
"$lookalike" weights whiten cnn/model.safetensors data/train.csv --directions 4 --out white.safetensors >/dev/null
rm data/train.csv
"$lookalike" weights inspect white.safetensors >tensors.txt
grep -q '^whiten.directions  *\[4, 16\] ' tensors.txt || fail "the directions are not in the model"
for side in left right; do "$lookalike" embed white.safetensors data/left --side $side --out white-$side.npy >/dev/null; done
"$lookalike" embed white.safetensors data/left --out white.npy >/dev/null
cmp -s white-left.npy white-right.npy && fail "--side changed nothing"
cmp -s white.npy white-left.npy && fail "no side is not the left one"
refuse "whitens its embeddings already" x "$lookalike" weights whiten white.safetensors data --out x
"$lookalike" weights inspect "$recipes/../../tests/golden/weights/checkpoint.pth" >tensors.txt
grep -q 'under: state_dict' tensors.txt || fail "inspect of a .pth"
refuse "Published are" x "$lookalike" compare eficientnet_lite0 data/left data/left
first=$(ls data/left | head -1)
"$lookalike" compare white.safetensors data/left/$first data/right/$first | grep -q '^cosine ' || fail "compare by a whitened model"
[[ $("$lookalike" compare frozen/model.safetensors data/left/$first data/left/$first) == "cosine 1.0000" ]] || fail "an image is not like itself"
"$lookalike" compare judge/model.safetensors data/left/$first data/right/$first | grep -q 'probability of a match' || fail "compare with a judge"
refuse "of another model" x "$lookalike" compare squeezed/model.safetensors data/left/$first data/left/$first --center centred.safetensors
refuse "without a stored mean" x "$lookalike" compare frozen/model.safetensors data/left/$first data/left/$first --center frozen/model.safetensors
refuse "subtracts a mean already" x "$lookalike" weights center centred.safetensors data --out x

# A collapse is told once: of pictures that are all the same every network makes one embedding.
cp -r data alike && for file in alike/{left,right}/*; do cp data/left/pair000.png "$file"; done
train siamese-triplet-hard alike collapsed "${small_cnn[@]}" --epochs 5
[[ $(grep -c 'warning: .*too large a learning rate (--set optimizer.learning_rate=0.0001)' out.txt) == 1 ]] || fail "a collapse: $(cat out.txt)"
grep -q warning <("$lookalike" train "$recipes/siamese-triplet-random.toml" --data data --out well "${small_cnn[@]}" --epochs 3 2>&1) && fail "a warning of a network that is well"

# Classes: six in two alphabets, of pictures of pairs.
i=0
for file in data/left/*.png; do
  class=classes/alphabet$((i % 2))/character$((i % 6))
  mkdir -p $class && cp "$file" $class/
  i=$((i + 1))
done
train omniglot-triplet classes omniglot "${small_bn[@]}" --epochs 2 --set split.held_out='["alphabet1"]'
train omniglot-contrastive classes contrastive "${small_bn[@]}" --epochs 2 --set split.held_out='["alphabet1"]'
"$lookalike" evaluate omniglot/model.safetensors --data classes --groups alphabet1 --ways 3 >/dev/null
train digits classes digits --epochs 2 --set split.held_out='["alphabet1"]' --set evaluate.candidates=3 --set input.channels=3
train digits classes squared --epochs 1 --set split.held_out='["alphabet1"]' --set evaluate.candidates=3 --set loss.hinge=squared --set model.activation=relu
# Where all samples are of one class, that is said.
mkdir -p lone/seen/{big,small} && cp data/left/pair0[0-2]*.png lone/seen/big && cp data/left/pair100.png lone/seen/small && cp -r classes/alphabet1 lone/
train omniglot-triplet lone lone-run "${small_bn[@]}" --epochs 1 --set train.batch_pairs=4 --set split.held_out='["alphabet1"]' --set sampler.rotated_classes=false --set sampler.mirrored_classes=false
grep -q 'all training samples are of one class (others have fewer than two images), so no batch has a negative' out.txt || fail "$(cat out.txt)"
refuse "the nearest is 'alphabet" x "$lookalike" train "$recipes/omniglot-triplet.toml" --data classes --out x --set split.held_out='["alphabet3"]'
refuse "no sampler 'same_different'" x "$lookalike" train "$recipes/digits.toml" --data data --out x
refuse "with which loss 'triplet' can do nothing" x "$lookalike" train "$recipes/digits.toml" --data classes --out x --set loss.name=triplet --set loss.margin=1
echo "all good"
