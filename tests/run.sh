#!/usr/bin/env bash
# Installs what the project needs (Debian or Ubuntu, as root), builds it and runs every test: with the GPU kernels on the emulator, the same with
# sanitizers, and where nvcc is found the CUDA build, too. Ends with one line: N passed, N failed.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/install_dependencies.sh

presets=(simt sanitize)
if command -v nvcc >/dev/null; then presets+=(ptx); else echo "No nvcc: the CUDA build is left out"; fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0
for preset in "${presets[@]}"; do
  # Several files of a library are compiled as one, which takes half the time; so what their unnamed namespaces hold needs names of its own. The CUDA
  # build still sees each file alone, no more of them than what is run below; for a device tests/check_resources.sh compiles the kernels.
  unity=ON targets=()
  [[ $preset != ptx ]] || unity=OFF targets=(--target lookalike make_pairs gpu_test gpu_bench ladder)
  cmake --preset "$preset" -DCMAKE_UNITY_BUILD=$unity
  cmake --build --preset "$preset" "${targets[@]}"
  # Some tests want networks with published weights, and skip without them.
  LOOKALIKE=build-$preset/lookalike tools/get_weights.sh efficientnet_lite0 efficientnet_lite2 squeezenet || true
  # What runs on the CPU alone is tested in the other builds.
  known=()
  [[ $preset != ptx ]] || known=(--exclude-regex '^(op|unit)_test|_end_to_end|_against_')
  ctest --preset "$preset" "${known[@]}" --no-tests=error | tee "$log" || true
  read -r bad all < <(sed -nE 's/^[0-9]+% tests passed, ([0-9]+) tests failed out of ([0-9]+)$/\1 \2/p' "$log")
  passed=$((passed + all - bad)) failed=$((failed + bad))
done
if [[ ${presets[*]} == *ptx* ]]; then
  tests/ptx.sh | tee "$log" || true
  if read -r good bad < <(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' "$log"); then
    passed=$((passed + good)) failed=$((failed + bad))
  elif ! grep -q '^skipped: ' "$log"; then
    failed=$((failed + 1))
  fi
fi
echo "$passed passed, $failed failed"
((failed == 0 && passed > 0))
