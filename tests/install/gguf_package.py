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


def read_safetensors(path):
    data = open(path, "rb").read()
    length = int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        raw = np.frombuffer(data[begin:end], np.uint8 if entry["dtype"] == "U8" else np.uint16)
        if entry["dtype"] == "BF16":
            raw = (raw.astype(np.uint32) << 16).view(np.float32)
        tensors[name] = raw.reshape(entry["shape"])
    return tensors


def unpacked(packed):
    """Byte rows hold four output rows, a quarter of the matrix apart."""
    return np.concatenate([(packed >> shift & 3).astype(np.int8) - 1 for shift in (0, 2, 4, 6)])


def interleaved(rows, heads):
    """What converters of the architecture llama do to q and k."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def write(path, golden, architecture, kind):
    config = json.load(open(f"{golden}/config.json"))
    tensors = read_safetensors(f"{golden}/model.safetensors")
    multiply = config["quantization_config"].get("linear_class", "bitlinear") == "autobitlinear"
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    theta = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
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
    out.add_rope_freq_base(theta)
    out.add_layer_norm_rms_eps(config["rms_norm_eps"])
    out.add_tokenizer_model("gpt2")
    out.add_token_list([f"t{i}" for i in range(config["vocab_size"])])

    def add(name, values, kind):
        out.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)

    add("token_embd.weight", tensors["model.embed_tokens.weight"], Type.BF16)
    if "lm_head.weight" in tensors:
        add("output.weight", tensors["lm_head.weight"], Type.BF16)
    add("output_norm.weight", tensors["model.norm.weight"], Type.F32)
    for layer in range(config["num_hidden_layers"]):
        hf, blk = f"model.layers.{layer}.", f"blk.{layer}."
        for name, source in LINEARS.items():
            trits = unpacked(tensors[f"{hf}{source}.weight"])
            scale = np.float32(tensors[f"{hf}{source}.weight_scale"].item())
            if architecture == "llama" and name in ("attn_q", "attn_k"):
                trits = interleaved(trits, heads if name == "attn_q" else kv_heads)
            scale = scale if multiply else np.float32(1) / scale
            add(f"{blk}{name}.weight", trits.astype(np.float32) * scale, kind)
        for name, source in NORMS.items():
            if f"{hf}{source}.weight" in tensors:
                add(f"{blk}{name}.weight", tensors[f"{hf}{source}.weight"], Type.F32)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def logits(model, tokens, path):
    subprocess.run([run, "logits", "-m", model, "--tokens", ",".join(map(str, tokens)), "--out", path, "-t", "2"],
                   check=True)
    return np.load(path)


bad = 0
with tempfile.TemporaryDirectory() as scratch:
    os.environ["BITTERN_CACHE"] = scratch + "/cache"
    for name, architecture, kind in (("llama_falcon3_packed", "llama", Type.F32),
                                     ("llama_hf1bit_packed", "llama", Type.F32),
                                     ("bitnet_a_packed", "bitnet-b1.58", Type.F32),
                                     ("bitnet_a_packed", "bitnet-b1.58", Type.F16),
                                     ("bitnet_a_packed", "bitnet-b1.58", Type.TQ1_0),
                                     ("bitnet_a_packed", "bitnet-b1.58", Type.TQ2_0)):
        golden = f"{goldens}/{name}"
        model = f"{scratch}/m.gguf"
        write(model, golden, architecture, kind)
        tokens = json.load(open(f"{golden}/golden.json"))["prompts"]["p17"]
        ours, theirs = logits(golden, tokens, f"{scratch}/a.npy"), logits(model, tokens, f"{scratch}/b.npy")
        if ours.tobytes() != theirs.tobytes():
            print(f"{name} as {architecture} in {kind.name}: logits differ by {np.abs(ours - theirs).max()}",
                  file=sys.stderr)
            bad = 1
sys.exit(bad)
