#!/usr/bin/env bash
# The documents stay true: every file they name exists, every option they show is one the programs know, and the kernel
# that the README quotes is the one in the tree.
set -euo pipefail
cd "$1"
build=$2
bad=0
complain() {
  echo "$1" >&2
  bad=1
}
documents=(README.md CONTRIBUTING.md docs/*.md)

# Names in backquotes or links that look like files of ours. A * stands for any name; build/ is looked up in the build.
named=0
for document in "${documents[@]}"; do
  while read -r path; do
    path=${path%%#*}
    case $path in
      build/bin/*) found=$build/${path#build/} ;;
      build/* | build) continue ;;
      *) found=$path ;;
    esac
    named=$((named + 1))
    # shellcheck disable=SC2086 # the pattern is meant to expand
    compgen -G "$found" >/dev/null || compgen -G "$(dirname "$document")/$found" >/dev/null ||
      complain "$document names '$path', which is not there"
  done < <({
    grep -oE '`[A-Za-z_.][A-Za-z0-9_.*-]*(/[A-Za-z0-9_.*-]+)+/?`' "$document" | tr -d '`'
    grep -oE '\]\([^):]+\)' "$document" | sed -E 's/^\]\(//; s/\)$//'
    grep -oP '(^|[ `])\K(build/bin|tools)/[a-z-]+(?![a-z.-])' "$document"
  } | sort -u)
done
[ "$named" -gt 30 ] || complain "only $named names were found in the documents"

# The README's command lines: every option is in the help of its program or subcommand.
while read -r program words; do
  first=${words%% *}
  case $first in -* | "") subcommand= ;; *) subcommand=$first ;; esac
  # shellcheck disable=SC2086 # no subcommand is no argument
  help=$("$build/bin/$program" $subcommand --help)
  for option in $(grep -oE '(^| )--?[a-z][a-z-]*' <<<"$words"); do
    grep -qE -- "(^|[ ,])$option([ ,]|\$)" <<<"$help" || complain "README.md shows '$program $words'; its help has no $option"
  done
done < <(sed -nE 's|^(\$ )?build/bin/(bitnet-[a-z]+) ([^#]*).*|\2 \3|p' README.md)

# The README's table of packages is what tools/install-deps installs.
while read -r package; do
  grep -qE "(^|[ |(,;])${package//+/\\+}([ ,;|)]|$)" README.md || complain "README.md does not say why $package is installed"
done < <(sed -n '/^packages=(/,/^halide_version/p' tools/install-deps | grep -v '^halide' | sed 's/^[a-z_]*=(//; s/)//' |
  tr ' ' '\n' | grep .)

quoted=$(sed -n '/^kernel w2a8_matmul/,/^}/p' README.md)
text=$(sed -n '/^kernel w2a8_matmul/,/^}/p' compiler/kernels/w2a8_matmul.bk | sed -E 's/ *#.*//')
[ "$quoted" = "$text" ] || complain "README.md quotes w2a8_matmul otherwise than compiler/kernels/w2a8_matmul.bk"
[ $bad = 0 ] && echo "$named names in ${#documents[@]} documents are there"
exit $bad
