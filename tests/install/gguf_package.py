"""Run by gguf_package_test.sh: gguf_package.py GOLDENS BITNET-RUN"""
import json
import os
import subprocess
import sys
import tempfile

import gguf
import numpy as np

goldens, run = sys.argv[1:3]
Type = gguf.GGMLQuantizationType
LINEARS = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
           "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
           "ffn_down": "mlp.down_proj"}
NORMS = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
         "attn_sub_norm": "self_attn.attn_sub_norm", "ffn_sub_norm": "mlp.ffn_sub_norm"}
NORMS_1BITLLM = {**NORMS, "attn_sub_norm": "self_attn.inner_attn_ln", "ffn_sub_norm": "mlp.ffn_layernorm"}
NORMS_QWEN3 = {**NORMS, "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}
NORMS_GEMMA3 = {**NORMS_QWEN3, "ffn_norm": "pre_feedforward_layernorm",
                "post_attention_norm": "post_attention_layernorm", "post_ffw_norm": "post_feedforward_layernorm"}


def read_safetensors(path):
    data = open(path, "rb").read()
    length = int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        raw = np.frombuffer(data[begin:end], {"U8": np.uint8, "F16": np.float16, "BF16": np.uint16}[entry["dtype"]])
        if entry["dtype"] == "BF16":
            raw = (raw.astype(np.uint32) << 16).view(np.float32)
        elif entry["dtype"] == "F16":
            raw = raw.astype(np.float32)
        tensors[name] = raw.reshape(entry["shape"])
    return tensors


def unpacked(packed):
    """Byte rows hold four output rows, a quarter of the matrix apart."""
    return np.concatenate([(packed >> shift & 3).astype(np.int8) - 1 for shift in (0, 2, 4, 6)])


def interleaved(rows, heads):
    """What converters of the architecture llama do to q and k."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def write(path, golden, architecture, norms, kind):
    config = json.load(open(f"{golden}/config.json"))
    tensors = read_safetensors(f"{golden}/model.safetensors")
    quantization = config.get("quantization_config") or {}
    multiply = quantization.get("linear_class", "bitlinear") == "autobitlinear"
    prefix = "model." if "model.norm.weight" in tensors else ""
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    rope = config.get("rope_parameters") or {}
    out = gguf.GGUFWriter(path, architecture)
    out.add_context_length(config["max_position_embeddings"])
    out.add_embedding_length(config["hidden_size"])
    out.add_block_count(config["num_hidden_layers"])
    out.add_feed_forward_length(config["intermediate_size"])
    out.add_head_count(heads)
    out.add_head_count_kv(kv_heads)
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    out.add_key_length(head_dim)
    out.add_value_length(head_dim)
    out.add_rope_dimension_count(head_dim)
    out.add_rope_freq_base(config.get("rope_theta") or rope.get("full_attention", rope)["rope_theta"])
    out.add_layer_norm_rms_eps(config["rms_norm_eps"])
    if not prefix:
        out.add_pooling_type(gguf.PoolingType.LAST)
    if "sliding_attention" in (config.get("layer_types") or []):  # five of six layers, as llama.cpp takes for granted
        out.add_sliding_window(config["sliding_window"])
    if quantization.get("use_rms_norm"):
        out.add_float32("bittern.linear_norm_eps", quantization["rms_norm_eps"])
    out.add_tokenizer_model("gpt2")
    out.add_token_list([f"t{i}" for i in range(config["vocab_size"])])

    def add(name, values, kind):
        out.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)

    # Gemma's norms multiply by 1 + w; files of its architecture hold that.
    offset = np.float32(1 if architecture == "gemma3" else 0)
    embedding = tensors[prefix + "embed_tokens.weight"]
    add("token_embd.weight", embedding, Type.F16 if norms is NORMS_1BITLLM else Type.BF16)
    if "lm_head.weight" in tensors:
        add("output.weight", tensors["lm_head.weight"], Type.BF16)
    add("output_norm.weight", tensors[prefix + "norm.weight"] + offset, Type.F32)
    for layer in range(config["num_hidden_layers"]):
        hf, blk = f"{prefix}layers.{layer}.", f"blk.{layer}."
        for name, source in LINEARS.items():
            weight = tensors[f"{hf}{source}.weight"]
            if weight.dtype == np.uint8:
                scale = np.float32(tensors[f"{hf}{source}.weight_scale"].item())
                weight = unpacked(weight).astype(np.float32) * (scale if multiply else np.float32(1) / scale)
            if architecture == "llama" and name in ("attn_q", "attn_k"):
                weight = interleaved(weight, heads if name == "attn_q" else kv_heads)
            add(f"{blk}{name}.weight", weight, kind)
            if f"{hf}{source}.rms_norm.weight" in tensors:
                add(f"{blk}{name}_norm_in.weight", tensors[f"{hf}{source}.rms_norm.weight"], Type.F32)
        for name, source in norms.items():
            if f"{hf}{source}.weight" in tensors:
                add(f"{blk}{name}.weight", tensors[f"{hf}{source}.weight"] + offset, Type.F32)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return not prefix


def results(embeddings, model, tokens, path):
    """Logits, or the vector of an embedding model."""
    command = ["embed"] if embeddings else ["logits"]
    pooling = ["--pooling", "last"] if embeddings else []
    subprocess.run([run, *command, "-m", model, "--tokens", ",".join(map(str, tokens)), "--out", path, *pooling],
                   check=True, stderr=subprocess.PIPE)
    return np.load(path)


MODELS = (("llama_falcon3_packed", "llama", NORMS, Type.F32),
          ("llama_hf1bit_packed", "llama", NORMS, Type.F32),
          ("llama_falcone_packed", "llama", NORMS, Type.F32),
          ("bitnet1b_large", "bitnet", NORMS_1BITLLM, Type.F16),
          ("embed_qwen3", "qwen3", NORMS_QWEN3, Type.BF16),
          ("embed_gemma3_full", "gemma3", NORMS_GEMMA3, Type.BF16),
          ("embed_gemma3_sliding", "gemma3", NORMS_GEMMA3, Type.F32),
          ("bitnet_a_packed", "bitnet-b1.58", NORMS, Type.F32),
          ("bitnet_a_packed", "bitnet-b1.58", NORMS, Type.F16),
          ("bitnet_a_packed", "bitnet-b1.58", NORMS, Type.TQ1_0),
          ("bitnet_a_packed", "bitnet-b1.58", NORMS, Type.TQ2_0))
bad = 0
with tempfile.TemporaryDirectory() as scratch:
    os.environ["BITTERN_CACHE"] = scratch + "/cache"
    for name, architecture, norms, kind in MODELS:
        golden, model = f"{goldens}/{name}", f"{scratch}/m.gguf"
        embeddings = write(model, golden, architecture, norms, kind)
        tokens = json.load(open(f"{golden}/golden.json"))["prompts"]["p17"]
        ours = results(embeddings, golden, tokens, f"{scratch}/a.npy")
        theirs = results(embeddings, model, tokens, f"{scratch}/b.npy")
        if ours.tobytes() != theirs.tobytes():
            print(f"{name} as {architecture} in {kind.name}: results differ by {np.abs(ours - theirs).max()}",
                  file=sys.stderr)
            bad = 1
if not bad:
    print(f"{len(MODELS)} files of the gguf package give the goldens' own results")
sys.exit(bad)
