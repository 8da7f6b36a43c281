// Model folders whose files are sound and do not make a model: tensors that are missing, foreign or of the wrong shape,
// values that cannot be, paths that are none. Each is refused with one message that names file, tensor and place.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "runtime/model/model_source.h"
#include "tests/error_message.h"
#include "tests/load_all.h"
#include "tests/model_folder.h"

using namespace bittern::runtime;
using namespace bittern::test;

TEST_CASE("tensors of the wrong type or shape, missing or foreign, by name") {
  const auto error = [](const std::function<void(SmallModel &)> &change) {
    SmallModel model;
    change(model);
    return message([&] { load_all(model.write()); });
  };
  REQUIRE(error([](SmallModel &) {}) == "(no error)");
  for (const auto &[name, tensor] : small_tensors()) {
    CHECK(contains(error([&, n = name](SmallModel &m) { m.tensors.erase(n); }),
                   "model.safetensors: tensor '" + name + "' is missing"));
    std::string what =
        error([&, n = name](SmallModel &m) { m.tensors[n].dtype = m.tensors[n].dtype == "U8" ? "I8" : "I16"; });
    CHECK_MESSAGE(contains(what, "tensor '" + name + "': dtype: I"), what);
    what = error([&, n = name](SmallModel &m) { m.tensors[n].shape.insert(m.tensors[n].shape.begin(), {1, 1}); });
    CHECK_MESSAGE(contains(what, "tensor '" + name + "': shape: [1, 1, "), what);
  }
  CHECK(contains(error([](SmallModel &m) { m.tensors["model.layers.0.self_attn.q_proj.bias"] = {"BF16", {1}, "ab"}; }),
                 "tensor 'model.layers.0.self_attn.q_proj.bias': not a tensor of a BitNetForCausalLM of 2 layers"));
  CHECK(contains(error([](SmallModel &m) { m.config["num_hidden_layers"] = 1; }), "tensor 'model.layers.1."));
  for (const char *odd :
       {"model.layers.", "model.layers.x.input_layernorm.weight", "model.layers.00.input_layernorm.weight",
        "model.layers.99999999999999999999.input_layernorm.weight", "model.layers.0"}) {
    CHECK(contains(error([&](SmallModel &m) { m.tensors[odd] = {"U8", {1}, "x"}; }),
                   std::string("tensor '") + odd + "': not a tensor"));
  }
  CHECK(error([](SmallModel &m) { m.tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = {"U8", {1}, "x"}; }) ==
        "(no error)");
  CHECK(contains(error([](SmallModel &m) { m.config["tie_word_embeddings"] = false; }),
                 "tensor 'lm_head.weight' is missing"));
  CHECK(contains(error([](SmallModel &m) { m.config["vocab_size"] = 17; }),
                 "tensor 'model.embed_tokens.weight': shape: [16, 8], expected [17, 8]"));
  CHECK(contains(error([](SmallModel &m) { m.config["quantization_config"]["quantization_mode"] = "online"; }),
                 "self_attn.q_proj.weight': dtype: U8, but quantization_config says float masters"));
  CHECK(contains(error([](SmallModel &m) {
                   m.tensors["model.layers.1.mlp.up_proj.weight"] = {"BF16", {12, 8}, std::string(192, '\0')};
                 }),
                 "layers.1.mlp.up_proj.weight': dtype: BF16, but quantization_config says packed U8"));
  CHECK(contains(error([](SmallModel &m) { m.config["intermediate_size"] = 13; }),
                 "mlp.gate_proj.weight': 13 rows cannot be packed by four"));
}

TEST_CASE("tensors of other families: missing, foreign or of the wrong shape, by name") {
  const std::string data = BITTERN_TEST_DATA;
  const auto error = [&](const char *golden, const std::function<void(json &)> &change) {
    const ScratchFolder folder;
    std::filesystem::copy(data + "/goldens/" + golden + "/model.safetensors", folder.path("model.safetensors"));
    std::ifstream in(data + "/goldens/" + golden + "/config.json");
    json config = json::parse(in);
    change(config);
    folder.write("config.json", config.dump());
    return message([&] { load_all(folder.root()); });
  };
  CHECK(error("embed_qwen3", [](json &) {}) == "(no error)");
  // A norm that the configuration does not speak of means another model than it says.
  CHECK(contains(error("llama_falcone_packed", [](json &c) { c["quantization_config"]["use_rms_norm"] = false; }),
                 "down_proj.rms_norm.weight': not a tensor of a LlamaForCausalLM of 3 layers"));
  CHECK(contains(error("llama_hf1bit_packed", [](json &c) { c["quantization_config"]["use_rms_norm"] = true; }),
                 "tensor 'model.layers.0.self_attn.q_proj.rms_norm.weight' is missing"));
  CHECK(contains(error("llama_hf1bit_packed", [](json &c) { c["architectures"] = {"BitNetForCausalLM"}; }),
                 "tensor 'model.layers.0.self_attn.attn_sub_norm.weight' is missing"));
  CHECK(contains(error("bitnet_a_packed", [](json &c) { c["architectures"] = {"LlamaForCausalLM"}; }),
                 "not a tensor of a LlamaForCausalLM of 4 layers"));
  CHECK(contains(error("embed_gemma3_full",
                       [](json &c) {
                         c["architectures"] = {"Qwen3Model"};
                         c["hidden_act"] = "silu";
                         c["rope_theta"] = 1e6;
                         c.erase("rope_parameters");
                       }),
                 "not a tensor of a Qwen3Model of 2 layers"));
  CHECK(contains(error("embed_qwen3", [](json &c) { c["head_dim"] = 32, c["num_attention_heads"] = 8; }),
                 "shape: [128, 128], expected [64, 128]"));
}

TEST_CASE("values that cannot be: scales, norms, masters, code 3") {
  const std::string scale = "model.layers.0.mlp.up_proj.weight_scale";
  const auto scale_error = [&](const TestTensor &tensor, bool divide) {
    SmallModel model;
    model.tensors[scale] = tensor;
    if (divide) model.config["quantization_config"].erase("linear_class");
    return message([&] { load_all(model.write()); });
  };
  for (const bool divide : {false, true}) {
    for (const uint16_t bits : {uint16_t{0}, uint16_t{0x8000}, uint16_t{0xbf80}, uint16_t{0x7f80}, uint16_t{0xff80},
                                uint16_t{0x7fc0}, uint16_t{0xffc1}}) {
      const std::string what = scale_error({"BF16", {1}, bf16_bytes({bits})}, divide);
      CHECK_MESSAGE(contains(what, "tensor '" + scale + "': "), what);
      CHECK_MESSAGE(contains(what, "is not a usable scale: it must be positive and finite at byte"), what);
    }
    CHECK(scale_error({"F32", {}, std::string("\0\0\x80\x3f", 4)}, divide) == "(no error)");
    CHECK(contains(scale_error({"BF16", {2}, bf16_bytes({0x3f80, 0x3f80})}, divide), "shape: [2], expected [1]"));
    CHECK(contains(scale_error({"U8", {1}, "\1"}, divide), "dtype: U8, expected BF16, F16 or F32"));
  }
  // The reciprocal of the smallest floats is infinite.
  CHECK(contains(scale_error({"BF16", {1}, bf16_bytes({0x0001})}, true), "is not a usable scale"));

  SmallModel model;
  model.tensors["model.layers.1.mlp.down_proj.weight"].bytes[12 + 7] = '\xff';
  CHECK(contains(message([&] { load_all(model.write()); }),
                 "tensor 'model.layers.1.mlp.down_proj.weight': row 1, column 7: code 3 is not a trit at byte"));

  SmallModel norm;
  norm.tensors["model.layers.1.mlp.ffn_sub_norm.weight"].bytes.replace(6, 2, bf16_bytes({0x7fc0}));
  CHECK(contains(message([&] { load_all(norm.write()); }),
                 "tensor 'model.layers.1.mlp.ffn_sub_norm.weight': element 3 is nan"));
}

TEST_CASE("masters with a value that is not finite") {
  SmallModel model;
  model.config["quantization_config"]["quantization_mode"] = "online";
  for (auto &[name, tensor] : model.tensors) {
    if (tensor.dtype == "U8")
      tensor = {"BF16", {tensor.shape[0] * 4, tensor.shape[1]}, std::string(tensor.bytes.size() * 8, '\x3c')};
  }
  model.tensors["model.layers.0.mlp.up_proj.weight"].bytes.replace(10, 2, bf16_bytes({0xff80}));
  CHECK(contains(message([&] { load_all(model.write()); }),
                 "tensor 'model.layers.0.mlp.up_proj.weight': element 5 is -inf at byte"));
}

TEST_CASE("paths that are no model") {
  const ScratchFolder folder;
  CHECK(contains(message([&] { open_model(folder.path("none")); }), "none: cannot open: No such file or directory"));
  CHECK(contains(message([&] { open_model(folder.root()); }), "config.json: cannot open"));
  folder.write("model.gguf", "none");
  CHECK(contains(message([&] { open_model(folder.path("model.gguf")); }), "model.gguf: not a folder and not a GGUF"));
  folder.write("config.json", small_config().dump());
  CHECK(contains(message([&] { open_model(folder.root()); }),
                 "has neither model.safetensors nor model.safetensors.index.json"));
  std::filesystem::create_directory(folder.path("model.safetensors"));
  CHECK(contains(message([&] { open_model(folder.root()); }), "model.safetensors: not a regular file"));
  folder.write("config.json", std::string(2 << 20, ' '));
  CHECK(contains(message([&] { open_model(folder.root()); }),
                 "config.json: 2097152 bytes, more than the 1048576 allowed"));
  CHECK(contains(message([] { synthetic_model("7b"); }), "no preset '7b' (presets: 2b-4t, demo, 3b, "));
}
