#!/usr/bin/env bash
# bitnet-emit from outside: a library that C and C++ programs link through CMake and through pkg-config and that gives
# the results of a plain loop, the same bytes every time, only public symbols and nothing wanted but a C library; a
# folder that appears whole or not at all, and one clear error for everything a user can get wrong.
set -uo pipefail
emit=$2/bin/bitnet-emit
tune=$2/bin/bitnet-tune
data=$1/tests/install/data
. "$1/tests/from_outside.sh" "$emit" "$tune"
cc=$(command -v cc || command -v clang-19)
cxx=$(command -v c++ || command -v clang++-19)
shapes=320x256,33x70

# The same bytes from two runs, whatever the folder, the cache, the time zone.
"$emit" --shapes $shapes -o "$scratch/kernels" --json --quiet >"$scratch/json" || { complain "bitnet-emit failed"; exit 1; }
(cd "$scratch" && mkdir again && TZ=Asia/Tokyo BITTERN_CACHE=$scratch/other "$emit" --shapes $shapes -o again) \
  >/dev/null 2>&1 || complain "into an empty folder: failed"
diff -r "$scratch/kernels" "$scratch/again" || complain "the same command gave other bytes"
[ -z "$(ls -A "$scratch" | grep emit-)" ] || complain "something was left beside the folder: $(ls -A "$scratch")"
lib=$scratch/kernels/lib/libbittern_kernels.a

# Exactly the header's functions are visible, and nothing is wanted but a C library.
visible=$(nm -g --defined-only "$lib" | awk 'NF == 3 {print $3}' | sort)
declared=$(grep -oE '\bbittern_[a-z_]+\(' "$scratch/kernels/include/bittern_kernels.h" | tr -d '(' | sort -u)
[ "$visible" = "$declared" ] || complain "visible symbols are not the header's: $(diff <(echo "$visible") <(echo "$declared"))"
wanted=$(nm -u "$lib" | awk '/ U / {print $2}' | grep -vE '^(malloc|free|memcpy|memset|_GLOBAL_OFFSET_TABLE_)$')
[ -z "$wanted" ] || complain "the library wants $wanted"
! grep -qaF "$scratch" "$lib" "$scratch/kernels/manifest.json" || complain "a path of this machine is in the library"

# The header alone, from C99 and C++11.
for language in "c -std=c99" "c++ -std=c++11"; do
  # shellcheck disable=SC2086 # two words
  echo '#include <bittern_kernels.h>' | "$cc" -x $language -pedantic -Wall -Wextra -Werror -fsyntax-only \
    -I "$scratch/kernels/include" - || complain "the header does not compile as $language"
done

# The example, moved out of the tree: through CMake, and through pkg-config with the library moved too.
cp -r "$1/docs/example-emit" "$scratch/example"
if ! { cmake -S "$scratch/example" -B "$scratch/example/build" -DCMAKE_PREFIX_PATH="$scratch/kernels" -DCMAKE_C_COMPILER="$cc" &&
  cmake --build "$scratch/example/build"; } >"$scratch/out" 2>&1; then
  complain "the example does not build with CMake: $(cat "$scratch/out")"
fi
mv "$scratch/again" "$scratch/moved"
flags=$(PKG_CONFIG_PATH=$scratch/moved/lib/pkgconfig pkg-config --cflags --libs bittern-kernels)
# shellcheck disable=SC2086
"$cc" -std=c99 -pedantic -Wall -Wextra -Werror -ffp-contract=off "$scratch/example/example.c" $flags -o "$scratch/example/by-pkg-config" ||
  complain "the example does not build with pkg-config: $flags"
for program in build/example by-pkg-config; do
  out=$("$scratch/example/$program") || complain "the example fails: $out"
  [ "$(grep -c ': 0 of ' <<<"$out")" = 4 ] || complain "the example printed: $out"
done

# Every instruction set, format, batch and misuse, as C99 and as C++.
for language in "c -std=c99" "c++ -std=c++11"; do
  # shellcheck disable=SC2086
  { "$cc" -x $language -O1 -ffp-contract=off -pedantic -Wall -Wextra -Werror -I "$scratch/kernels/include" \
    "$data/emit_check.c" -x none "$lib" -o "$scratch/check" && "$scratch/check" >"$scratch/out"; } ||
    complain "emit_check.c as $language failed"
done
tail -n 1 "$scratch/out"

# JSON and manifest: every kernel has a proof or says that it was not executed.
python3 - "$scratch/json" "$scratch/kernels" "$scratch/out" <<'PY' || complain "the JSON is not what it should be"
import hashlib, json, sys
summary, folder = json.load(open(sys.argv[1])), sys.argv[2]
manifest = json.load(open(folder + "/manifest.json"))
kernels = [k for t in manifest["targets"] for s in t["shapes"] for k in s["kernels"]] + \
          [t["quantiser"] for t in manifest["targets"]]
executed = [k for k in kernels if k["proof"]["executed"]]
assert len(kernels) == summary["kernels"] and len(executed) == summary["proved"] > 0, summary
assert summary["not_executed"] == summary["proved_by_meanings"] == len(kernels) - len(executed), summary
assert summary["proof_on_record"] == 0, summary
assert all(len(k["proof"]["id"]) == 16 and len(k["proof"]["inputs"]) >= 9 for k in kernels)
assert all(k["proof"]["by_meanings_of_instructions"] for k in kernels if k not in executed)
for target in manifest["targets"]:
    assert [(s["n"], s["k"]) for s in target["shapes"]] == [(320, 256), (33, 70)], target
    for shape in target["shapes"]:
        ends = [0] + [k.get("m_max", 1 << 63) for k in shape["kernels"]]
        assert [k["m_min"] for k in shape["kernels"]] == [e + 1 for e in ends[:-1]] and ends[-1] == 1 << 63, shape
# The library and bitnet-emit agree about this processor.
assert [line.split()[1] for line in open(sys.argv[3]) if line.startswith("runs ")] == \
       [t["name"] for t in manifest["targets"] if t["executed"]], manifest
for file in manifest["files"]:
    data = open(folder + "/" + file["path"], "rb").read()
    assert hashlib.sha256(data).hexdigest() == file["sha256"] and len(data) == file["bytes"], file
PY
"$emit" --version | grep -q '^bitnet-emit [0-9]' || complain "--version"
"$emit" --help | grep -q 'find_package(BitternKernels)' || complain "--help"

# A model's matrices.
"$emit" -m "$1/tests/data/demo" --target avx2 -o "$scratch/demo" --json --quiet 2>"$scratch/err" |
  python3 -c 'import json, sys; o = json.load(sys.stdin); assert o["shapes"] >= 3 and o["targets"] == ["x86-64-avx2"], o' ||
  complain "the demo model: $(cat "$scratch/err")"

# AArch64, emitted here and run by an emulator as processors without and with the wider instruction sets.
arm=$("$emit" --shapes 8x8 --target none -o "$scratch/none" 2>&1 | grep -o 'aarch64[a-z0-9-]*' | sort -u | paste -sd,)
if [ -n "$arm" ]; then
  "$emit" --shapes $shapes --target "$arm" -o "$scratch/arm" --quiet >/dev/null || complain "bitnet-emit --target $arm failed"
  aarch64-linux-gnu-gcc -static -O1 -ffp-contract=off -I "$scratch/arm/include" "$data/emit_check.c" \
    "$scratch/arm/lib/libbittern_kernels.a" -o "$scratch/check" || complain "emit_check.c does not link for AArch64"
  for cpu in cortex-a72 neoverse-n1 max; do
    qemu-aarch64 -cpu $cpu "$scratch/check" >"$scratch/out" || complain "emit_check.c fails on $cpu"
    echo "$cpu: $(tail -n 1 "$scratch/out")"
  done
  PKG_CONFIG_PATH=$scratch/arm/lib/pkgconfig pkg-config --exists bittern-kernels || complain "no pkg-config file for AArch64"
  ! cmake -S "$scratch/example" -B "$scratch/example/wrong" -DCMAKE_PREFIX_PATH="$scratch/arm" -DCMAKE_C_COMPILER="$cc" \
    >"$scratch/out" 2>&1 || complain "CMake took a library for another architecture"
  grep -q 'for aarch64' "$scratch/out" || complain "CMake does not say whose library it is: $(cat "$scratch/out")"
fi

# Winners of a database: the machine code comes out as it was proved, so its proof on record holds; where the record is
# of other bytes, it is proved anew.
db=$scratch/cache/tuning.sqlite
"$tune" --shapes 33x70 --batch 1,8 -t 1 --patience estimate --quiet >"$scratch/out" 2>&1 || complain "bitnet-tune: $(cat "$scratch/out")"
host=$(python3 - "$db" <<'PY'
import sqlite3, sys
print(sqlite3.connect(sys.argv[1]).execute("select target from problems").fetchone()[0])
PY
)
# facts FOLDER: tuned kernels, and those whose proof is from the database.
facts() {
  python3 -c 'import json, sys
kernels = [k for t in json.load(open(sys.argv[1]))["targets"] for s in t["shapes"] for k in s["kernels"]]
print(sum(k["source"] == "tuned" for k in kernels), sum(k["proof"]["from_database"] for k in kernels))' "$1/manifest.json"
}
"$emit" --shapes 33x70 --target "$host" --from-db "$db" -o "$scratch/tuned" --quiet >/dev/null || complain "--from-db failed"
[ "$(facts "$scratch/tuned")" = "2 2" ] || complain "--from-db: tuned and on record: $(facts "$scratch/tuned")"
"$cc" -O1 -ffp-contract=off -I "$scratch/tuned/include" "$data/emit_check.c" "$scratch/tuned/lib/libbittern_kernels.a" -o "$scratch/check" &&
  "$scratch/check" >/dev/null || complain "the library from the database is wrong"
python3 - "$db" <<'PY'
import hashlib, sqlite3, sys
with sqlite3.connect(sys.argv[1]) as db:
    db.execute("update object_parts set bytes = cast(bytes || x'00' as blob)")
    for (number,) in db.execute("select id from objects").fetchall():
        parts = db.execute("select bytes from object_parts where object = ? order by part", (number,))
        db.execute("update objects set sha256 = ? where id = ?",
                   (hashlib.sha256(b"".join(bytes(row[0]) for row in parts)).hexdigest(), number))
PY
"$emit" --shapes 33x70 --target "$host" --from-db "$db" -o "$scratch/anew" --quiet >/dev/null || complain "--from-db with other bytes on record failed"
[ "$(facts "$scratch/anew")" = "2 0" ] || complain "a record of other bytes was believed: $(facts "$scratch/anew")"

# refuses STATUS WORDS ARGUMENT...: fails with that status, says so in one line, and leaves nothing behind.
refuses() {
  local status=$1 words=$2 got
  shift 2
  rm -rf "$scratch/place"
  mkdir "$scratch/place"
  (cd "$scratch/place" && "$emit" --quiet -o new "$@") >"$scratch/out" 2>"$scratch/err"
  got=$?
  [ $got = "$status" ] || complain "bitnet-emit $*: exit status $got, expected $status: $(cat "$scratch/err")"
  grep -qE -- "$words" "$scratch/err" || complain "bitnet-emit $*: no '$words' in: $(cat "$scratch/err")"
  [ "$status" = 2 ] || [ "$(grep -c . "$scratch/err")" = 1 ] || complain "bitnet-emit $*: more than a line: $(cat "$scratch/err")"
  [ ! -s "$scratch/out" ] || complain "bitnet-emit $*: printed $(cat "$scratch/out")"
  [ -z "$(ls -A "$scratch/place")" ] || complain "bitnet-emit $*: left $(ls -A "$scratch/place")"
}
refuses 1 'unknown target "6502"; known: x86-64, .*x86-64-avx2' --shapes 8x8 --target 6502
[ -z "$arm" ] || refuses 1 'different architectures' --shapes 8x8 --target "avx2,$arm"
refuses 1 'unknown target ""' --shapes 8x8 --target avx2,,
for shape in 0x8 8x0 8x-1 99999999999999999999x8 8 8x 8x8x8 x 8x8,; do refuses 1 "shapes '$shape'" --shapes "$shape"; done
refuses 1 '16777216x16777216: more than' --shapes 16777216x16777216
refuses 1 'can overflow i32' --shapes 8x16777216
refuses 1 'nowhere' -m "$scratch/nowhere"
refuses 1 'config.json' -m "$scratch/kernels"
refuses 1 "database $scratch/none: No such file" --shapes 33x70 --from-db "$scratch/none"
: >"$scratch/empty"
refuses 1 'empty' --shapes 33x70 --from-db "$scratch/empty"
refuses 1 'database' --shapes 33x70 --from-db "$lib"
refuses 1 "no winner for 64x128 on $host" --shapes 33x70,64x128 --target "$host" --from-db "$db"
refuses 1 "no winner for 33x70 on $host with 7 threads" --shapes 33x70 --target "$host" --from-db "$db" -t 7
refuses 2 '' --shapes 8x8 -m model
refuses 2 ''
refuses 2 'requires --from-db' --shapes 8x8 -t 2
refuses 2 '' --shapes 8x8 --frobnicate
python3 -c 'import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as db: db.execute("update candidates set schedule = replace(schedule, ?, ?)", ("rows=", "rows=7"))' "$db"
refuses 1 'rows=7' --shapes 33x70 --target "$host" --from-db "$db"

# Output folders.
mkdir "$scratch/full" && touch "$scratch/full/file"
# cannot WORDS FOLDER: that folder is refused and stays as it is.
cannot() {
  "$emit" --quiet --shapes 8x8 -o "$2" >"$scratch/out" 2>&1 && complain "$2 was taken"
  grep -q "output folder .*$1" "$scratch/out" || complain "$2: no '$1' in: $(cat "$scratch/out")"
}
cannot 'not empty' "$scratch/full"
cannot 'no folder' "$scratch/full/file"
cannot 'cannot create' "$scratch/not/there"
cannot 'cannot create' /proc/kernels
[ "$(ls -A "$scratch/full")" = file ] || complain "a folder in use was changed"

# Interrupted at any moment: nothing, or everything. (The proofs of this shape take seconds.)
for signal in INT TERM KILL; do
  rm -rf "$scratch/cut"
  mkdir "$scratch/cut"
  rm "$scratch/err"
  "$emit" --shapes 4096x4096 --target "$host" -o "$scratch/cut/new" >/dev/null 2>"$scratch/err" &
  pid=$!
  for _ in $(seq 200); do grep -qs proving "$scratch/err" && break || sleep 0.05; done
  kill -$signal $pid
  wait $pid 2>/dev/null
  code=$?
  [ ! -e "$scratch/cut/new" ] || complain "after SIG$signal there is a folder"
  expected=130
  [ $signal != KILL ] || expected=137
  { [ -z "$(ls -A "$scratch/cut")" ] && [ $code = $expected ]; } ||
    complain "after SIG$signal: status $code, left $(ls -A "$scratch/cut")"
done
"$emit" --shapes 1x1 --target x86-64 -o "$scratch/cut/new" --quiet >/dev/null || complain "after a kill the next run fails"
"$cc" -O1 -ffp-contract=off -I "$scratch/cut/new/include" "$data/emit_check.c" "$scratch/cut/new/lib/libbittern_kernels.a" \
  -o "$scratch/check" && "$scratch/check" >/dev/null || complain "the library for the smallest matrix is wrong"
[ $bad = 0 ] && echo "bitnet-emit: libraries and refusals as documented"
exit $bad
