#!/usr/bin/env bash
# Fails when an include points upwards: each layer may include itself and those below it.
set -euo pipefail
cd "$(dirname "$0")/.."

rank() {
  case $1 in
    kernels/*) echo 0 ;;
    engine/core/*) echo 1 ;;
    engine/autograd/*) echo 2 ;;
    engine/ops/*) echo 3 ;;
    engine/nn/* | engine/losses/* | engine/optim/*) echo 4 ;;
    engine/io/*) echo 5 ;;
    engine/data/*) echo 6 ;;
    engine/eval/*) echo 7 ;;
    engine/train/*) echo 8 ;;
    engine/search/*) echo 9 ;;
    engine/report/*) echo 10 ;;
    models/*) echo 11 ;;
    tools/*) echo 12 ;;
    *) echo 13 ;;
  esac
}

bad=0
while IFS=: read -r file line include; do
  target=$(sed 's/.*"\(.*\)".*/\1/' <<<"$include")
  if (($(rank "$target") > $(rank "$file"))); then
    echo "$file:$line: includes $target, which stands above it"
    bad=1
  fi
done < <(grep -rnE '^#include "(kernels|engine|models|tools|tests|bench)/' kernels engine models tools --include='*.h' --include='*.cpp' --include='*.cu')

# Loops compiled for one instruction set must not leave functions behind that the linker could hand to code for another.
for object in "$@"; do
  if nm -C --defined-only "$object" | grep -E ' [WuV] ' | grep -vE 'DW.ref|lookalike::(base|avx2|avx512)::'; then
    echo "$object: weak symbols of an instruction set's own object (above)"
    bad=1
  fi
done
exit $bad
