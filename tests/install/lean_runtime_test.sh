#!/usr/bin/env bash
# bitnet-run is what people deploy: it links no compiler (LLVM, Halide, NVRTC), stays under 32 MiB, and carries the
# default kernels within itself.
set -euo pipefail
run=$2/bin/bitnet-run
[ -x "$run" ] || { echo "$run is not built" >&2; exit 1; }
bad=0
complain() {
  echo "$1" >&2
  bad=1
}

needed=$(readelf -d "$run" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
[ -n "$needed" ] || complain "readelf shows no libraries: is $run a dynamic executable?"
for library in LLVM Halide nvrtc lld clang sqlite; do
  if grep -qi "$library" <<<"$needed"; then complain "bitnet-run needs $(grep -i "$library" <<<"$needed")"; fi
done
inside=$(nm -C --defined-only "$run" 2>/dev/null | grep -E ' (llvm|Halide|lld)::' | head -3 || true)
[ -z "$inside" ] || complain "bitnet-run contains compiler code: $inside"

size=$(stat -c %s "$run")
[ "$size" -lt $((32 * 1024 * 1024)) ] || complain "bitnet-run is $size bytes, the limit is 32 MiB"
[ -n "$(nm "$run" 2>/dev/null | grep -w bt_default_pack || true)" ] ||
  complain "bitnet-run does not carry bt_default_pack"
[ -f "$2/bin/demo/config.json" ] || complain "the demo model is not beside bitnet-run"
[ $bad = 0 ] && echo "bitnet-run: $size bytes, needs: $(tr '\n' ' ' <<<"$needed")"
exit $bad
