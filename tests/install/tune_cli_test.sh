#!/usr/bin/env bash
# bitnet-tune on this machine, from outside: the stable JSON keys, --compare-layouts as JSON, text and picture, and one
# clear error for what cannot be compared. Other machines are runner_cli_test.sh's.
set -uo pipefail
tune=$2/bin/bitnet-tune
. "$1/tests/from_outside.sh" "$tune"

refuses 1 'kernel rmsnorm has no ternary weights' "$tune" --quiet --kernel "$1/compiler/kernels/rmsnorm.bk" --dims M=1,K=64 --compare-layouts
refuses 1 '--compare-layouts measures, and --patience estimate does not' "$tune" --quiet --shapes 32x64 --patience estimate --compare-layouts
refuses 1 '--compare-layouts measures, and --emit-only does not' "$tune" --quiet --shapes 32x64 --emit-only -o "$scratch/new" --compare-layouts
refuses 2 'give one of --model, --preset, --shapes and --kernel' "$tune" --quiet --compare-layouts
[ ! -e "$scratch/new" ] || complain "a refused command made its folder"

small=(--shapes 64x128 --batch 1 -t 1 --target x86-64-sse41 --compare-layouts --quiet)
[ "$(uname -m)" = x86_64 ] || small[6]=aarch64-neon
"$tune" "${small[@]}" --json --report "$scratch/report.html" >"$scratch/json" || complain "comparing layouts failed"
"$tune" "${small[@]}" >"$scratch/text" || complain "comparing layouts once more failed"
python3 - "$scratch/json" "$scratch/text" "$scratch/report.html" <<'END' || complain "a comparison is not what is documented"
import json, re, sys
result = json.load(open(sys.argv[1]))
text = [re.split("  +", line.rstrip("\n")) for line in open(sys.argv[2])]
html = open(sys.argv[3]).read()
top = {"fingerprint", "database", "results", "layouts", "layout_times", "unreached", "pack", "interrupted", "seconds"}
assert set(result) == top, result.keys()
layouts = [row["layout"] for row in result["layout_times"]]
assert len(set(layouts)) == len(layouts) >= 12, layouts
assert all(row["us_median"] > 0 and row["binds"] in ("bytes", "instructions") for row in result["layout_times"])
start = next(i for i, row in enumerate(text) if "of read roof" in row)
table = text[start + 1:start + 1 + len(layouts)]
assert sorted(row[1] for row in table) == sorted(layouts), table
assert all(row[7] in ("bytes", "instructions") for row in table), table
assert all(">%s</text>" % layout in html for layout in layouts)
END
[ $bad = 0 ] && echo "bitnet-tune: keys, comparison and refusals as documented"
exit $bad
