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

# The README's command lines: every long option is in the program's help.
while read -r program option; do
  { "$build/bin/$program" --help; "$build/bin/$program" --help-all; } 2>/dev/null | grep -q -- "$option" ||
    complain "README.md shows '$program $option', which its help does not know"
done < <(grep -oE 'bitnet-(run|tune|bench) [^#|`]*' README.md |
  awk '{for (i = 2; i <= NF; i++) if ($i ~ /^--[a-z-]+$/) print $1, $i}' | sort -u)

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
