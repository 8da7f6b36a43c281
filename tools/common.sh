# Shared by the project's scripts: where the tree is, saying what happens, one build at a time. Sourced, not run.
set -euo pipefail
top=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
export LC_ALL=C

say() { printf '\n== %s\n' "$*" >&2; }
die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# Two of these scripts at once would build in the same folder: the second waits for the first. A script that was
# started by one that holds the lock has it too.
lock_tree() {
  if [ "${BITTERN_TREE_LOCKED:-}" = "$top" ]; then return; fi
  mkdir -p "$top/.deps"
  exec 9>"$top/.deps/lock"
  if ! flock -n 9; then
    say "Waiting for another build in $top"
    flock 9
  fi
  export BITTERN_TREE_LOCKED="$top"
}

# build_preset NAME [TARGET...]: configures and builds a preset of CMakePresets.json, all of it or some targets.
build_preset() {
  say "Building the '$1' preset in $(preset_folder "$1")"
  (cd "$top" && cmake --preset "$1" >"$top/.deps/configure-$1.log" 2>&1 9>&-) ||
    { cat "$top/.deps/configure-$1.log" >&2; die "configuring '$1' failed"; }
  cmake --build "$(preset_folder "$1")" --parallel "$(jobs)" ${2:+--target "${@:2}"} 9>&- >&2 || die "building '$1' failed"
}
preset_folder() {
  if [ "$1" = release ]; then echo "$top/build"; else echo "$top/build-$1"; fi
}

# One compile job a core, but no more than memory allows: a file that includes Halide or LLVM takes about 1 GiB.
jobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/^MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo)
  [ "$memory" -ge 1 ] || memory=1
  echo $((cores < memory ? cores : memory))
}
