#!/usr/bin/env bash
# bitnet-tune for another machine, from outside: candidates in a folder that bitnet-worker proves, tuning through a
# runner, and one clear error for what can go wrong with targets, folders and runners. What runners may claim and may
# not is tests/proof/runner_test.cpp's.
set -uo pipefail
tune=$2/bin/bitnet-tune
worker=$2/bin/bitnet-worker
liar="python3 $1/tests/proof/lying_runner.py"
. "$1/tests/from_outside.sh" "$tune" "$worker"

small=(--shapes 32x64 --batch 1 -t 1 --quiet)
mkdir "$scratch/full"
echo mine >"$scratch/full/file"
refuses 1 'unknown target "vax"; known: x86-64' "$tune" "${small[@]}" --target vax --emit-only -o "$scratch/new"
refuses 1 'needs a folder: -o DIR' "$tune" "${small[@]}" --target aarch64-neon --emit-only
refuses 1 'is not empty' "$tune" "${small[@]}" --target aarch64-neon --emit-only -o "$scratch/full"
refuses 1 'cannot create the folder' "$tune" "${small[@]}" --target aarch64-neon --emit-only -o /proc/none/there
refuses 1 'cannot create the folder' "$tune" "${small[@]}" --target aarch64-neon --emit-only -o "$scratch/full/file"
refuses 1 'target aarch64-neon needs instructions that' "$tune" "${small[@]}" --target aarch64-neon
refuses 1 "runner 'false': exit with status 1" "$tune" "${small[@]}" --runner false
refuses 1 "runner 'no-such-command': exit with status 127" "$tune" "${small[@]}" --runner no-such-command
refuses 1 'is emulated, so it can prove kernels but not time them: give --patience estimate' \
  "$tune" "${small[@]}" --runner "$liar emulated $worker"
refuses 1 'claims a proof of another kernel' "$tune" "${small[@]}" --patience estimate --runner "$liar other-kernel $worker"
[ "$(ls "$scratch/full")" = file ] || complain "a refused command wrote into the folder"
[ ! -e "$scratch/new" ] || complain "a refused command made its folder"

# A folder of candidates: proved, and not when a byte is another.
"$tune" "${small[@]}" --target x86-64 --patience estimate --emit-only -o "$scratch/candidates" >"$scratch/out" 2>&1 ||
  complain "--emit-only failed: $(cat "$scratch/out")"
"$worker" "$scratch/candidates" >"$scratch/out" 2>&1 || complain "candidates are wrong: $(cat "$scratch/out")"
grep -q '^exact w2a8_matmul llvm.gemv' "$scratch/out" || complain "no proof is named: $(cat "$scratch/out")"
"$worker" "$scratch/candidates" --json | python3 -c '
import json, sys
result = json.load(sys.stdin)
assert result["good"] == len(result["kernels"]) > 0 and not result["emulated"], result' || complain "not the JSON expected"
printf x >>"$scratch/candidates/candidate_0.so"
"$worker" "$scratch/candidates" >"$scratch/out" 2>&1 && complain "another file was taken for the candidate"
grep -q 'its file has another hash' "$scratch/out" || complain "no reason: $(cat "$scratch/out")"
refuses 1 'cannot read' "$worker" "$scratch/full"
echo '{}' >"$scratch/full/candidates.json"
refuses 1 'is not what bitnet-tune --emit-only writes' "$worker" "$scratch/full"

# Tuning through a runner gives a pack for that machine, here this one.
"$tune" "${small[@]}" --patience estimate --runner "$worker" -o "$scratch/pack" >"$scratch/out" 2>&1 ||
  complain "tuning through a runner failed: $(cat "$scratch/out")"
grep -q 'copy it to the other machine' "$scratch/out" || complain "does not say where the pack goes: $(cat "$scratch/out")"
ls "$scratch"/pack/pack-*.so >/dev/null 2>&1 || complain "no pack"
exit $bad
