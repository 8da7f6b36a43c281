#!/usr/bin/env bash
# What goes wrong around the programs: outputs that are full or closed, no home, limits on files, results into devices,
# and weights that are no numbers. One clear error and exit 1, or all goes well without what is missing.
set -uo pipefail
run=$2/bin/bitnet-run
bench=$2/bin/bitnet-bench
tune=$2/bin/bitnet-tune
convert=$2/bin/bitnet-convert
data=$1/tests/data
demo=$data/demo
golden=$data/goldens/bitnet_b8_bf16
. "$1/tests/from_outside.sh" "$run" "$bench" "$tune" "$convert"
head -c 600 "$data/demo-reference/heldout.txt" >"$scratch/text"
small=(-t 1 --kernels default)

# fails WORDS COMMAND...: exit status 1, one line on stderr with these words.
fails() {
  local words=$1 code=0
  shift
  "$@" 2>"$scratch/err" >"$scratch/out" || code=$?
  [ $code = 1 ] || complain "$*: exit status $code: $(cat "$scratch/err")"
  [ "$(grep -vc '^note:' "$scratch/err")" = 1 ] || complain "$*: not one line: $(cat "$scratch/err")"
  grep -qF -- "$words" "$scratch/err" || complain "$*: no '$words' in: $(cat "$scratch/err")"
}
succeeds() {
  "$@" >"$scratch/out" 2>"$scratch/err" || complain "$*: exit status $?: $(cat "$scratch/err")"
}

# A full disk behind standard output is told, whatever the command.
into_full() { "$@" >/dev/full; }
fails "No space left" into_full "$run" perplexity -m "$demo" -f "$scratch/text" --window 64 "${small[@]}"
fails "No space left" into_full "$run" perplexity -m "$demo" -f "$scratch/text" --window 64 --json "${small[@]}"
fails "No space left" into_full "$run" info -m "$demo"
fails "No space left" into_full "$run" explain -m "$demo"
fails "No space left" into_full "$run" --help
fails "No space left" into_full "$bench" roof -t 1 --json
fails "No space left" into_full "$tune" show --json
fails "No space left" into_full "$tune" verify --json
fails "No space left" into_full "$convert" "$demo" --to bittern -o "$scratch/demo.bittern" --json --quiet
closed() { "$@" >&-; }
fails "cannot write" closed "$run" info -m "$demo"

# Without standard error all goes as it would with one, and no file is taken for it.
deaf() { "$@" 2>&-; }
succeeds deaf "$run" perplexity -m "$demo" -f "$scratch/text" --window 64 "${small[@]}"
succeeds deaf "$run" -m "$demo" -p x -n 2 "${small[@]}"
succeeds deaf "$run" logits -m "$golden" --tokens 1,2 --out "$scratch/deaf.npy" "${small[@]}"
succeeds "$run" logits -m "$golden" --tokens 1,2 --out "$scratch/heard.npy" "${small[@]}"
cmp -s "$scratch/deaf.npy" "$scratch/heard.npy" || complain "without standard error other logits were written"

# No home: a word, and nothing is left in the current folder.
mkdir "$scratch/here"
homeless() { (cd "$scratch/here" && env -u HOME -u BITTERN_CACHE -u XDG_CACHE_HOME "$@"); }
succeeds homeless "$run" -m "$demo" -p x -n 2 "${small[@]}"
grep -q 'HOME' "$scratch/err" || complain "nothing is said of HOME: $(cat "$scratch/err")"
succeeds homeless "$run" info -m "$demo"
fails "HOME" homeless "$tune" show
[ -z "$(ls -A "$scratch/here")" ] || complain "without HOME there is now $(ls -A "$scratch/here")"

# Files may not grow: the model runs without the cache, and nothing half written stays.
limited() { (ulimit -f 100 && BITTERN_CACHE=$scratch/limited "$@"); }
succeeds limited "$run" -m "$demo" -p "And it came" -n 4 --seed 5 "${small[@]}"
grep -q 'cannot keep prepacked weights: .*File too large' "$scratch/err" || complain "ulimit: $(cat "$scratch/err")"
[ -z "$(find "$scratch/limited" -type f)" ] || complain "ulimit left $(find "$scratch/limited" -type f)"

# Results go through a FIFO or a link, and a file keeps its mode.
mkfifo "$scratch/fifo"
timeout 60 cat "$scratch/fifo" >"$scratch/through.npy" &
succeeds "$run" logits -m "$golden" --tokens 1,2 --out "$scratch/fifo" "${small[@]}"
wait $!
cmp -s "$scratch/through.npy" "$scratch/heard.npy" || complain "other logits went through a FIFO"
[ -p "$scratch/fifo" ] || complain "the FIFO was replaced"
: >"$scratch/target.npy"
chmod 640 "$scratch/target.npy"
ln -s target.npy "$scratch/link.npy"
succeeds "$run" logits -m "$golden" --tokens 1,2 --out "$scratch/link.npy" "${small[@]}"
cmp -s "$scratch/target.npy" "$scratch/heard.npy" || complain "the link was not followed"
[ "$(stat -c %a "$scratch/target.npy")" = 640 ] || complain "the file's mode is now $(stat -c %a "$scratch/target.npy")"
[ -L "$scratch/link.npy" ] || complain "the link was replaced"

# One NaN in the weights is one error that names tensor and element, for every command.
# with_nan MODEL TENSOR ELEMENT FOLDER: a copy with it.
with_nan() {
  rm -rf "$4" && cp -r "$1" "$4" && chmod -R u+w "$4"
  python3 - "$4/model.safetensors" "$2" "$3" <<'PY'
import json, struct, sys
path, name, element = sys.argv[1], sys.argv[2], int(sys.argv[3])
data = bytearray(open(path, "rb").read())
size = struct.unpack("<Q", data[:8])[0]
row = json.loads(data[8:8 + size])[name]
nan = {"BF16": b"\xc0\x7f", "F16": b"\x00\x7e", "F32": b"\x00\x00\xc0\x7f"}[row["dtype"]]
at = 8 + size + row["data_offsets"][0] + len(nan) * element
data[at:at + len(nan)] = nan
open(path, "wb").write(data)
PY
}
for tensor in model.embed_tokens.weight model.norm.weight model.layers.0.input_layernorm.weight; do
  with_nan "$demo" $tensor 99 "$scratch/nan"
  words="tensor '$tensor': element 99 is nan"
  fails "$words" "$run" -m "$scratch/nan" -p x -n 2 "${small[@]}"
  fails "$words" "$run" logits -m "$scratch/nan" --tokens 1 --out "$scratch/nan.npy" "${small[@]}"
  fails "$words" "$run" perplexity -m "$scratch/nan" -f "$scratch/text" --json "${small[@]}"
  fails "$words" "$run" embed -m "$scratch/nan" --tokens 1 --pooling last --json "${small[@]}"
  [ ! -e "$scratch/nan.npy" ] || complain "$tensor: logits were written"
done
embedding=$data/goldens/embed_qwen3
with_nan "$embedding" embed_tokens.weight 99 "$scratch/nan"
for ids in 0 1,0; do
  fails "tensor 'embed_tokens.weight': element 99 is nan" "$run" embed -m "$scratch/nan" --tokens $ids --json "${small[@]}"
done
fails "element 99 is nan" "$convert" "$scratch/nan" --to bittern -o "$scratch/nan.bittern" --quiet

[ $bad = 0 ] && echo "the programs: full, closed, homeless, limited, and not numbers"
exit $bad
