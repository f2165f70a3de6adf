#!/usr/bin/env bash
# faults.sh [BUILD] [option...]: has each write, read, allocation and the like of every command
# fail, one a run, alone and with all after it (docs/faults.md); the allocations take hours. Options
# are those of tests/faults/fault_driver.cpp: --spread N, --commands TEXT, --kinds KIND,... .
set -euo pipefail
cd "$(dirname "$0")/.."
build=build
if (($# > 0)) && [[ $1 != --* ]]; then build=$1; shift; fi
cmake --build "$build" --target lookalike inject fault_driver >/dev/null
exec "$build/tests/fault_driver" "$build/lookalike" "$build/tests/libinject.so" "$@"
