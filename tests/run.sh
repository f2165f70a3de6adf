#!/usr/bin/env bash
# Installs what the project needs (Debian or Ubuntu, as root), builds it twice and runs every test at
# least once. An optimised build tests what is computed, on each instruction set, failing calls,
# memory, and where nvcc is found what it compiled. A build with sanitizers tests files, parsers and
# commands, the same computations at smaller sizes, and the GPU kernels on the emulator. Says at its
# end where the time went, what was skipped and why, and in its last line N passed, N failed.
set -euo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
stage() {  # stage NAME COMMAND...: runs it, and remembers how long it took
  local name=$1 start=$SECONDS
  shift
  "$@"
  printf '%6d s  %s\n' $((SECONDS - start)) "$name" >>"$log/times"
}

stage "install packages" tools/install_dependencies.sh
optimised=numeric passed=0 failed=0
if command -v nvcc >/dev/null; then
  optimised=ptx
else
  echo "skipped: nvcc's build of the GPU kernels: there is no nvcc" | tee -a "$log/skipped"
fi
for preset in $optimised sanitize; do
  build=build-$preset
  # Many files of a library compiled as one take half of the time. What their unnamed namespaces hold
  # needs names of its own for that.
  cmake --preset "$preset" -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=32
  stage "build $preset" cmake --build "$build"
  # Some tests want networks with published weights, and skip without them.
  stage "fetch weights" env LOOKALIKE="$build/lookalike" tools/get_weights.sh efficientnet_lite0 efficientnet_lite2 squeezenet || true
  (stage "test $preset" ctest --preset "$preset" --no-tests=error) | tee "$log/ctest" || true
  read -r bad all < <(sed -nE 's/^[0-9]+% tests passed, ([0-9]+) tests failed out of ([0-9]+)$/\1 \2/p' "$log/ctest") || bad=1 all=1
  passed=$((passed + all - bad)) failed=$((failed + bad))
  sed -nE 's/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: ([^ ]+) .* ([0-9.]+) sec.*/\2 \1/p' "$log/ctest" | sed "s/$/ ($preset)/" >>"$log/tests"
  sed -nE 's/^(.*MESSAGE: )?(skipped: .*)/\2/p' "$build/Testing/Temporary/LastTest.log" >>"$log/skipped"
done
if [[ $optimised == ptx ]]; then
  (stage "test what nvcc compiled" tests/ptx.sh) | tee "$log/ptx" || true
  if read -r good bad < <(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' "$log/ptx"); then
    passed=$((passed + good)) failed=$((failed + bad))
  elif ! grep '^skipped: ' "$log/ptx" >>"$log/skipped"; then
    failed=$((failed + 1))
  fi
fi
printf '\nWhere the time went:\n'
cat "$log/times"
echo "The ten longest tests:"
sort -rn "$log/tests" | head -n 10 | while read -r seconds name; do printf '%6.0f s  %s\n' "$seconds" "$name"; done
sort -u "$log/skipped"
echo "$passed passed, $failed failed"
((failed == 0 && passed > 0))
