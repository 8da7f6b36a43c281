#!/usr/bin/env bash
# The rooms of the house: who may include whom. `runtime` knows nothing of the compiler, `runtime/abi` is plain C that
# includes only the C library, arrows point one way, and the programs in tools/ stay thin.
set -euo pipefail
cd "$1"
bad=0
complain() {
  echo "$1" >&2
  bad=1
}

# room: rooms it may include from (a prefix each). A room stands below all that it may include from, so there is no cycle.
rules='runtime/abi: runtime/abi/
runtime/isa: runtime/isa/ runtime/abi/
runtime/error.h:
runtime/io: runtime/io/ runtime/error.h
runtime/machine: runtime/machine/ runtime/isa/ runtime/abi/ runtime/io/ runtime/error.h
runtime/memory: runtime/memory/ runtime/error.h
runtime/threads: runtime/threads/ runtime/machine/ runtime/abi/ runtime/error.h
runtime/model: runtime/model/ runtime/io/ runtime/error.h
runtime/tokenizer: runtime/tokenizer/ runtime/model/ runtime/io/ runtime/error.h
runtime/sampling: runtime/sampling/ runtime/model/ runtime/error.h
runtime/kernels: runtime/kernels/ runtime/abi/ runtime/machine/ runtime/memory/ runtime/threads/ runtime/io/ runtime/error.h
runtime/kernels/scalar: runtime/kernels/scalar/ runtime/kernels/roles.h runtime/abi/ runtime/io/
runtime/roof: runtime/roof/ runtime/abi/ runtime/machine/ runtime/memory/ runtime/threads/
runtime/program: runtime/program/ runtime/kernels/roles.h runtime/model/ runtime/io/ runtime/error.h
runtime/device: runtime/device/ runtime/program/ runtime/kernels/ runtime/abi/ runtime/model/ runtime/machine/ runtime/memory/ runtime/threads/ runtime/io/ runtime/error.h
runtime/engine: runtime/engine/ runtime/device/ runtime/program/ runtime/kernels/ runtime/sampling/ runtime/model/ runtime/machine/ runtime/memory/ runtime/threads/ runtime/io/ runtime/error.h
runtime/convert: runtime/convert/ runtime/tokenizer/ runtime/model/ runtime/io/ runtime/error.h
runtime/chat/jinja: runtime/chat/jinja/ runtime/io/ runtime/error.h
runtime/chat: runtime/chat/ runtime/engine/ runtime/tokenizer/ runtime/model/ runtime/io/ runtime/error.h
runtime/bench: runtime/bench/ runtime/roof/ runtime/engine/ runtime/kernels/ runtime/model/ runtime/machine/ runtime/memory/ runtime/threads/ runtime/io/ runtime/error.h
runtime/app: runtime/app/ runtime/chat/ runtime/engine/ runtime/program/ runtime/sampling/ runtime/tokenizer/ runtime/model/ runtime/machine/ runtime/io/ runtime/error.h
compiler: compiler/
schedules: schedules/ compiler/ runtime/abi/
codegen: codegen/ schedules/ compiler/ runtime/abi/ runtime/isa/
tuning_db/messages: tuning_db/messages/ compiler/ codegen/kernel_descriptor.h
tuning_db/proof: tuning_db/proof/ schedules/ compiler/ runtime/abi/ runtime/io/
tuning_db/workers: tuning_db/workers/ tuning_db/messages/ tuning_db/proof/ compiler/ runtime/
tuning_db/records: tuning_db/records/ tuning_db/proof/ compiler/ runtime/
tuning_db/making: tuning_db/making/ tuning_db/workers/ tuning_db/messages/ tuning_db/proof/ codegen/ schedules/ compiler/ runtime/
tuning_db/search: tuning_db/search/ tuning_db/making/ tuning_db/workers/ tuning_db/messages/ tuning_db/records/ tuning_db/proof/ schedules/ compiler/ runtime/
tuning_db/packs: tuning_db/packs/ tuning_db/making/ tuning_db/workers/ tuning_db/records/ tuning_db/proof/ codegen/ schedules/ compiler/ runtime/
tuning_db/commands: tuning_db/ codegen/ schedules/ compiler/ runtime/'

checked=0
above=
while IFS=: read -r room allowed; do
  for prefix in $allowed; do
    wanted=${prefix%/}
    [[ $prefix == *.h && $prefix != runtime/error.h ]] && wanted=${prefix%/*}
    [[ $wanted == "$room" || $wanted == runtime || $wanted == tuning_db ]] || grep -qxF "$wanted" <<<"$above" ||
      complain "the row of '$room' names $prefix, which has no row above it"
  done
  above+=$'\n'$room
  [ -e "$room" ] || continue
  while IFS=: read -r file line include; do
    header=${include#*\"} header=${header%%\"*}
    ok=0
    for prefix in $allowed; do [[ $header == "$prefix"* ]] && ok=1; done
    checked=$((checked + 1))
    [ $ok = 1 ] || complain "$file:$line: room '$room' includes \"$header\"; it may include only:$allowed"
  done < <(grep -HrnE '^ *# *include "' --include='*.h' --include='*.cpp' --include='*.c' "$room" || true)
done <<<"$rules"
[ "$checked" -gt 100 ] || complain "only $checked includes were found: is this the source tree?"

# No file lies outside the rooms, and every room has its row.
for file in runtime/* tuning_db/*; do
  [[ $file == */CMakeLists.txt ]] || grep -q "^$file:" <<<"$rules" || complain "$file is no room: it has no row"
done

# The ABI is raw C: anything may include it, it includes nothing but <stdint.h>.
others=$(grep -hE '^ *# *include' runtime/abi/*.h | grep -v '<stdint.h>' || true)
[ -z "$others" ] || complain "runtime/abi includes more than <stdint.h>: $others"

# LLVM's and Halide's headers stay in codegen, and never meet in one translation unit.
leaks=$(grep -rlE '# *include [<"](llvm/|lld/|Halide|HalideRuntime)' --include='*.h' --include='*.cpp' \
  compiler schedules tuning_db runtime tools || true)
[ -z "$leaks" ] || complain "LLVM or Halide headers outside codegen: $leaks"
for file in $(grep -rlE '# *include [<"]Halide' codegen || true); do
  ! grep -qE '# *include [<"]llvm/' "$file" || complain "$file includes both Halide's and LLVM's headers"
done

# A program is a thin main over the libraries.
for file in tools/*.cpp; do
  lines=$(wc -l <"$file")
  [ "$lines" -le 450 ] || complain "$file has $lines lines: move what it does into a room"
done
[ $bad = 0 ] && echo "$checked includes keep to their rooms"
exit $bad
