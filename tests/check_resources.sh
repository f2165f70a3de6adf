#!/usr/bin/env bash
# check_resources.sh [BUILD] [ARCH]: has ptxas assemble, for ARCH (default: 90), the PTX of every GPU
# kernel in a build of the preset ptx (default: build-ptx), and fails when one spills registers or has
# a stack frame. Exceptions, by a part of the kernel's name, each with its reason: none.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v ptxas >/dev/null || { echo "skipped: there is no ptxas, which comes with nvcc"; exit 0; }
build=$(realpath "${1:-build-ptx}") arch=${2:-90}
exceptions=()

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
export arch logs
assemble() {  # of an object file its PTX, which is text that ends with a zero
  LC_ALL=C grep -aPzo '(?s)\.version \d+\.\d+\n\.target sm_.*' "$1" | tr -d '\0' >"$logs/$2.ptx"
  ptxas -arch="sm_$arch" -v "$logs/$2.ptx" -o /dev/null >"$logs/$2.log" 2>&1 || { cat "$logs/$2.log"; return 255; }
}
export -f assemble
mapfile -t objects < <(find "$build/kernels/CMakeFiles/lookalike_cuda_kernels.dir" -name '*.cu.o' | sort)
for i in "${!objects[@]}"; do echo "${objects[i]} $i"; done | xargs -P "$(nproc)" -L1 bash -c 'assemble "$@"' _

failed=0 kernels=0
for i in "${!objects[@]}"; do
  while read -r name stack stores loads; do
    kernels=$((kernels + 1))
    ((stack + stores + loads > 0)) || continue
    for allowed in "${exceptions[@]}"; do [[ $name != *"$allowed"* ]] || continue 2; done
    echo "$(basename "${objects[i]}" .o): $name: $stack bytes of stack, $stores of spill stores, $loads of spill loads"
    failed=$((failed + 1))
  done < <(awk '/Function properties for/ { name = $NF } /bytes stack frame/ { print name, $1, $5, $9 }' "$logs/$i.log")
done
echo "$kernels kernels for sm_$arch, $failed with spills or a stack frame"
((failed == 0 && kernels > 0))
