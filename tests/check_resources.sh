#!/usr/bin/env bash
# check_resources.sh [ARCH]: compiles every GPU kernel for ARCH (default: 90a) and fails when one spills registers or has a stack frame.
# Exceptions, by a part of the kernel's name, each with its reason: none.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v nvcc >/dev/null || { echo "skipped: there is no nvcc"; exit 0; }
arch=${1:-90a}
exceptions=()

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
export arch logs
compile() {
  nvcc -std=c++20 --expt-relaxed-constexpr -I. -gencode "arch=compute_$arch,code=sm_$arch" -Xptxas -v -cubin "$1" -o /dev/null >"$logs/$(basename "$1")" 2>&1 ||
    { cat "$logs/$(basename "$1")"; return 255; }
}
export -f compile
find kernels -name '*.cu' | sort | xargs -P "$(nproc)" -I{} bash -c 'compile {}'

failed=0 kernels=0
for log in "$logs"/*; do
  while read -r name stack stores loads; do
    kernels=$((kernels + 1))
    ((stack + stores + loads > 0)) || continue
    for allowed in "${exceptions[@]}"; do [[ $name != *"$allowed"* ]] || continue 2; done
    echo "$(basename "$log"): $name: $stack bytes of stack, $stores of spill stores, $loads of spill loads"
    failed=$((failed + 1))
  done < <(awk '/Function properties for/ { name = $NF } /bytes stack frame/ { print name, $1, $5, $9 }' "$log")
done
echo "$kernels kernels for sm_$arch, $failed with spills or a stack frame"
((failed == 0 && kernels > 0))
