#!/usr/bin/env bash
# bitnet-run for AArch64 under qemu, on processors without and with the dot product: the same text and the same logits,
# bit for bit, as this machine's, on kernels of the right kind.
set -uo pipefail
here=$2/bin/bitnet-run
there=${BITTERN_AARCH64:-$1/build-aarch64}/bin/bitnet-run
demo=$1/tests/data/demo
[ -x "$there" ] || { echo "$there is not built: cmake --preset aarch64, then build it" >&2; exit 1; }
. "$1/tests/from_outside.sh" "$here"

generate=(-m "$demo" -p "And it came to pass" -n 16 -t 2)
tokens=5,17,200,33,9,1,2,3,4,60,61,62
text=$("$here" "${generate[@]}" 2>/dev/null) || complain "bitnet-run failed here"
"$here" logits -m "$demo" --tokens $tokens --out "$scratch/here.npy" 2>/dev/null || complain "no logits here"
while read -r cpu target; do
  emulate=(qemu-aarch64 -cpu "$cpu" -L /usr/aarch64-linux-gnu "$there")
  there_text=$("${emulate[@]}" "${generate[@]}" 2>"$scratch/err") || complain "$cpu: failed: $(cat "$scratch/err")"
  [ "$there_text" = "$text" ] || complain "$cpu: another text: $there_text"
  "${emulate[@]}" logits -m "$demo" --tokens $tokens --out "$scratch/there.npy" 2>/dev/null || complain "$cpu: no logits"
  cmp "$scratch/here.npy" "$scratch/there.npy" || complain "$cpu: other logits"
  "${emulate[@]}" explain -m "$demo" >"$scratch/explain" 2>&1 || complain "$cpu: explain failed: $(cat "$scratch/explain")"
  grep -q "$target" "$scratch/explain" || complain "$cpu: no kernels for $target in: $(cat "$scratch/explain")"
done <<END
cortex-a72 aarch64-neon
neoverse-n1 aarch64-dotprod
END
exit $bad
