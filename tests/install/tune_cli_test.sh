#!/usr/bin/env bash
# bitnet-tune on this machine, from outside: the stable JSON keys, --compare-layouts as JSON, text and picture, and one
# clear error for what cannot be compared; several tuners on one database, and databases that are not to be trusted. Other
# machines are runner_cli_test.sh's.
set -uo pipefail
tune=$2/bin/bitnet-tune
. "$1/tests/from_outside.sh" "$tune"

refuses 1 'kernel rmsnorm has no ternary weights' "$tune" --quiet --kernel "$1/compiler/kernels/rmsnorm.bk" --dims M=1,K=64 --compare-layouts
refuses 1 '--compare-layouts measures, and --patience estimate does not' "$tune" --quiet --shapes 32x64 --patience estimate --compare-layouts
refuses 1 '--compare-layouts measures, and --emit-only does not' "$tune" --quiet --shapes 32x64 --emit-only -o "$scratch/new" --compare-layouts
refuses 2 'give one of --model, --preset, --shapes and --kernel' "$tune" --quiet --compare-layouts
[ ! -e "$scratch/new" ] || complain "a refused command made its folder"

# A text whose sums or conversions are not proved is refused at once, at its place, whatever its sizes.
refused=$1/tests/data/kernels/refused
refuses_text() {
  timeout 10 "$tune" --quiet --kernel "$refused/$3.bk" --dims "$2" >"$scratch/out" 2>"$scratch/err"
  [ $? = 1 ] && [ ! -s "$scratch/out" ] && [ "$(wc -l <"$scratch/err")" = 3 ] && grep -qF -- "$1" "$scratch/err" ||
    complain "$3 at $2 is not refused once, with its line: $(cat "$scratch/err")"
}
refuses_text 'sum_overflows.bk:9:18: the sum of 65794 terms in -32640 .. 32640 can overflow i32; at most 65793 are safe' M=1,N=2,K=65794 sum_overflows
refuses_text 'sum_overflows.bk:9:18: the sum of 16777216 terms' M=1,N=2,K=16777216 sum_overflows
for size in 1 64 4096; do
  refuses_text 'narrow_sum.bk:7:13: sum(k: K) i32(W[n, k]) * i32(A[m, k]) is not proved to fit in i8' "M=1,N=$size,K=$size" narrow_sum
  refuses_text 'float_to_int.bk:6:13: X[m, k] * 10000000.0 is not proved to fit in i32: found NaN or -inf .. inf' "M=1,K=$size" float_to_int
done

target=x86-64-sse41
[ "$(uname -m)" = x86_64 ] || target=aarch64-neon
small=(--shapes 64x128 --batch 1 -t 1 --target $target --compare-layouts --quiet --time-limit 600)
"$tune" "${small[@]}" --json --report "$scratch/report.html" >"$scratch/json" || complain "comparing layouts failed"
"$tune" "${small[@]}" >"$scratch/text" || complain "comparing layouts once more failed"
python3 - "$scratch/json" "$scratch/text" "$scratch/report.html" <<'END' || complain "a comparison is not what is documented"
import json, re, sys
result = json.load(open(sys.argv[1]))
text = [re.split("  +", line.rstrip("\n")) for line in open(sys.argv[2])]
html = open(sys.argv[3]).read()
top = {"fingerprint", "database", "results", "layouts", "layout_times", "unreached", "rejections", "pack", "interrupted", "seconds"}
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
# Three tuners on one cold database share it, and what they leave is sound. None is short of time, however busy the
# machine is: what they try is counted.
shared=$scratch/shared
for i in 1 2 3; do
  BITTERN_CACHE=$shared "$tune" --shapes 24x40 --batch 1 -t 1 --target $target --time-limit 600 --quiet --json \
    >"$scratch/tuner$i" 2>"$scratch/errors$i" &
  tuners[i]=$!
done
for i in 1 2 3; do
  wait "${tuners[i]}" || complain "tuner $i of three failed: $(cat "$scratch/errors$i")"
  [ ! -s "$scratch/errors$i" ] || complain "tuner $i of three says: $(cat "$scratch/errors$i")"
done
python3 - "$shared/tuning.sqlite" "$scratch"/tuner? <<'END' || complain "three tuners did not share their database"
import json, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
count = lambda what: db.execute("SELECT count(*) FROM " + what).fetchone()[0]
assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
assert not db.execute("PRAGMA foreign_key_check").fetchall()
assert count("machines") == count("problems") == count("winners") == 1 and count("runs") == 3
assert count("candidates") == count("(SELECT DISTINCT problem, schedule, shipped_default FROM candidates)") > 1
for name in sys.argv[2:]:
    result = json.load(open(name))
    assert len(result["results"]) == 1 and result["pack"], result
db.execute("UPDATE objects SET library = x'7f454c46'")  # machine code that is not what was proved
db.commit()
END
# Code that was changed is not run, and is made again; a database that others could have written is not opened; one that
# is not there is an error, and is not made.
BITTERN_CACHE=$shared "$tune" verify >"$scratch/verify" && complain "changed code was verified"
grep -q 'its code is not what its hash says' "$scratch/verify" || complain "verify says: $(cat "$scratch/verify")"
BITTERN_CACHE=$shared "$tune" --shapes 24x40 --batch 1 -t 1 --target $target --patience estimate --again --quiet \
  >"$scratch/again" 2>&1 || complain "changed code stops the tuner: $(cat "$scratch/again")"
BITTERN_CACHE=$shared "$tune" verify >"$scratch/verify" || complain "made again, not exact: $(cat "$scratch/verify")"
refuses 1 '/nowhere' "$tune" show --db /nowhere
refuses 1 'none.sqlite' "$tune" verify --db "$scratch/none.sqlite"
[ ! -e "$scratch/none.sqlite" ] || complain "verify made a database"
chmod 666 "$shared/tuning.sqlite"
for command in show verify "--shapes 24x40 --quiet"; do
  # shellcheck disable=SC2086
  refuses 1 'writable by other users' "$tune" $command --db "$shared/tuning.sqlite"
done

[ $bad = 0 ] && echo "bitnet-tune: keys, comparison and refusals as documented"
exit $bad
