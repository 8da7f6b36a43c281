#!/usr/bin/env bash
# bitnet-convert from outside: the same text whichever format the demo model went through, a result that appears whole
# or not at all whatever happens to the process or the disk, and one clear error for everything a user can get wrong.
set -uo pipefail
convert=$2/bin/bitnet-convert
run=$2/bin/bitnet-run
demo=$1/tests/data/demo
. "$1/tests/from_outside.sh" "$convert" "$run"

# What the model says, whichever file it is in: text, ids and their numbers, how well it predicts a text, and errors. Only
# speeds and the file's own name may differ.
head -c 600 "$1/tests/data/demo-reference/heldout.txt" >"$scratch/heldout"
long=$(printf 'begat %.0s' $(seq 600))
text_of() {
  local model=$1
  "$run" -m "$model" -p "And it came to pass, \"Abraham\"" -n 24 --seed 5 --json 2>/dev/null |
    python3 -c 'import json, sys; o = json.load(sys.stdin); print(o["text"], o["tokens"], o["prompt_tokens"])'
  "$run" perplexity -m "$model" -f "$scratch/heldout" --window 32 2>/dev/null
  {
    "$run" -m "$model" -p "$long"
    "$run" -m "$model" -p x -c 1024
    "$run" logits -m "$model" --tokens 1,9999 --out "$scratch/none.npy"
  } 2>&1 >/dev/null | grep '^error: ' | sed "s|$model|MODEL|g"
}
first=$(text_of "$demo")
for part in '[[][0-9, ]*[]] [0-9]*$' "perplexity" "error: .*longer than the context" "error: .*512 positions" "error: .*outside the vocabulary"; do
  grep -q -- "$part" <<<"$first" || complain "the demo model does not say '$part': $first"
done
formats="bittern gguf-i2_s gguf-tq1_0 gguf-tq2_0 gguf-f16 safetensors int2"
from=$demo
for format in $formats; do
  "$convert" "$from" --to "$format" -o "$scratch/demo.$format" --verify >"$scratch/out" 2>&1 ||
    complain "to $format: $(cat "$scratch/out")"
  grep -q '3014656 trits, 28 scales' "$scratch/out" || complain "to $format: not all was compared: $(cat "$scratch/out")"
  [ "$(text_of "$scratch/demo.$format")" = "$first" ] || complain "after conversion to $format the model writes otherwise"
  from=$scratch/demo.$format
done
"$convert" "$from" --to bittern -o "$scratch/again" --quiet >/dev/null 2>&1 || complain "int2 to bittern failed"
[ "$(text_of "$scratch/again")" = "$first" ] || complain "after all formats the model writes otherwise"

# Chat uses the model's own template, whichever file it travelled in.
answer_of() { printf 'Who art thou?\n' | "$run" chat -m "$1" -n 8 --seed 3 2>/dev/null; }
answer=$(answer_of "$demo")
[ -n "$answer" ] || complain "the demo model does not answer"
for format in $formats; do
  [ "$(answer_of "$scratch/demo.$format")" = "$answer" ] || complain "after conversion to $format the model answers otherwise"
done

# JSON, help, version.
"$convert" "$demo" --to bittern -o "$scratch/j" --json --verify 2>/dev/null |
  python3 -c 'import json, sys; o = json.load(sys.stdin); assert o["weights"] == 4063232 and o["verified"]["trits"] == 3014656, o' ||
  complain "--json is not what it should be"
"$convert" --version | grep -q '^bitnet-convert [0-9]' || complain "--version"
"$convert" --help | grep -q 'gguf-tq2_0 .*bits a weight' || complain "--help does not list the formats"
"$convert" synth --help | grep -q -- '--preset' || complain "synth --help"

# refuses STATUS WORDS ARGUMENT...: it fails with that status and says so in one line.
refuses() {
  local status=$1 words=$2 got
  shift 2
  "$convert" "$@" >"$scratch/out" 2>"$scratch/err"
  got=$?
  [ $got = "$status" ] || complain "bitnet-convert $*: exit status $got, expected $status: $(cat "$scratch/err")"
  grep -qE -- "$words" "$scratch/err" || complain "bitnet-convert $*: no '$words' in: $(cat "$scratch/err")"
  [ "$status" = 2 ] || [ "$(grep -c . "$scratch/err")" = 1 ] || complain "bitnet-convert $*: more than a line: $(cat "$scratch/err")"
}
x=$scratch/x
refuses 2 "IN" --to bittern -o "$x"
refuses 2 "to" "$demo" -o "$x"
refuses 2 "out" "$demo" --to bittern
refuses 2 "gguf-q4" "$demo" --to gguf-q4 -o "$x"
refuses 2 "i2s-layout" "$demo" --to bittern -o "$x" --i2s-layout 32
refuses 2 "activation" "$demo" --to bittern -o "$x" --activation gelu
refuses 2 "preset" synth -o "$x"
refuses 2 "preset" synth --preset 7b -o "$x"
refuses 2 "format" synth --preset demo -o "$x" --format pt
refuses 1 "/nowhere: cannot open" /nowhere --to bittern -o "$x"
refuses 1 "/nowhere/x: cannot create: No such file" "$demo" --to bittern -o /nowhere/x
refuses 1 "exists already .--force" "$demo" --to bittern -o "$scratch/demo.bittern"
refuses 1 "is the model that is to be converted" "$scratch/demo.bittern" --to bittern -o "$scratch/demo.bittern" --force
refuses 1 "is a folder; the result is a file" "$demo" --to bittern -o "$scratch/demo.int2" --force
refuses 1 "is not a folder; the result is one" "$demo" --to int2 -o "$scratch/demo.bittern" --force
mkdir "$scratch/mine" && touch "$scratch/mine/diary"
refuses 1 "holds 'diary'" "$demo" --to int2 -o "$scratch/mine" --force
printf 'PK\003\004' >"$scratch/model.pt"
refuses 1 "model.pt: a PyTorch pickle .*runs code" "$scratch/model.pt" --to bittern -o "$x"
refuses 1 "goldens/bitnet_b8_bf16|whole blocks of 128" "$1/tests/data/goldens/bitnet_b8_bf16" --to gguf-i2_s -o "$x"
if [ "$(id -u)" != 0 ]; then
  mkdir "$scratch/locked" && chmod a-w "$scratch/locked"
  refuses 1 "locked/x: cannot create: Permission denied" "$demo" --to bittern -o "$scratch/locked/x"
fi

# A full disk (a limit on file sizes stands for it: 1000 KiB) is one error, and the old result stays.
echo old >"$scratch/kept"
for format in bittern gguf-f16; do
  (ulimit -f 1000 && "$convert" "$demo" --to $format -o "$scratch/kept" --force >"$scratch/out" 2>"$scratch/err")
  [ $? = 1 ] || complain "a full disk: the exit status is not 1"
  grep -q "^error: $scratch/kept: cannot write.*: File too large$" "$scratch/err" || complain "a full disk: $(cat "$scratch/err")"
  [ "$(cat "$scratch/kept")" = old ] || complain "a full disk: the old result is gone"
done
(ulimit -f 1000 && "$convert" "$demo" --to safetensors -o "$scratch/kept-folder" >"$scratch/out" 2>"$scratch/err")
grep -q "^error: $scratch/kept-folder/model.safetensors: cannot write.*: File too large$" "$scratch/err" ||
  complain "a full disk, folder: $(cat "$scratch/err")"
! [ -e "$scratch/kept-folder" ] || complain "a full disk, folder: something is there"
! compgen -G "$scratch/*.part" >/dev/null || complain "left over: $(echo "$scratch"/*.part)"

# wait_for FILE: until it is there and not empty.
wait_for() {
  for _ in $(seq 1200); do
    [ -s "$1" ] && return
    sleep 0.05
  done
}

# Killed in the middle, at several moments: the old result stays, and the next run removes what was left.
killed=0
for delay in 0 0.1 0.3 0.6; do
  "$convert" synth --preset 2b-4t --format gguf-i2_s -o "$scratch/kept" --force --quiet >/dev/null 2>&1 &
  child=$!
  wait_for "$scratch/kept.$child.part"
  sleep $delay
  if kill -9 $child 2>/dev/null; then
    wait $child 2>/dev/null
    [ -e "$scratch/kept.$child.part" ] && killed=$((killed + 1))
  fi
  [ "$(head -c 10 "$scratch/kept")" = old ] || complain "kill -9 $delay s into writing: the old result is gone"
done
[ $killed -gt 0 ] || complain "no process was killed while it wrote"
"$convert" synth --preset demo --format bittern -o "$scratch/kept" --force >/dev/null 2>&1 || complain "the run after the kills failed"
! compgen -G "$scratch/*.part" >/dev/null || complain "still there: $(echo "$scratch"/*.part)"

# Ctrl-C: nothing stays, and it is said.
"$convert" synth --preset 2b-4t --format gguf-i2_s -o "$scratch/stopped" --quiet >/dev/null 2>"$scratch/err" &
child=$!
wait_for "$scratch/stopped.$child.part"
kill -INT $child
wait $child
[ $? = 1 ] || complain "Ctrl-C: the exit status is not 1"
grep -q '^error: interrupted; nothing was written$' "$scratch/err" || complain "Ctrl-C: $(cat "$scratch/err")"
! compgen -G "$scratch/stopped*" >/dev/null || complain "Ctrl-C left $(echo "$scratch"/stopped*)"

# A synthetic model is a model: text (of a kind) comes out of it in every format.
for format in hf gguf-i2_s gguf-tq2_0 bittern; do
  "$convert" synth --preset demo --format $format -o "$scratch/synth.$format" --verify >"$scratch/out" 2>&1 ||
    complain "synth $format: $(cat "$scratch/out")"
done
synthetic=$("$run" -m "$scratch/synth.hf" -p "The words" -n 8 --ignore-eos 2>/dev/null | base64 -w0)
[ -n "$synthetic" ] || complain "the synthetic model wrote nothing"
for format in gguf-i2_s gguf-tq2_0 bittern; do
  [ "$("$run" -m "$scratch/synth.$format" -p "The words" -n 8 --ignore-eos 2>/dev/null | base64 -w0)" = "$synthetic" ] ||
    complain "the synthetic model writes otherwise as $format"
done

[ $bad = 0 ] && echo "bitnet-convert: one text from every format, whole results or none, clear refusals"
exit $bad
