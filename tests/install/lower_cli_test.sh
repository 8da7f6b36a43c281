#!/usr/bin/env bash
# bitnet-tune lower, from outside: the stages in their order, one alone through a pipe, schedules and targets of one's
# choice, and one clear error for what cannot be shown.
set -uo pipefail
tune=$2/bin/bitnet-tune
. "$1/tests/from_outside.sh" "$tune"
avx2=(--target x86-64-avx2)
norm=(lower --kernel "$1/compiler/kernels/rmsnorm.bk" --dims M=2,K=64)

# Everything, in the order in which it happens.
"$tune" lower --shapes 64x128 --dims M=1 "${avx2[@]}" >"$scratch/all" || complain "lowering a shape failed"
[ "$(grep '^========' "$scratch/all" | cut -d' ' -f2 | tr -d '\n')" = spec:plan:ir:asm: ] ||
  complain "the stages are: $(grep '^========' "$scratch/all")"
[ "$(grep -n 'before its passes\|after its passes\|^; LLVM' "$scratch/all" | wc -l)" = 2 ] || complain "IR is not shown twice"
for words in 'kernel w2a8_matmul(M, N, K) {' 'M counts tokens, by the shapes' 'schedule   llvm.gemv{layout=i2q32' 'legality   legal' \
  'prefetch=4096: bytes of weights fetched ahead' '2.00 bits per weight' 'S0 = sum(k: K)' 'define void @w2a8_matmul' vpmaddubsw; do
  grep -qF -- "$words" "$scratch/all" || complain "no '$words' in all stages"
done

# One stage is that and nothing else: the text can be tuned again.
"$tune" "${norm[@]}" --emit spec >"$scratch/text.bk" || complain "--emit spec failed"
"$tune" lower --kernel "$scratch/text.bk" --dims M=2,K=64 --emit spec | cmp - "$scratch/text.bk" || complain "the text's text is another"
"$tune" "${norm[@]}" --emit plan "${avx2[@]}" >"$scratch/plan" || complain "--emit plan failed"
grep -q 'for m.0 below M, of the tile' "$scratch/plan" && grep -q 'ss is computed where it is read' "$scratch/plan" || complain "the plan has no loops: $(cat "$scratch/plan")"
# A pipe that closes ends it, as it ends other programs, without a word.
first=$("$tune" "${norm[@]}" --emit ir 2>"$scratch/err" | head -n 1)
[[ $first == '; LLVM IR as generated'* ]] && [ ! -s "$scratch/err" ] || complain "a pipe that closes: $first $(cat "$scratch/err")"

# Schedules and targets of one's choice; Halide's have a stage more.
shows() {
  local words=$1
  shift
  "$@" >"$scratch/shown" && grep -q -- "$words" "$scratch/shown" || complain "$*: no '$words'"
}
shows 'unroll=4: ' "$tune" "${norm[@]}" "${avx2[@]}" --schedule 'llvm.loops{unroll=4}' --emit plan
shows 'ramp\|produce' "$tune" "${norm[@]}" "${avx2[@]}" --schedule 'halide.loops{width=8}' --emit halide
shows sdot "$tune" lower --shapes 64x128 --target aarch64-dotprod --emit asm

refuses 1 'unknown target "vax"; known: x86-64,' "$tune" "${norm[@]}" --target vax
refuses 1 'schedule llvm.loops{unroll=3} is illegal for kernel rmsnorm on x86-64-avx2: unroll=3 is not one of 1, 2, 4' \
  "$tune" "${norm[@]}" "${avx2[@]}" --schedule 'llvm.loops{unroll=3}'
refuses 1 'column 6: expected a template' "$tune" "${norm[@]}" --schedule 'llvm.{}'
refuses 1 "is backend llvm's, which has no stage halide" "$tune" "${norm[@]}" --emit halide
refuses 1 'kernel rmsnorm: size K has no value' "$tune" lower --kernel "$1/compiler/kernels/rmsnorm.bk" --dims M=2
refuses 1 'kernel rmsnorm has no size Q' "$tune" "${norm[@]},Q=3"
refuses 1 'lower takes one shape' "$tune" lower --shapes 64x128,128x64
refuses 1 "no_such.bk: cannot be read" "$tune" lower --kernel no_such.bk --dims M=1
refuses 2 'lower: give one of --shapes and --kernel' "$tune" lower
refuses 2 'spec, plan, halide, ir, asm' "$tune" "${norm[@]}" --emit cake
[ ! -w /dev/full ] || refuses 1 'cannot write to standard output' bash -c "'$tune' ${norm[*]} --emit asm >/dev/full"
[ $bad = 0 ] && echo "bitnet-tune lower: stages, schedules, targets and refusals as documented"
exit $bad
