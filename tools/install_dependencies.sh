#!/usr/bin/env bash
# The apt packages that the build, the tests and the emoji data set need. Does nothing when all of them are there.
set -euo pipefail
packages=(
  g++ cmake ninja-build libfmt-dev nlohmann-json3-dev libtomlplusplus-dev libcli11-dev libstb-dev libfreetype-dev zlib1g-dev libhdf5-dev
  libjpeg-dev libwebp-dev libutf8proc-dev
  doctest-dev libbenchmark-dev fonts-noto-color-emoji ruby-gemojione librsvg2-bin
)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
((${#missing[@]} == 0)) && exit 0
if ! command -v apt-get >/dev/null; then
  echo "install_dependencies.sh: needs apt (Debian or Ubuntu); install the equivalents of: ${missing[*]}" >&2
  exit 1
fi
sudo=()
((EUID == 0)) || sudo=(sudo)
echo "Installing ${missing[*]}"
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
