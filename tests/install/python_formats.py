"""python_formats.py BITNET_CONVERT TEST_DATA SCRATCH: conversions held to the packages gguf and safetensors.

Weights are read from the golden models by numpy alone, following the layouts' public descriptions, and compared with
what the packages find in converted files; then the packages write files, and what bitnet-convert makes of them is
compared the same way.
"""
import json
import os
import subprocess
import sys

import gguf
import numpy as np
import safetensors
import safetensors.numpy

CONVERT, DATA, SCRATCH = sys.argv[1:4]
LINEARS = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
           "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]
DTYPES = {"U8": np.uint8, "I8": np.int8, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}
checks = 0


def check(condition, what):
    global checks
    checks += 1
    if not condition:
        sys.exit(f"FAILED: {what}")


def equal(a, b, what):
    check(a.shape == b.shape and np.array_equal(a, b), f"{what}: {a.shape} {b.shape}")


def convert(source, target, out, *more):
    path = os.path.join(SCRATCH, out)
    done = subprocess.run([CONVERT, source, "--to", target, "-o", path, "--force", "--quiet", *more],
                          capture_output=True, text=True)
    check(done.returncode == 0, f"{source} to {target}: {done.stderr}")
    return path


def load(path):
    """Tensors of a safetensors file by name, as (dtype, array of that dtype's bits)."""
    with open(path, "rb") as file:
        return {name: (t["dtype"], np.frombuffer(bytes(t["data"]), DTYPES[t["dtype"]]).reshape(t["shape"]))
                for name, t in safetensors.deserialize(file.read())}


def floats(tensor):
    dtype, bits = tensor
    if dtype == "BF16":
        return (bits.astype(np.uint32) << 16).view(np.float32)
    return bits.astype(np.float32)


def unpack(packed):
    """transformers' layout: row i * N/4 + r in bits 2i of byte [r, k]."""
    return np.concatenate([(packed >> 2 * i & 3).astype(np.int8) - 1 for i in range(4)])


class Model:
    """Trits, scales (multipliers, float32), norms and matrices of a Hugging Face folder."""

    def __init__(self, folder):
        with open(folder + "/config.json") as file:
            self.config = json.load(file)
        self.tensors = load(folder + "/model.safetensors")
        c = self.config
        self.layers, self.heads, self.kv_heads = (c["num_hidden_layers"], c["num_attention_heads"],
                                                  c["num_key_value_heads"])
        quantization = c["quantization_config"]
        divides = quantization.get("linear_class", "bitlinear") == "bitlinear"
        online = quantization.get("quantization_mode") == "online"
        self.trits, self.scales = {}, {}
        for layer in range(self.layers):
            for name in LINEARS:
                key = f"model.layers.{layer}.{name}"
                weight = self.tensors[key + ".weight"]
                if online:
                    w = floats(weight)
                    mean = np.float32(np.abs(w.astype(np.float64)).mean())
                    inverse = np.float32(1) / max(mean, np.float32(1e-5))
                    self.trits[key] = np.clip(np.rint(w * inverse), -1, 1).astype(np.int8)
                    self.scales[key] = np.float32(1) / inverse
                else:
                    stored = floats(self.tensors[key + ".weight_scale"])[0]
                    self.trits[key] = unpack(weight[1])
                    self.scales[key] = np.float32(1) / stored if divides else stored

    def vectors(self):
        return {name: floats(t) for name, t in self.tensors.items() if t[1].ndim == 1 and "weight_scale" not in name}


def interleaved(rows, heads):
    """Rows of q or k for RoPE of neighbours: within a head, i and i + half side by side."""
    half = rows.shape[0] // heads // 2
    order = [h * 2 * half + part * half + i for h in range(heads) for i in range(half) for part in (0, 1)]
    return rows[order]


def gguf_trits(model, key):
    """As architecture llama has them; the others have them as they are."""
    trits = model.trits[key]
    if model.config["model_type"] == "llama":
        if key.endswith("q_proj"):
            return interleaved(trits, model.heads)
        if key.endswith("k_proj"):
            return interleaved(trits, model.kv_heads)
    return trits


def teach_i2_s():
    """The package does not know bitnet.cpp's type: as far as it is concerned, 4 weights take a byte."""
    kind = int.__new__(gguf.GGMLQuantizationType, 36)
    kind._name_, kind._value_ = "I2_S", 36
    gguf.GGMLQuantizationType._member_map_["I2_S"] = kind
    gguf.GGMLQuantizationType._value2member_map_[36] = kind
    gguf.GGML_QUANT_SIZES[kind] = (4, 1)
    return kind


I2_S = teach_i2_s()


def unpack_i2_s(data, shape):
    blocks = data.reshape(-1, 32)
    return np.stack([blocks >> shift & 3 for shift in (6, 4, 2, 0)], axis=1).reshape(shape).astype(np.int8) - 1


def pack_i2_s(trits, scale):
    codes = (trits + 1).astype(np.uint8).reshape(-1, 4, 32)
    packed = codes[:, 0] << 6 | codes[:, 1] << 4 | codes[:, 2] << 2 | codes[:, 3]
    tail = np.zeros(32, np.uint8)
    tail[:4] = np.frombuffer(np.float32(scale).tobytes(), np.uint8)
    return np.concatenate([packed.reshape(-1), tail])


class Names:
    """Hugging Face names to GGUF's; the package knows the sub norms by 1bitLLM's names only."""

    def __init__(self, llama, layers):
        self.names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA if llama else gguf.MODEL_ARCH.BITNET, layers)

    def __getitem__(self, key):
        key = key.removesuffix(".weight").replace("attn_sub_norm", "inner_attn_ln").replace("ffn_sub_norm", "ffn_layernorm")
        return self.names.get_name(key) + ".weight"


def known_keys():
    """Every metadata key that the package has a name for."""
    out = set()

    def walk(holder):
        for value in vars(holder).values():
            if isinstance(value, str):
                out.add(value)
            elif isinstance(value, type):
                walk(value)

    walk(gguf.Keys)
    return out


def check_gguf(name, model, target):
    path = convert(f"{DATA}/{name}", target, f"{os.path.basename(name)}.{target}.gguf")
    reader = gguf.GGUFReader(path)
    arch = reader.fields["general.architecture"].contents()
    check(arch == {"llama": "llama", "bitnet": "bitnet-b1.58"}[model.config["model_type"]], f"architecture {arch}")
    known = known_keys()
    for key in reader.fields:
        general = key.replace(arch + ".", "{arch}.", 1) if key.startswith(arch + ".") else key
        check(general in known or key.startswith(("bittern.", "GGUF.")), f"{key} is no key of the package")
    c = model.config
    for key, value in [("block_count", model.layers), ("embedding_length", c["hidden_size"]),
                       ("feed_forward_length", c["intermediate_size"]), ("attention.head_count", model.heads),
                       ("attention.head_count_kv", model.kv_heads), ("vocab_size", c["vocab_size"]),
                       ("rope.freq_base", np.float32(c["rope_theta"])),
                       ("attention.layer_norm_rms_epsilon", np.float32(c["rms_norm_eps"]))]:
        check(reader.fields[f"{arch}.{key}"].contents() == value, f"{path}: {key}")
    file_types = {"gguf-f16": gguf.LlamaFileType.MOSTLY_F16, "gguf-tq1_0": gguf.LlamaFileType.MOSTLY_TQ1_0,
                  "gguf-tq2_0": gguf.LlamaFileType.MOSTLY_TQ2_0, "gguf-i2_s": 40}
    check(reader.fields["general.file_type"].contents() == file_types[target], f"{path}: file type")

    names = Names(arch == "llama", model.layers)
    tensors = {t.name: t for t in reader.tensors}
    seen = 0
    exact = reader.fields["bittern.linear_scales"].contents() if target != "gguf-i2_s" else None
    for index, (key, scale) in enumerate(model.scales.items()):
        tensor = tensors[names[key]]
        trits = gguf_trits(model, key)
        check(list(tensor.shape) == list(reversed(trits.shape)), f"{path}: shape of {tensor.name}")
        if target == "gguf-i2_s":
            check(tensor.tensor_type == I2_S, f"{path}: type of {tensor.name}")
            equal(unpack_i2_s(tensor.data.reshape(-1), trits.shape), trits, f"{path}: {tensor.name}")
            end = tensor.data_offset + trits.size // 4
            with open(path, "rb") as file:
                file.seek(end)
                check(np.frombuffer(file.read(4), np.float32)[0] == scale, f"{path}: scale of {tensor.name}")
        else:
            check(tensor.tensor_type.name == target[5:].upper(), f"{path}: type of {tensor.name}")
            values = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(trits.shape)
            equal(values, trits * np.float32(np.float16(scale)), f"{path}: {tensor.name}")
            check(np.float32(exact[index]) == scale, f"{path}: exact scale of {tensor.name}")
        seen += 1
    for key, values in model.vectors().items():
        tensor = tensors[names[key]]
        check(tensor.tensor_type == gguf.GGMLQuantizationType.F32, f"{path}: type of {tensor.name}")
        equal(np.array(tensor.data), values, f"{path}: {tensor.name}")
        seen += 1
    for key, gguf_name in [("model.embed_tokens.weight", "token_embd.weight"), ("lm_head.weight", "output.weight")]:
        if key not in model.tensors:
            continue
        dtype, bits = model.tensors[key]
        check(tensors[gguf_name].tensor_type.name == dtype, f"{path}: type of {gguf_name}")
        equal(np.array(tensors[gguf_name].data).view(np.uint16).reshape(bits.shape), bits, f"{path}: {gguf_name}")
        seen += 1
    check(seen == len(tensors), f"{path}: {len(tensors)} tensors, {seen} looked at")
    return reader


def check_vocabulary(reader):
    """The demo model's tokens and merges, as Hugging Face's tokenizer.json has them."""
    with open(f"{DATA}/demo/tokenizer.json") as file:
        tokenizer = json.load(file)
    tokens = dict(tokenizer["model"]["vocab"])
    tokens.update({t["content"]: t["id"] for t in tokenizer["added_tokens"]})
    listed = reader.fields["tokenizer.ggml.tokens"].contents()
    check(all(listed[i] == text for text, i in tokens.items()), "tokens")
    check(reader.fields["tokenizer.ggml.model"].contents() == "gpt2", "tokenizer model")
    merges = [m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]]
    check(reader.fields["tokenizer.ggml.merges"].contents() == merges, "merges")
    types = reader.fields["tokenizer.ggml.token_type"].contents()
    for added in tokenizer["added_tokens"]:
        check(types[added["id"]] == (gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED),
              f"type of {added['content']}")
    with open(f"{DATA}/demo/tokenizer_config.json") as file:
        template = json.load(file).get("chat_template")
    check(reader.fields["tokenizer.chat_template"].contents() == template, "chat template")


def check_folder(model, folder, what):
    """A packed folder that bitnet-convert wrote holds the model."""
    got = Model(folder)
    quantization = got.config["quantization_config"]
    check((quantization["linear_class"], quantization["quantization_mode"]) == ("autobitlinear", "offline"), what)
    for key, trits in model.trits.items():
        equal(got.trits[key], trits, f"{what}: {key}")
        check(got.scales[key] == model.scales[key], f"{what}: scale of {key}")
        exact = np.float32(model.scales[key]).view(np.uint32) & 0xffff == 0
        check(got.tensors[key + ".weight_scale"][0] == ("BF16" if exact else "F32"), f"{what}: dtype of {key}'s scale")
    vectors = got.vectors()
    for key, values in model.vectors().items():
        equal(vectors[key], values, f"{what}: {key}")
    for key in ("model.embed_tokens.weight", "lm_head.weight"):
        if key in model.tensors:
            equal(floats(got.tensors[key]), floats(model.tensors[key]), f"{what}: {key}")
    check(set(got.tensors) == set(model.vectors()) | {k for k in model.tensors if "embed" in k or "lm_head" in k} |
          {k + s for k in model.trits for s in (".weight", ".weight_scale")}, f"{what}: names")


def write_gguf(model, kind, path):
    """A GGUF file of the model by the package alone; returns the model that it holds: scales as the type has them."""
    c = model.config
    llama = c["model_type"] == "llama"
    writer = gguf.GGUFWriter(path, "llama" if llama else "bitnet-b1.58")
    writer.add_block_count(model.layers)
    writer.add_context_length(c["max_position_embeddings"])
    writer.add_embedding_length(c["hidden_size"])
    writer.add_feed_forward_length(c["intermediate_size"])
    writer.add_head_count(model.heads)
    writer.add_head_count_kv(model.kv_heads)
    head_dim = c.get("head_dim", c["hidden_size"] // model.heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(c["rope_theta"])
    writer.add_layer_norm_rms_eps(c["rms_norm_eps"])
    writer.add_vocab_size(c["vocab_size"])
    names = Names(llama, model.layers)
    for key, scale in model.scales.items():
        name, trits = names[key], gguf_trits(model, key)
        if kind == I2_S:
            shape = (trits.shape[0], trits.shape[1] // 4)  # in bytes, without the tail
            writer.add_tensor(name, pack_i2_s(trits, scale), raw_shape=shape, raw_dtype=I2_S)
            continue
        model.scales[key] = np.float32(np.float16(scale))
        data = gguf.quantize(trits * model.scales[key], kind)
        writer.add_tensor(name, data, raw_dtype=kind)
    for key, values in model.vectors().items():
        writer.add_tensor(names[key], values)
    for key, name in [("model.embed_tokens.weight", "token_embd.weight"), ("lm_head.weight", "output.weight")]:
        if key in model.tensors:
            writer.add_tensor(name, floats(model.tensors[key]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def int2_words(trits):
    """bitnet.cpp's GPU layout, from its description: a word is sixteen columns of one row."""
    rows, cols = trits.shape
    block = (trits + 2).astype(np.uint32).reshape(rows // 16, 2, 8, cols // 32, 2, 16)
    # In a block the words go by half of the rows, half of the columns, row.
    values = block.transpose(0, 3, 1, 4, 2, 5).reshape(-1, 16)
    order = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15]
    words = sum(values[:, v] << np.uint32(2 * place) for place, v in enumerate(order))
    return words.astype("<u4").view(np.int8).reshape(rows, cols // 4)


def int2_tensors(model):
    out = {}
    for layer in range(model.layers):
        key = f"model.layers.{layer}."
        fused = {"attention.wqkv": LINEARS[:3], "attention.wo": LINEARS[3:4], "feed_forward.w13": LINEARS[4:6],
                 "feed_forward.w2": LINEARS[6:]}
        for name, parts in fused.items():
            rows = []
            for part in parts:
                trits = model.trits[key + part]
                heads = {"q_proj": model.heads, "k_proj": model.kv_heads}.get(part.split(".")[1])
                rows.append(interleaved(trits, heads) if heads else trits)
            out[f"layers.{layer}.{name}.weight"] = int2_words(np.concatenate(rows))
            scales = np.zeros(4, np.float32)
            scales[:len(parts)] = [model.scales[key + part] for part in parts]
            out[f"layers.{layer}.{name}.weight_scale"] = scales
        for name, norm in [("attention_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm"),
                           ("attention.attn_sub_norm", "self_attn.attn_sub_norm"),
                           ("feed_forward.ffn_sub_norm", "mlp.ffn_sub_norm")]:
            out[f"layers.{layer}.{name}.weight"] = floats(model.tensors[f"{key}{norm}.weight"])
    out["norm.weight"] = floats(model.tensors["model.norm.weight"])
    out["tok_embeddings.weight"] = floats(model.tensors["model.embed_tokens.weight"])
    return out


def save(tensors, path):
    safetensors.numpy.save_file({name: np.ascontiguousarray(t) for name, t in tensors.items()}, path)


def write_masters(model, folder):
    """The model's trits as float32 masters, from which the absmean quantiser makes them again, with other scales."""
    os.makedirs(folder)
    tensors = {}
    for key, trits in model.trits.items():
        weights = trits * np.float32(0.7)
        mean = np.float32(np.abs(weights.astype(np.float64)).mean())
        model.scales[key] = np.float32(1) / (np.float32(1) / mean)
        tensors[key + ".weight"] = weights.astype(np.float32)
    tensors.update(model.vectors())
    for key in ("model.embed_tokens.weight", "lm_head.weight"):
        if key in model.tensors:
            tensors[key] = floats(model.tensors[key])
    save(tensors, folder + "/model.safetensors")
    config = dict(model.config)
    config["quantization_config"] = {"quant_method": "bitnet", "linear_class": "autobitlinear",
                                     "quantization_mode": "online"}
    with open(folder + "/config.json", "w") as file:
        json.dump(config, file)


def main():
    every = ["demo", "goldens/bitnet_a_packed", "goldens/bitnet_a_bf16", "goldens/llama_falcon3_packed",
             "goldens/llama_hf1bit_packed"]
    for name in every:
        model = Model(f"{DATA}/{name}")
        for target in ("gguf-i2_s", "gguf-tq1_0", "gguf-tq2_0", "gguf-f16"):
            if "tq" in target and model.config["intermediate_size"] % 256:
                continue
            reader = check_gguf(name, model, target)
            if name == "demo":
                check_vocabulary(reader)
        check_folder(model, convert(f"{DATA}/{name}", "safetensors", "folder"), f"{name} as safetensors")

        if model.config["model_type"] == "bitnet":
            got = load(convert(f"{DATA}/{name}", "int2", "int2") + "/model_state_int2.safetensors")
            wanted = int2_tensors(model)
            check(set(got) == set(wanted), f"{name} as int2: names")
            for key, values in wanted.items():
                equal(got[key][1] if values.dtype == np.int8 else floats(got[key]), values, f"{name} as int2: {key}")
            folder = f"{SCRATCH}/made-int2-{os.path.basename(name)}"
            os.makedirs(folder)
            save(wanted, folder + "/model_state_int2.safetensors")
            with open(folder + "/config.json", "w") as file:
                json.dump(model.config, file)
            check_folder(model, convert(folder, "safetensors", "folder"), f"{name} from int2")

        for kind in (gguf.GGMLQuantizationType.TQ1_0, gguf.GGMLQuantizationType.TQ2_0, gguf.GGMLQuantizationType.F16,
                     I2_S):
            if kind.name.startswith("TQ") and model.config["intermediate_size"] % 256:
                continue
            path = f"{SCRATCH}/made.{kind.name}.gguf"
            held = write_gguf(Model(f"{DATA}/{name}"), kind, path)
            check_folder(held, convert(path, "safetensors", "folder"), f"{name} from the package's {kind.name}")

        masters = Model(f"{DATA}/{name}")
        write_masters(masters, f"{SCRATCH}/masters-{os.path.basename(name)}")
        check_folder(masters, convert(f"{SCRATCH}/masters-{os.path.basename(name)}", "safetensors", "folder"),
                     f"{name} from float32 masters")
    print(f"gguf and safetensors {safetensors.__version__}: {checks} checks of {len(every)} models, both ways")


main()
