// config.json and generation_config.json: what each field becomes, and defaults. Refusals are in
// error/model_files_test.
#include <doctest/doctest.h>

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
  for (const char *name : {"demo", "goldens/bitnet_a_bf16", "goldens/bitnet_b_packed"}) {
    std::ifstream in(data + "/" + name + "/config.json");
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    CHECK_NOTHROW(parse_hf_config(text, name));
  }
}
