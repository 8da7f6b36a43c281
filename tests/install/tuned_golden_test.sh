#!/usr/bin/env bash
# The golden and demo tests once more, on kernels tuned for this machine a moment before: for every golden shape the
# best by prediction, for the demo model also what a short search finds.
set -euo pipefail
tune=$2/bin/bitnet-tune
data=$1/tests/data
. "$1/tests/from_outside.sh" "$tune" "$2/tests/bin/golden_test" "$2/tests/bin/embedding_test" "$2/tests/bin/demo_test"
export BITTERN_EXPECT_TUNED=1

# bitnet_a has the demo model's shapes, embed_gemma3_full those of embed_gemma3_sliding.
for model in goldens/bitnet_b8_bf16 goldens/bitnet_b_packed goldens/bitnet1b_large goldens/llama_falcon3_packed \
  goldens/llama_falcone_packed goldens/llama_hf1bit_packed goldens/embed_qwen3 goldens/embed_gemma3_sliding demo; do
  "$tune" -m "$data/$model" -t 1,2 --patience estimate --time-limit 500 --quiet >"$scratch/log" || { cat "$scratch/log" >&2; exit 1; }
done
"$2/tests/bin/golden_test"
"$2/tests/bin/embedding_test"
"$tune" -m "$data/demo" -t 1,2 --time-limit 20 --again --quiet >/dev/null || echo "the search did not reach everything"
"$2/tests/bin/golden_test" -tc="logits*"
"$2/tests/bin/demo_test"
