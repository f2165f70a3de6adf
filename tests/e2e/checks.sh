# What the tests of the binary share: sourced by them.

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
