// config.json and the other small JSON files of a model's folder: what is damaged, absurd, contradictory or not
// supported is refused with one message that names file, field and byte.
#include <doctest/doctest.h>

#include <limits>

#include "runtime/io/json.h"
#include "runtime/model/hf_config.h"
#include "runtime/model/hf_pooling.h"
#include "runtime/model/model_source.h"
#include "tests/error_message.h"
#include "tests/model_folder.h"

using namespace bittern::runtime;
using namespace bittern::test;

TEST_CASE("JSON that is not JSON") {
  const std::pair<const char *, const char *> rows[] = {
      {"", "expected a value, the text ends at byte 0"},
      {"{", "expected a key in quotes, the text ends at byte 1"},
      {"{\"a\"}", "expected ':' at byte 4"},
      {"{\"a\":}", "expected a value at byte 5"},
      {"{\"a\":1,}", "expected a key in quotes at byte 7"},
      {"{\"a\":1 2}", "expected ',' or '}' at byte 7"},
      {"[1,]", "expected a value at byte 3"},
      {"[1 2]", "expected ',' or ']' at byte 3"},
      {"[1", "expected ',' or ']', the text ends at byte 2"},
      {"]", "expected a value at byte 0"},
      {"01", "expected the end of the file at byte 1"},
      {"-", "expected a digit, the text ends at byte 1"},
      {"1.", "expected a digit"},
      {"1e", "expected a digit"},
      {"1e+", "expected a digit"},
      {".5", "expected a value"},
      {"+1", "expected a value"},
      {"NaN", "expected a value"},
      {"Infinity", "expected a value"},
      {"nul", "expected a value"},
      {"'a'", "expected a value"},
      {"\"a", "a string does not end, the text ends at byte 2"},
      {"\"a\n\"", "a control character in a string at byte 2"},
      {"\"\\x\"", "an unknown escape at byte 2"},
      {"\"\\", "an unknown escape"},
      {"\"\\u12\"", "expected four hexadecimal digits at byte 3"},
      {"\"\\u-123\"", "expected four hexadecimal digits"},
      {"\"\\ud800\"", "a lone surrogate"},
      {"\"\\udc00\"", "a lone surrogate"},
      {"\"\\ud800\\u0041\"", "a lone surrogate"},
      {"\"\xc3\"", "invalid UTF-8 at byte 1"},
      {"1 // comment", "expected the end of the file at byte 2"},
  };
  for (const auto &[text, expected] : rows) {
    const std::string what = message([&, t = text] { JsonDocument(t, "f"); });
    CHECK_MESSAGE(contains(what, std::string("f: not valid JSON: ") + expected), what);
  }
  CHECK(contains(message([] { JsonDocument(std::string(1'000'000, '['), "f"); }), "nested deeper than 32 at byte 32"));
  CHECK(contains(message([] { JsonDocument("[1,2,3]", "f", {.values = 3}); }), "more than 3 values"));
  const JsonDocument good(R"(["\ud83d\ude00\n\/\u00e9", -0.5e1, {"a":[],"b":{}}])", "f");
  auto item = good.root().begin();
  CHECK((*item).string() == "\U0001F600\n/\u00e9");
  CHECK((*++item).number(-10, 0) == -5);
  CHECK((*++item).get("b").size() == 0);
  CHECK(message([&] { (*good.root().begin()).integer(0, 1); }) ==
        "f: [0]: expected a number, found a string at byte 2");
}

TEST_CASE("config.json: each required field missing, of the wrong type, absurd") {
  const auto error = [](const json &config) { return message([&] { parse_hf_config(config.dump(), "config.json"); }); };
  const json good = small_config();
  REQUIRE(error(good) == "(no error)");
  for (const char *field : {"architectures", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                            "num_attention_heads", "num_key_value_heads", "max_position_embeddings", "rms_norm_eps",
                            "rope_theta", "hidden_act", "quantization_config"}) {
    json config = good;
    config.erase(field);
    CHECK_MESSAGE(contains(error(config), std::string("config.json: '") + field + "' is missing"), error(config));
    for (const json &wrong : {json("text"), json(true), json::object(), json::array()}) {
      config[field] = wrong;
      CHECK_MESSAGE(contains(error(config), std::string("config.json: ") + field), error(config));
      CHECK_MESSAGE(contains(error(config), "at byte"), error(config));
    }
  }
  for (const char *field : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                            "num_attention_heads", "num_key_value_heads", "max_position_embeddings"}) {
    for (const json &absurd : {json(0), json(-1), json(int64_t{1} << 31), json(std::numeric_limits<int64_t>::max()),
                               json(std::numeric_limits<uint64_t>::max()), json(1.5), json(1e300), json(nullptr)}) {
      json config = good;
      config[field] = absurd;
      CHECK_MESSAGE(contains(error(config), std::string("config.json: ") + field + ": "), error(config));
    }
  }
  for (const char *field : {"rms_norm_eps", "rope_theta"}) {
    for (const json &absurd : {json(0), json(-1e-5), json(1e30), json(nullptr)}) {
      json config = good;
      config[field] = absurd;
      CHECK_MESSAGE(contains(error(config), std::string("config.json: ") + field + ": "), error(config));
    }
  }
  CHECK(contains(message([] { parse_hf_config("[]", "config.json"); }), "expected an object, found an array"));
  CHECK(contains(message([] { parse_hf_config("", "config.json"); }), "config.json: not valid JSON"));
}

TEST_CASE("config.json: values that contradict each other or are not supported, by name") {
  struct Row {
    const char *field;
    json value;
    const char *expected;
  };
  const Row rows[] = {
      {"architectures",
       {"MistralForCausalLM"},
       "architectures[0]: 'MistralForCausalLM' is not supported (supported: BitNetForCausalLM, LlamaForCausalLM, "
       "BitnetForCausalLM, Qwen3Model, Gemma3TextModel)"},
      {"architectures", {"Qwen3ForCausalLM"}, "architectures[0]: 'Qwen3ForCausalLM' is not supported"},
      {"architectures", {"BitNetForCausalLM", "X"}, "architectures: expected one name, found 2"},
      {"num_key_value_heads", 3, "num_key_value_heads: 3 does not divide 2 heads"},
      {"num_attention_heads", 3, "hidden_size 8 / 3 heads is not an even number"},
      {"hidden_size", 10, "num_attention_heads: hidden_size 10 / 2 heads is not an even number"},
      {"hidden_size", 9, "is not an even number"},
      {"head_dim", 5, "head_dim: 5 is odd"},
      {"head_dim", 0, "head_dim: 0 is outside"},
      {"head_dim", "4", "head_dim: expected a number"},
      {"hidden_act", "swish", "hidden_act: 'swish' is not supported (supported: relu2, silu, gelu_pytorch_tanh)"},
      {"attention_bias", true, "attention_bias: true is not supported"},
      {"tie_word_embeddings", 1, "tie_word_embeddings: expected true or false"},
      {"bos_token_id", 16, "bos_token_id: 16 is outside 0..15"},
      {"eos_token_id", {2, -1}, "eos_token_id[1]: -1 is outside 0..15"},
      {"eos_token_id", "2", "eos_token_id: expected a number"},
      {"rope_scaling", {{"rope_type", "llama3"}, {"factor", 8}}, "rope_scaling.rope_type: 'llama3' is not supported"},
      {"rope_scaling", {{"type", "linear"}}, "rope_scaling.type: 'linear' is not supported"},
      {"rope_parameters", {{"rope_type", "yarn"}}, "rope_parameters.rope_type: 'yarn' is not supported"},
      {"quantization_config", nullptr, "'quantization_config' is missing"},
      {"quantization_config", {{"quant_method", "gptq"}}, "quantization_config.quant_method: 'gptq' is not supported"},
      {"quantization_config",
       {{"quant_method", "bitnet"}, {"linear_class", "x"}},
       "linear_class: 'x' is not supported (supported: bitlinear, autobitlinear)"},
      {"quantization_config",
       {{"quant_method", "bitnet"}, {"quantization_mode", "x"}},
       "quantization_mode: 'x' is not supported (supported: offline, online)"},
      {"quantization_config",
       {{"quant_method", "bitnet"}, {"quantization_mode", "online"}},
       "quantization_mode: 'online' needs linear_class 'autobitlinear'"},
      {"quantization_config",
       {{"quant_method", "bitnet"}, {"use_rms_norm", 1}},
       "use_rms_norm: expected true or false"},
      {"quantization_config",
       {{"quant_method", "bitnet"}, {"rms_norm_eps", 0}},
       "quantization_config.rms_norm_eps: 0 is outside"},
      {"quantization_config",
       {{"quant_method", "bitnet"}, {"modules_to_not_convert", {"lm_head", "model.layers.0.mlp.up_proj"}}},
       "modules_to_not_convert[1]: 'model.layers.0.mlp.up_proj' is not supported"},
      {"quantization_config",
       {{"quant_method", "bitnet"}, {"modules_to_not_convert", "lm_head"}},
       "modules_to_not_convert: expected an array"},
      {"rope_parameters", {{"partial_rotary_factor", 0.5}}, "partial_rotary_factor: RoPE over a part of a head"},
  };
  for (const Row &row : rows) {
    json config = small_config();
    config[row.field] = row.value;
    const std::string what = message([&] { parse_hf_config(config.dump(), "config.json"); });
    CHECK_MESSAGE(contains(what, row.expected), what);
  }
  json wide = small_config();
  wide["num_attention_heads"] = 4096;
  wide["head_dim"] = 4096;
  CHECK(contains(message([&] { parse_hf_config(wide.dump(), "c"); }), "4096 heads of 4096 are more than 131072 wide"));
}

TEST_CASE("config.json of each family: its own fields missing, wrong or not supported, by name") {
  const auto one_bit = [] {
    json config = small_config();
    config["architectures"] = {"BitnetForCausalLM"};
    config.erase("quantization_config");
    config["weight_bits"] = 1;
    config["input_bits"] = 8;
    return config;
  };
  const auto qwen = [] {
    json config = small_config();
    config["architectures"] = {"Qwen3Model"};
    return config;
  };
  const auto gemma = [] {
    json config = small_config();
    config["architectures"] = {"Gemma3TextModel"};
    config["query_pre_attn_scalar"] = 16;
    config["num_hidden_layers"] = 3;
    config["sliding_window"] = 7;
    return config;
  };
  for (const json &good : {one_bit(), qwen(), gemma()})
    REQUIRE(message([&] { parse_hf_config(good.dump(), "config.json"); }) == "(no error)");
  const json rope = {{"full_attention", {{"rope_theta", 1e4}}}};
  struct Row {
    json config;
    const char *field;
    json value;  // null: the field is taken out
    const char *expected;
  };
  const Row rows[] = {
      {one_bit(), "weight_bits", nullptr, "'weight_bits' is missing"},
      {one_bit(), "weight_bits", 2, "weight_bits: 2 is outside 1..1"},
      {one_bit(), "input_bits", 4, "input_bits: 4 is outside 8..8"},
      {one_bit(), "quantization_config", {{"quant_method", "gptq"}}, "quant_method: 'gptq' is not supported"},
      {one_bit(), "rope_theta", nullptr, "'rope_theta' is missing"},
      {qwen(), "use_sliding_window", true, "use_sliding_window: true is not supported"},
      {qwen(), "attention_bias", true, "attention_bias: true is not supported"},
      {qwen(), "layer_types", {"full_attention"}, "layer_types: 1 items for 2 layers"},
      {qwen(),
       "layer_types",
       {"full_attention", "linear_attention"},
       "layer_types[1]: 'linear_attention' is not supported (supported: full_attention, sliding_attention)"},
      {qwen(), "layer_types", {"sliding_attention", "full_attention"}, "'sliding_window' is missing"},
      {gemma(), "query_pre_attn_scalar", nullptr, "'query_pre_attn_scalar' is missing"},
      {gemma(), "query_pre_attn_scalar", 0, "query_pre_attn_scalar: 0 is outside"},
      {gemma(), "hidden_activation", "gelu", "hidden_activation: 'gelu' is not supported"},
      {gemma(), "attn_logit_softcapping", 50, "attn_logit_softcapping: is not supported: only null is"},
      {gemma(), "final_logit_softcapping", 30, "final_logit_softcapping: is not supported: only null is"},
      {gemma(), "use_bidirectional_attention", true, "use_bidirectional_attention: true is not supported"},
      {gemma(), "sliding_window", 0, "sliding_window: 0 is outside"},
      {gemma(), "sliding_window_pattern", 0, "sliding_window_pattern: 0 is outside"},
      {gemma(),
       "layer_types",
       {"full_attention", "full_attention", "sliding_attention"},
       "layer_types: these types are not supported: global layers must be every n-th"},
      {gemma(), "layer_types", "full_attention", "layer_types: expected an array"},
      {gemma(), "rope_local_base_freq", 0, "rope_local_base_freq: 0 is outside"},
      {gemma(), "rope_parameters", rope, "'sliding_attention' is missing"},
      {gemma(),
       "rope_parameters",
       {{"full_attention", {{"rope_type", "linear"}, {"rope_theta", 1e4}}},
        {"sliding_attention", {{"rope_theta", 1e4}}}},
       "rope_parameters.full_attention.rope_type: 'linear' is not supported"},
      {gemma(), "rope_scaling", {{"rope_type", "linear"}}, "rope_scaling.rope_type: 'linear' is not supported"},
  };
  for (const Row &row : rows) {
    json config = row.config;
    if (row.value.is_null())
      config.erase(row.field);
    else
      config[row.field] = row.value;
    const std::string what = message([&] { parse_hf_config(config.dump(), "config.json"); });
    CHECK_MESSAGE(contains(what, row.expected), what);
    CHECK_MESSAGE(contains(what, "config.json: "), what);
    CHECK_MESSAGE(contains(what, "at byte"), what);
  }
}

TEST_CASE("modules.json and the pooling module: what is not one vector of one model is refused by name") {
  const auto modules = [](const char *text) { return message([&] { parse_modules(text, "modules.json"); }); };
  CHECK(parse_modules(R"([{"type":"a.Transformer","path":""},{"type":"a.Pooling","path":"1_Pooling"},
                          {"type":"a.Normalize","path":"2"}])",
                      "m") == "1_Pooling");
  CHECK(parse_modules("[]", "m").empty());
  CHECK(contains(modules("{}"), "modules.json: expected an array"));
  CHECK(contains(modules("[1]"), "[0]: expected an object"));
  CHECK(contains(modules(R"([{"path":"1"}])"), "'type' is missing"));
  CHECK(contains(modules(R"([{"type":"a.Dense","path":"2_Dense"}])"), "[0].type: 'Dense' is not supported"));
  CHECK(contains(modules(R"([{"type":"Pooling"}])"), "'path' is missing"));
  for (const char *path : {"", ".", "..", "../x", "a/b", "a\\\\b", "a\\u0000"})
    CHECK_MESSAGE(contains(modules((std::string(R"([{"type":"Pooling","path":")") + path + "\"}]").c_str()),
                           "[0].path: not a plain folder name"),
                  path);

  const auto pooling = [](const char *text) { return message([&] { parse_pooling(text, "config.json"); }); };
  CHECK(parse_pooling(R"({"pooling_mode_lasttoken":true,"pooling_mode_mean_tokens":false})", "c") == Pooling::Last);
  CHECK(parse_pooling(R"({"pooling_mode_mean_tokens":true,"pooling_mode_cls_token":null})", "c") == Pooling::Mean);
  CHECK(contains(pooling("[]"), "config.json: expected an object"));
  CHECK(contains(pooling("{}"), "no pooling_mode_... is true"));
  CHECK(contains(pooling(R"({"pooling_mode_cls_token":true})"), "pooling_mode_cls_token: true is not supported"));
  CHECK(contains(pooling(R"({"pooling_mode_lasttoken":1})"), "pooling_mode_lasttoken: expected true or false"));
  CHECK(contains(pooling(R"({"pooling_mode_lasttoken":true,"pooling_mode_mean_tokens":true})"),
                 "pooling_mode_mean_tokens: a second way of pooling is true"));
}

TEST_CASE("generation_config.json: fields of the wrong type or out of range") {
  const std::pair<const char *, const char *> rows[] = {
      {R"({"temperature":-1})", "temperature: -1 is outside"},
      {R"({"temperature":"hot"})", "temperature: expected a number"},
      {R"({"top_p":1.5})", "top_p: 1.5 is outside"},
      {R"({"min_p":-0.5})", "min_p: -0.5 is outside"},
      {R"({"top_k":-1})", "top_k: -1 is outside"},
      {R"({"top_k":1.5})", "top_k: expected a whole number"},
      {R"({"repetition_penalty":0})", "repetition_penalty: 0 is outside"},
      {R"({"do_sample":1})", "do_sample: expected true or false"},
      {R"({"eos_token_id":99})", "eos_token_id: 99 is outside 0..15"},
      {R"({"eos_token_id":{}})", "eos_token_id: expected a number"},
      {R"([1])", "expected an object"},
      {R"({"top_p":0.9)", "not valid JSON"}};
  for (const auto &[text, expected] : rows) {
    ModelConfig model = parse_hf_config(small_config().dump(), "config.json").model;
    const std::string what = message([&, t = text] { parse_generation_config(t, "generation_config.json", model); });
    CHECK_MESSAGE(contains(what, std::string("generation_config.json: ") + expected), what);
  }
  SmallModel model;
  model.write();
  model.folder.write("generation_config.json", "{");
  CHECK(contains(message([&] { open_model(model.folder.root()); }), "generation_config.json: not valid JSON"));
}
