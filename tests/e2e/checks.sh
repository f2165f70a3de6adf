# What the tests of the binary share: sourced by them, with their arguments LOOKALIKE and MAKE_PAIRS.
# They go on in "$work", an empty folder that goes with them; "$source" is the project's.

source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
lookalike=$(realpath "$1") make_pairs=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() { echo "FAILED: $*" >&2; exit 1; }
# refuse EXPECTED ABSENT COMMAND...: the command must end with status 1, say one line that holds EXPECTED, and leave no ABSENT behind.
refuse() {
  local expected=$1 absent=$2 status=0
  shift 2
  "$@" >out.txt 2>err.txt || status=$?
  [[ $status == 1 ]] || fail "status $status, expected 1: $*"
  [[ $(wc -l <err.txt) == 1 ]] || fail "not one line: $* said: $(cat err.txt)"
  grep -qF -- "$expected" err.txt || fail "'$expected' is not in: $(cat err.txt)"
  [[ -z $absent || ! -e $absent ]] || fail "$absent was left by: $*"
}
