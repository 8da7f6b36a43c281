// config.json and generation_config.json: what each field becomes, and defaults. Refusals are in
// error/model_files_test.
#include <doctest/doctest.h>

#include <cmath>

#include "runtime/error.h"
#include "runtime/model/hf_config.h"
#include "tests/model_folder.h"

using namespace bittern::runtime;
using namespace bittern::test;

namespace {

HfConfig parse(const json &config) { return parse_hf_config(config.dump(), "config.json"); }

}  // namespace

TEST_CASE("fields of config.json") {
  const HfConfig config = parse(small_config());
  const ModelConfig &model = config.model;
  CHECK(model.architecture == "BitNetForCausalLM");
  CHECK(model.vocab == 16);
  CHECK(model.hidden == 8);
  CHECK(model.ffn == 12);
  CHECK(model.layers == 2);
  CHECK(model.heads == 2);
  CHECK(model.kv_heads == 1);
  CHECK(model.head_dim == 4);  // hidden / heads
  CHECK(model.max_positions == 64);
  CHECK(model.rms_eps == 1e-5f);
  CHECK(model.rope_theta == 500000);
  CHECK(model.activation == Activation::Relu2);
  CHECK(model.tied_head);
  CHECK(model.sub_norms);
  CHECK(model.bos == 1);
  CHECK(model.eos == std::vector<int32_t>{2});
  CHECK_FALSE(model.generation.do_sample);
  CHECK(config.weights == WeightMeaning::PackedMultiply);
}

TEST_CASE("optional fields: absent, null and other spellings") {
  json config = small_config();
  config["head_dim"] = 6;
  config["tie_word_embeddings"] = nullptr;
  config["bos_token_id"] = nullptr;
  config["eos_token_id"] = {3, 4};
  config["hidden_act"] = "silu";
  config["rope_scaling"] = nullptr;
  config.erase("rope_theta");
  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 10000}};
  const ModelConfig model = parse(config).model;
  CHECK(model.head_dim == 6);
  CHECK_FALSE(model.tied_head);
  CHECK(model.bos == -1);
  CHECK(model.eos == std::vector<int32_t>{3, 4});
  CHECK(model.activation == Activation::Silu);
  CHECK(model.rope_theta == 10000);
}

TEST_CASE("the weights' meaning comes from quantization_config alone") {
  const auto meaning = [](const json &quantization) {
    json config = small_config();
    config["quantization_config"] = quantization;
    return parse(config).weights;
  };
  CHECK(meaning({{"quant_method", "bitnet"}}) == WeightMeaning::PackedDivide);
  CHECK(meaning({{"quant_method", "bitnet"}, {"linear_class", "bitlinear"}}) == WeightMeaning::PackedDivide);
  CHECK(meaning({{"quant_method", "bitnet"}, {"linear_class", "autobitlinear"}}) == WeightMeaning::PackedMultiply);
  CHECK(meaning({{"quant_method", "bitnet"}, {"linear_class", "autobitlinear"}, {"quantization_mode", "online"}}) ==
        WeightMeaning::OnlineMasters);
}

TEST_CASE("families: what each name makes of the same fields") {
  json config = small_config();
  config["architectures"] = {"LlamaForCausalLM"};
  config["hidden_act"] = "silu";
  ModelConfig model = parse(config).model;
  CHECK_FALSE(model.sub_norms);
  CHECK_FALSE(model.linear_norms);
  CHECK(model.has_head);
  CHECK(model.pooling == Pooling::None);
  CHECK(model.activation_from == "config.json");

  // Falcon-E: norms inside linear layers, their eps by default transformers'.
  config["quantization_config"]["use_rms_norm"] = true;
  CHECK(parse(config).model.linear_norms);
  CHECK(parse(config).model.linear_norm_eps == 1e-6f);
  config["quantization_config"]["rms_norm_eps"] = 1e-5;
  CHECK(parse(config).model.linear_norm_eps == 1e-5f);
  config["quantization_config"]["modules_to_not_convert"] = {"lm_head"};
  CHECK(parse(config).model.linear_norms);

  // 1bitLLM: no quantization_config, float masters.
  config = small_config();
  config["architectures"] = {"BitnetForCausalLM"};
  config.erase("quantization_config");
  config["weight_bits"] = 1;
  config["input_bits"] = 8;
  CHECK(parse(config).weights == WeightMeaning::OnlineMasters);
  CHECK(parse(config).model.sub_norms);

  config = small_config();
  config["architectures"] = {"Qwen3Model"};
  config.erase("quantization_config");
  config["rms_norm_eps"] = 3e-6;
  const HfConfig qwen = parse(config);
  CHECK(qwen.model.qk_norm);
  CHECK(qwen.model.linear_norms);
  CHECK(qwen.model.linear_norm_eps == 3e-6f);
  CHECK(qwen.notes.size() == 1);
  CHECK_FALSE(qwen.model.has_head);
  CHECK(qwen.model.pooling == Pooling::Last);
  CHECK(qwen.model.window == 0);
  CHECK(qwen.weights == WeightMeaning::OnlineMasters);
  config["architectures"] = {"Qwen3ForCausalLM"};
  CHECK(parse_hf_config(config.dump(), "config.json", true).model.architecture == "Qwen3Model");
}

TEST_CASE("Gemma3: windows and thetas as newer and older files write them") {
  json config = small_config();
  config["architectures"] = {"Gemma3TextModel"};
  config.erase("hidden_act");
  config["hidden_activation"] = "gelu_pytorch_tanh";
  config["query_pre_attn_scalar"] = 16;
  config["num_hidden_layers"] = 6;
  config["sliding_window"] = 7;
  config["rope_theta"] = 1e6;
  ModelConfig model = parse(config).model;  // transformers' defaults: five of six local, theta 10000
  CHECK(model.window == 7);
  CHECK(model.global_every == 6);
  CHECK(model.rope_theta == 1e6);
  CHECK(model.rope_theta_local == 1e4);
  CHECK(model.attention_scale == 0.25f);
  CHECK(model.embedding_scale == std::sqrt(8.0f));
  CHECK(model.post_norms);
  CHECK(model.activation == Activation::GeluTanh);
  config["sliding_window_pattern"] = 2;
  config["rope_local_base_freq"] = 500;
  model = parse(config).model;
  CHECK(model.global_every == 2);
  CHECK(model.rope_theta_local == 500);
  for (int64_t l = 0; l < 6; ++l) CHECK(is_local_layer(model, l) == (l % 2 == 0));

  config["layer_types"] = std::vector<std::string>(6, "full_attention");
  CHECK(parse(config).model.window == 0);
  config["layer_types"] = std::vector<std::string>(6, "sliding_attention");
  model = parse(config).model;
  CHECK(model.window == 7);
  for (int64_t l = 0; l < 6; ++l) CHECK(is_local_layer(model, l));
  config["layer_types"][2] = config["layer_types"][5] = "full_attention";
  CHECK(parse(config).model.global_every == 3);
  config["layer_types"] = std::vector<std::string>(6, "full_attention");
  config.erase("sliding_window");
  CHECK(parse(config).model.window == 0);
  config["rope_parameters"] = {{"full_attention", {{"rope_type", "default"}, {"rope_theta", 7e5}}},
                               {"sliding_attention", {{"rope_theta", 3e4}}}};
  model = parse(config).model;
  CHECK(model.rope_theta == 7e5);
  CHECK(model.rope_theta_local == 3e4);
}

TEST_CASE("generation_config.json adds stop ids and sampling") {
  ModelConfig model = parse(small_config()).model;
  parse_generation_config(R"({"bos_token_id":5,"eos_token_id":[6,7],"do_sample":true,"temperature":0.6,"top_p":0.9,
                              "top_k":40,"min_p":0.05,"repetition_penalty":1.1,"unknown":[1]})",
                          "generation_config.json", model);
  CHECK(model.bos == 1);  // config.json's
  CHECK(model.eos == std::vector<int32_t>{6, 7});
  CHECK(model.generation.do_sample);
  CHECK(model.generation.temperature == 0.6f);
  CHECK(model.generation.top_p == 0.9f);
  CHECK(model.generation.top_k == 40);
  CHECK(model.generation.min_p == 0.05f);
  CHECK(model.generation.repetition_penalty == 1.1f);

  model = parse(small_config()).model;
  model.bos = -1;
  parse_generation_config(R"({"bos_token_id":5,"temperature":null})", "generation_config.json", model);
  CHECK(model.bos == 5);
  CHECK(model.eos == std::vector<int32_t>{2});
  CHECK(model.generation.temperature == 1);
}

TEST_CASE("the demo's and the goldens' configurations are read") {
  const std::string data = BITTERN_TEST_DATA;
  for (const char *name : {"demo", "goldens/bitnet_a_bf16", "goldens/bitnet1b_large", "goldens/llama_falcone_packed",
                           "goldens/embed_qwen3", "goldens/embed_gemma3_sliding"}) {
    std::ifstream in(data + "/" + name + "/config.json");
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    CHECK_NOTHROW(parse_hf_config(text, name));
  }
}
