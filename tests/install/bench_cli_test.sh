#!/usr/bin/env bash
# bitnet-bench from outside: the stable JSON keys, one error line for wrong usage, no figure for a wrong model.
set -uo pipefail
bench=$2/bin/bitnet-bench
. "$1/tests/from_outside.sh" "$bench"

# keys COMMAND-LINE KEY...: the command succeeds and its JSON has each key.
keys() {
  local command=$1 out key
  shift
  # shellcheck disable=SC2086 # the command line is meant to be split
  out=$("$bench" $command) || complain "bitnet-bench $command failed"
  for key in "$@"; do
    grep -q "\"$key\":" <<<"$out" || complain "bitnet-bench $command: no \"$key\" in $out"
  done
}
keys "roof -t 1 --json" threads n read_gb_s int8_gop_s
keys "kernel --shape 320x256,33x70 --batch 1,3 -t 2 --seconds 0.05 --json" \
  results shape m threads backend us_median gb_s gop_s roof_gb_s roof_gop_s roof_pct tuned
keys "kernel --shape 33x70 --batch 5 -t 1 --seconds 0.05 --kernels scalar --json" results
keys "model --preset demo -t 2 -p 16 -n 4 --json" preset threads prefill_tok_s decode_tok_s bytes_per_token roof_gb_s \
  roof_gop_s roof_pct_prefill roof_pct_decode head rss_mib start_s tuned
keys "model --preset demo -t 1 -p 5 -n 2 --head int8 --kv f16 --kernels default --json" head rss_mib

keys "model --preset demo --batch 1,3 -t 2 -p 40 -n 3 --json" preset threads kernels batches sequences step_ms decode_tok_s

rows=$("$bench" kernel --shape 320x256,33x70 --batch 1,3 -t 1 --seconds 0.05 --json | grep -c '"us_median"')
[ "$rows" = 4 ] || complain "two shapes and two batches gave $rows rows"

# refuses STATUS COMMAND-LINE WORD: fails with that status, prints no figure, and its message has the word.
refuses() {
  local status=$1 command=$2 word=$3 out err code
  err=$scratch/err
  # shellcheck disable=SC2086
  out=$("$bench" $command 2>"$err")
  code=$?
  [ "$code" = "$status" ] || complain "bitnet-bench $command: exit status $code, not $status"
  [ -z "$out" ] || complain "bitnet-bench $command printed: $out"
  grep -q -- "$word" "$err" || complain "bitnet-bench $command: no '$word' in: $(cat "$err")"
}
refuses 1 "roof -t 0" "'0'"
refuses 1 "roof -t 99999" "99999"
refuses 1 "kernel --shape 12" "'12'"
refuses 1 "kernel --shape 12x0" "'0'"
refuses 1 "kernel --shape 8x8 --batch 1,x" "'x'"
refuses 1 "kernel --shape 1000000x1000000" "1000000x1000000"
refuses 1 "kernel --shape 8x8 --kernels fast" "scalar"
refuses 1 "model --preset 70b" "2b-4t"
refuses 1 "model --preset demo -t 1,2" "one count"
refuses 1 "model --preset demo --batch 65" "65"
refuses 1 "model --preset demo --batch 0" "0"
refuses 1 "model --preset demo --batch 64 -p 65536 -n 65536" "positions"
refuses 2 "kernel" "--shape"
refuses 2 "model --preset demo --head fp4" "head"
refuses 2 "fly" ""
[ $bad = 0 ] && echo "bitnet-bench: keys and refusals as documented"
exit $bad
