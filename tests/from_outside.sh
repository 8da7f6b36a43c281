# Sourced by tests that look at built programs from outside, as `. from_outside.sh PROGRAM...`: all must be there; gives
# $scratch, a folder that goes when the test ends, a cache in it, and complain, after which `exit $bad` says that the
# test failed.
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
