#!/usr/bin/env bash
# bitnet-run from outside: the same text on every path, valid UTF-8, the stable JSON keys, Ctrl-C, and one clear error
# (or, for caches, one warning and the safe path) for everything a user can get wrong.
set -uo pipefail
run=$2/bin/bitnet-run
data=$1/tests/data
demo=$data/demo
. "$1/tests/from_outside.sh" "$run"

# One seed, one text.
first=
for threads in 1 2 3; do
  for kernels in tuned default scalar; do
    text=$("$run" -m "$demo" -p "And it came to pass" -n 24 -t $threads --kernels $kernels --seed 5 2>"$scratch/err") ||
      complain "-t $threads --kernels $kernels failed: $(cat "$scratch/err")"
    [ -n "$first" ] || first=$text
    [ "$text" = "$first" ] || complain "-t $threads --kernels $kernels wrote another text: $text"
    grep -q 'decode: .* tokens/s' "$scratch/err" || complain "no speeds at the end: $(cat "$scratch/err")"
  done
done
case $first in "And it came to pass"*) ;; *) complain "the prompt does not come first: $first" ;; esac
other=$("$run" -m "$demo" -p "And it came to pass" -n 24 --seed 6 2>/dev/null)
[ "$other" != "$first" ] || complain "another seed wrote the same text"

# Instruction sets can be hidden: other kernels, the same text.
case $(uname -m) in
  x86_64)
    for level in sse41 baseline; do
      text=$(BITTERN_ISA=$level "$run" -m "$demo" -p "And it came to pass" -n 24 --seed 5 2>/dev/null)
      [ "$text" = "$first" ] || complain "BITTERN_ISA=$level wrote another text: $text"
    done
    BITTERN_ISA=sse41 "$run" explain -m "$demo" >"$scratch/explain" || complain "explain with BITTERN_ISA failed"
    grep -q 'x86-64-sse41 *llvm.gemv' "$scratch/explain" || complain "no SSE4.1 kernels: $(cat "$scratch/explain")"
    grep -qE 'x86-64-(avx|avx2)' "$scratch/explain" && complain "kernels that are hidden: $(cat "$scratch/explain")"
    grep -qE '0\.250 +[0-9.]+ +(bytes|instructions)' "$scratch/explain" || complain "explain shows no costs"
    message=$(BITTERN_ISA=AVX2 "$run" -m "$demo" -p x -n 1 2>&1) && complain "BITTERN_ISA=AVX2 was accepted"
    grep -q "BITTERN_ISA='AVX2' is no instruction set; known: baseline, sse41" <<<"$message" || complain "BITTERN_ISA=AVX2: $message"
    ;;
esac

# Whatever the prompt's bytes, what comes out is UTF-8.
printf 'caf\xc3\xa9 \xff\xfe \xe2\x82' >"$scratch/prompt"
"$run" -m "$demo" -p "$(cat "$scratch/prompt")" -n 20 --temperature 3 --ignore-eos 2>/dev/null |
  iconv -f UTF-8 -t UTF-8 >/dev/null || complain "the text is not valid UTF-8"

# says WORD ARGUMENT...: the command succeeds and the word is in what it prints.
says() {
  local word=$1 out
  shift
  out=$("$run" "$@" 2>&1) || complain "bitnet-run $*: failed: $out"
  grep -q -- "$word" <<<"$out" || complain "bitnet-run $*: no '$word' in: $out"
}

# keys COMMAND KEY...: the JSON has each key.
keys() {
  local command=$1 out key
  shift
  # shellcheck disable=SC2086 # the command line is meant to be split
  out=$("$run" $command 2>/dev/null) || complain "bitnet-run $command failed"
  python3 -c 'import json, sys; json.loads(sys.argv[1])' "$out" || complain "bitnet-run $command: not JSON: $out"
  for key in "$@"; do
    grep -q "\"$key\":" <<<"$out" || complain "bitnet-run $command: no \"$key\" in $out"
  done
}
keys "-m $demo -p Genesis -n 5 --json" text tokens prompt_tokens prefill_tok_s decode_tok_s
head -c 2000 "$data/demo-reference/heldout.txt" >"$scratch/text"
keys "perplexity -m $demo -f $scratch/text --window 64 --json" perplexity nll tokens
says 'f16 keys and values, int8 head' -m "$demo" -p "The LORD" -n 4 --kv f16 --head int8

# Without a tokenizer.
golden=$data/goldens/bitnet_b8_bf16
"$run" logits -m "$golden" --tokens 1,2,3 --out "$scratch/l.npy" 2>/dev/null || complain "logits failed"
[ "$(stat -c %s "$scratch/l.npy")" -gt 1000 ] || complain "logits wrote next to nothing"
says BitNetForCausalLM info -m "$golden"

# A GGUF file, and what it leaves open: told once, and open to correction.
quantised=$data/gguf/a-I2_S.gguf
says 'GGUF version 3, ternary weights in I2_S (blocks of 128)' info -m "$quantised"
says 'activation *relu2, from table: architecture bitnet, rope base 500000' info -m "$quantised"
says 'activation *silu, from --activation' info -m "$quantised" --activation silu
says 'I2_S (four rows interleaved)' info -m "$quantised" --i2s-layout rows4
says 'note: .*I2_S is read as blocks of 128; .*--i2s-layout' info -m "$quantised"
for model in "$quantised" "$data/goldens/bitnet_a_packed"; do
  "$run" logits -m "$model" --tokens 1,2,3 --out "$scratch/l.npy" 2>/dev/null || complain "logits of $model failed"
  [ "$(stat -c %s "$scratch/l.npy")" = 6272 ] || complain "logits of $model wrote $(stat -c %s "$scratch/l.npy") bytes"
done

# Embeddings: a folder that says how it pools, with a tokenizer of single bytes that ends a text with id 500.
vectors=$scratch/embedding
mkdir -p "$vectors/1_Pooling"
cp "$data/goldens/embed_qwen3/"{config.json,model.safetensors} "$vectors"
cp "$data/tokenizer/bytes_with_end.json" "$vectors/tokenizer.json"
echo '[{"type":"sentence_transformers.models.Transformer","path":""},
       {"type":"sentence_transformers.models.Pooling","path":"1_Pooling"}]' >"$vectors/modules.json"
echo '{"pooling_mode_mean_tokens":true,"pooling_mode_lasttoken":false}' >"$vectors/1_Pooling/config.json"
says 'embeddings from the mean' info -m "$vectors"
says 'k/v .*w2a8_matmul *N=128 K=128' explain -m "$vectors"
printf 'ab\n\nab\r\nb' >"$scratch/lines"
"$run" embed -m "$vectors" -f "$scratch/lines" >"$scratch/printed" 2>"$scratch/err" || complain "embed: $(cat "$scratch/err")"
[ -s "$scratch/err" ] && complain "embed says: $(cat "$scratch/err")"
[ "$(wc -l <"$scratch/printed")" = 4 ] || complain "embed printed $(wc -l <"$scratch/printed") vectors for 4 lines"
for ids in 1:97,98,500 2:500 3:97,98,500 4:98,500; do
  "$run" embed -m "$vectors" --tokens "${ids#*:}" 2>/dev/null | cmp -s - <(sed -n "${ids%%:*}p" "$scratch/printed") ||
    complain "embed: line ${ids%%:*} is not the vector of ids ${ids#*:}"
done
"$run" embed -m "$vectors" --tokens 98,500 --pooling last 2>/dev/null | cmp -s - <(sed -n 4p "$scratch/printed") &&
  complain "embed: --pooling changes nothing"
"$run" embed -m "$vectors" -f "$scratch/lines" --json | python3 -c '
import json, math, sys
rows = [json.loads(line) for line in sys.stdin]
assert [row["index"] for row in rows] == [0, 1, 2, 3] and [row["tokens"] for row in rows] == [3, 1, 3, 2], rows
assert all(len(row["embedding"]) == 128 and abs(math.hypot(*row["embedding"]) - 1) < 1e-5 for row in rows)' ||
  complain "embed --json is not as described"
"$run" embed -m "$vectors" --tokens 98,500 --out "$scratch/v.npy" 2>/dev/null || complain "embed --out failed"
[ "$(stat -c %s "$scratch/v.npy")" = 640 ] || complain "embed --out wrote $(stat -c %s "$scratch/v.npy") bytes"
says w2a8_matmul explain -m "$golden"

# The model as a program: a table with equal layers shown once, JSON whose numbers fit together, a picture.
says 'gate_up *w2a8_matmul  N=' program -m "$golden"
"$run" program -m "$golden" --json | python3 -c '
import json, sys
program = json.load(sys.stdin)
buffers, steps = program["buffers"], program["steps"]
for i, step in enumerate(steps):
    for view in step["operands"]:
        buffer = buffers[view["buffer"]]
        assert buffer["id"] == view["buffer"] and buffer["first_step"] <= i <= buffer["last_step"], (step, buffer)
assert {step.get("layer") for step in steps} == {None, *range(program["layers"])}
assert sum(step["id"] == "attention" for step in steps) == program["layers"]' || complain "program --json is not as described"
"$run" program -m "$golden" --svg "$scratch/model.svg" || complain "program --svg failed"
python3 -c '
import sys, xml.etree.ElementTree as tree
texts = [node.text for node in tree.parse(sys.argv[1]).iter() if node.tag.endswith("text")]
assert {"qkv", "attention", "down", "head"} <= set(texts), texts' "$scratch/model.svg" ||
  complain "program --svg is not as described"
says 'scalar *scalar' explain -m "$golden" --kernels scalar
says 'bitnet-run [0-9]' --version
says Examples --help

# Many prompts at once: each gets the text that it has alone, in the order of the file, even with pages for few.
printf 'And it came to pass\nIn the beginning\r\nIn the beginning God\n' >"$scratch/prompts.txt"
"$run" -m "$demo" --prompts "$scratch/prompts.txt" -n 24 --seed 5 --temperature 0.9 2>/dev/null >"$scratch/many" ||
  complain "--prompts failed"
"$run" -m "$demo" --prompts "$scratch/prompts.txt" -n 24 --seed 5 --temperature 0.9 -c 40 --kv-pages 2 2>/dev/null |
  cmp -s - "$scratch/many" || complain "--prompts: few pages give other texts"
for prompt in "And it came to pass" "In the beginning" "In the beginning God"; do
  "$run" -m "$demo" -p "$prompt" -n 24 --seed 5 --temperature 0.9 2>/dev/null
  [ "$prompt" = "In the beginning God" ] || echo
done | cmp -s - "$scratch/many" || complain "--prompts: not the texts of the prompts alone: $(cat "$scratch/many")"
printf '{"prompt": "In the beginning", "n": 40, "seed": 3, "temperature": 0.8}\n\n{"prompt": "And", "n": 2}\n' \
  >"$scratch/prompts.jsonl"
"$run" -m "$demo" --prompts "$scratch/prompts.jsonl" --json 2>/dev/null >"$scratch/lines.json" ||
  complain "--prompts FILE.jsonl failed"
"$run" -m "$demo" -p "In the beginning" -n 40 --seed 3 --temperature 0.8 --json 2>/dev/null | python3 -c '
import json, sys
alone = json.load(sys.stdin)
first, second = [json.loads(line) for line in open(sys.argv[1])]
assert (first["index"], first["text"], first["tokens"]) == (0, alone["text"], alone["tokens"]), (first, alone)
assert (second["index"], len(second["tokens"]), second["stop"]) == (1, 2, "count"), second' "$scratch/lines.json" ||
  complain "--prompts --json: $(cat "$scratch/lines.json")"

# refuses STATUS WORD ARGUMENT...: that exit status, nothing on stdout, one line of error with the word.
refuses() {
  local status=$1 word=$2 out code
  shift 2
  out=$("$run" "$@" 2>"$scratch/err")
  code=$?
  [ $code = "$status" ] || complain "bitnet-run $*: exit status $code, not $status"
  [ -z "$out" ] || complain "bitnet-run $*: printed $out"
  grep -qi -- "$word" "$scratch/err" || complain "bitnet-run $*: no '$word' in: $(cat "$scratch/err")"
  if [ "$status" = 1 ] && [ "$(wc -l <"$scratch/err")" != 1 ]; then
    complain "bitnet-run $*: more than one line: $(cat "$scratch/err")"
  fi
}
printf '{"prompt": "a"}\n{"prompt": "a", "m": 3}\n' >"$scratch/bad.jsonl"
refuses 1 "line 2: m: is not known" -m "$demo" --prompts "$scratch/bad.jsonl"
echo '{"n": 3}' >"$scratch/bad.jsonl"
refuses 1 'line 1: .*prompt' -m "$demo" --prompts "$scratch/bad.jsonl"
: >"$scratch/none.txt"
refuses 1 'no prompts' -m "$demo" --prompts "$scratch/none.txt"
printf 'a\nA longer prompt than eight tokens can hold, by far\n' >"$scratch/long.txt"
python3 -c 'print("begat " * 60)' >"$scratch/longer.txt"
refuses 1 'line 2: the prompt is longer than the context' -m "$demo" -c 8 \
  --prompts "$scratch/long.txt"
refuses 1 'kv-pages bounds it' -m "$demo" --kv-pages 1 \
  --prompts "$scratch/longer.txt"
refuses 2 'excludes' -m "$demo" -p x --prompts "$scratch/prompts.txt"
refuses 2 '--svg' program -m "$golden" --svg x --json
printf 'a\nb\nab\n' >"$scratch/lines2"
: >"$scratch/empty"
long=$(python3 -c 'print("begat " * 600)')
refuses 2 threads -m "$demo" -p x -t 0
refuses 2 threads -m "$demo" -p x -t -1
refuses 2 threads -m "$demo" -p x -t 2x
refuses 2 ctx-size -m "$demo" -p x -c 0
refuses 2 n-predict -m "$demo" -p x -n -5
refuses 2 kernels -m "$demo" -p x --kernels fast
refuses 2 head -m "$demo" -p x --head fp4
refuses 2 prompt -m "$demo"
refuses 2 model -p x
refuses 2 tokens logits -m "$golden" --out "$scratch/x.npy"
refuses 2 "" fly
refuses 1 "longer than the context" -m "$demo" -p "$long"
refuses 1 "longer than the context: .* holds 8" -m "$demo" -p "And it came to pass, that the LORD said" -c 8
refuses 1 "512 positions" -m "$demo" -p x -c 1024
refuses 1 "temperature" -m "$demo" -p x --temperature -1
refuses 1 "top.p" -m "$demo" -p x --top-p 1.5
refuses 1 "/nowhere" -m /nowhere -p x
refuses 1 "tokenizer.json" -m "$golden" -p x
refuses 1 "no output head.*bitnet-run embed" logits -m "$vectors" --tokens 1 --out "$scratch/x.npy"
refuses 1 "no output head.*bitnet-run embed" -m "$vectors" -p x
refuses 1 "no output head" perplexity -m "$vectors" -f "$scratch/text"
refuses 1 "no embedding model" embed -m "$golden" --tokens 1
refuses 1 "kernel_config.ini: cannot open" info -m "$quantised" --tl-config /nowhere/kernel_config.ini
refuses 2 "i2s-layout" info -m "$quantised" --i2s-layout 32
refuses 2 "activation" info -m "$quantised" --activation tanh
refuses 1 "not a folder and not a GGUF or Bittern file" info -m "$data/gguf/floats.npy"
refuses 1 "outside the vocabulary" embed -m "$vectors" --tokens 1,512
refuses 1 "line 3 has 3 tokens, the context holds 2" embed -m "$vectors" -f "$scratch/lines2" -c 2
refuses 1 "there are no lines" embed -m "$vectors" -f "$scratch/empty"
refuses 2 "tokens" embed -m "$vectors"
refuses 2 "pooling" embed -m "$vectors" --tokens 1 --pooling first
refuses 1 "kernel_config.ini: cannot open" info -m "$quantised" --tl-config /nowhere/kernel_config.ini
refuses 2 "i2s-layout" info -m "$quantised" --i2s-layout 32
refuses 2 "activation" info -m "$quantised" --activation tanh
refuses 1 "not a folder and not a GGUF or Bittern file" info -m "$data/gguf/floats.npy"
refuses 1 "outside the vocabulary" logits -m "$golden" --tokens 1,99999 --out "$scratch/x.npy"
refuses 1 "/nowhere" logits -m "$golden" --tokens 1 --out /nowhere/x.npy
refuses 1 "/nowhere" perplexity -m "$demo" -f /nowhere/text
refuses 1 "window" perplexity -m "$demo" -f "$scratch/text" --window 4096
refuses 1 "fewer than two tokens" perplexity -m "$demo" -f "$scratch/empty"
BITTERN_CACHE_LIMIT=lots refuses 1 "BITTERN_CACHE_LIMIT" -m "$demo" -p x

# A generation that reaches the end of the context ends there.
says 'context full' -m "$demo" -p "And" -n 100 -c 16 --ignore-eos

# A cache that cannot be written: one warning, the same text.
echo "not a folder" >"$scratch/file"
text=$(BITTERN_CACHE=$scratch/file "$run" -m "$demo" -p "And it came to pass" -n 24 --seed 5 2>"$scratch/err")
[ "$text" = "$first" ] || complain "an unwritable cache changed the text"
[ "$(grep -c '^warning:' "$scratch/err")" = 1 ] || complain "an unwritable cache gave: $(cat "$scratch/err")"

# Ctrl-C ends the text cleanly, with the speeds.
"$run" -m "$demo" -p "And" -n 100000 -c 512 --kernels scalar --ignore-eos >"$scratch/out" 2>"$scratch/err" &
child=$!
for _ in $(seq 200); do
  [ "$(stat -c %s "$scratch/out")" -gt 10 ] && break
  sleep 0.05
done
kill -INT $child
wait $child || complain "Ctrl-C: exit status $?"
grep -q 'decode: .*stopped\|decode: .*context full' "$scratch/err" || complain "Ctrl-C: no summary in $(cat "$scratch/err")"
iconv -f UTF-8 -t UTF-8 "$scratch/out" >/dev/null || complain "Ctrl-C left half a character"

[ $bad = 0 ] && echo "bitnet-run: one text on every path, clear refusals"
exit $bad
