# Sourced by tests that look at built programs from outside, as `. from_outside.sh PROGRAM...`: all must be there; gives
# $scratch, a folder that goes when the test ends, a cache in it, and complain and refuses, after which `exit $bad` says
# whether the test failed.
for program in "$@"; do
  [ -x "$program" ] || { echo "$program is not built" >&2; exit 1; }
done
scratch=$(mktemp -d)
trap 'chmod -R u+w "$scratch"; rm -rf "$scratch"' EXIT
export BITTERN_CACHE=$scratch/cache
unset XDG_CACHE_HOME BITTERN_CACHE_LIMIT
bad=0
complain() {
  echo "$1" >&2
  bad=1
}

# refuses STATUS WORDS COMMAND...: nothing on stdout, one line on stderr with these words.
refuses() {
  local status=$1 words=$2 code=0
  shift 2
  "$@" >"$scratch/out" 2>"$scratch/err" || code=$?
  [ $code = "$status" ] || complain "$*: exit status $code: $(cat "$scratch/err")"
  [ ! -s "$scratch/out" ] || complain "$*: printed $(cat "$scratch/out")"
  [ "$(wc -l <"$scratch/err")" = 1 ] || complain "$*: not one line: $(cat "$scratch/err")"
  grep -qF -- "$words" "$scratch/err" || complain "$*: no '$words' in: $(cat "$scratch/err")"
}
