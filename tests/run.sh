#!/usr/bin/env bash
# Installs what the project needs (Debian or Ubuntu, as root), builds it and runs every test. Ends with one line: N passed, N failed.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/install_dependencies.sh

cmake --preset release
cmake --build --preset release
cmake --preset sanitize
cmake --build --preset sanitize

summary() { sed -nE 's/^[0-9]+% tests passed, ([0-9]+) tests failed out of ([0-9]+)$/\1 \2/p' "$1"; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0
for preset in release sanitize; do
  ctest --preset "$preset" --no-tests=error | tee "$log" || true
  read -r bad all < <(summary "$log")
  passed=$((passed + all - bad)) failed=$((failed + bad))
done
echo "$passed passed, $failed failed"
((failed == 0 && passed > 0))
