// Model folders that must be refused: each with one message that names file, field and place, and without taking memory
// in proportion to what a file claims.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <limits>

#include "runtime/error.h"
#include "runtime/io/json.h"
#include "runtime/model/hf_config.h"
#include "runtime/model/hf_pooling.h"
#include "runtime/model/model_source.h"
#include "runtime/model/safetensors.h"
#include "tests/model_folder.h"

using namespace bittern::runtime;
using namespace bittern::test;

namespace {

// The message of the Error that `action` must throw.
template <typename Action>
std::string message(const Action &action) {
  try {
    action();
  } catch (const Error &error) {
    return error.what();
  }
  return "(no error)";
}

// Peak resident memory of this process so far.
int64_t peak_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

// Touches all that a model has, as loading it does.
void load_all(const std::string &folder) {
  const auto source = open_model(folder);
  for (int64_t layer = 0; layer < source->config().layers; ++layer) {
    for (int i = 0; i < 7; ++i) {
      const TernaryMatrix matrix = source->linear(layer, static_cast<Linear>(i));
      std::vector<int8_t> trits(static_cast<size_t>(matrix.rows * matrix.cols));
      matrix.decode(0, matrix.rows, trits.data(), matrix.cols);
    }
    for (size_t i = 0; i < kVectorCount; ++i)
      if (has_vector(source->config(), static_cast<Vector>(i))) source->vector(layer, static_cast<Vector>(i));
    for (size_t i = 0; i < kLinearCount && source->config().linear_norms; ++i)
      source->linear_norm(layer, static_cast<Linear>(i));
  }
}

std::string header_error(const std::string &header, const std::string &data = "0123456789") {
  const ScratchFolder folder;
  folder.write("a.safetensors", safetensors_bytes(header, data));
  return message([&] { SafetensorsFile file(folder.path("a.safetensors")); });
}

bool contains(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a safetensors file cut anywhere is refused") {
  const SmallModel model;
  model.write();
  const std::string whole = safetensors_bytes(model.tensors);
  size_t header = 8;
  while (whole[header] != '\0' && header < whole.size() && whole.substr(header, 2) != "}}") ++header;
  REQUIRE(header > 1000);
  for (size_t length = 0; length < whole.size(); length += length < header + 20 ? 1 : 37) {
    model.folder.write("model.safetensors", whole.substr(0, length));
    const std::string what = message([&] { open_model(model.folder.root()); });
    CHECK_MESSAGE(contains(what, "model.safetensors: "), what);
    CHECK_MESSAGE(contains(what, "at byte"), what);
  }
  model.folder.write("model.safetensors", whole);
  CHECK_NOTHROW(load_all(model.folder.root()));
}

TEST_CASE("every byte of the header changed: refused, or a model all the same, but never a crash") {
  const SmallModel model;
  model.write();
  const std::string whole = safetensors_bytes(model.tensors);
  const size_t header = 8 + static_cast<size_t>(static_cast<unsigned char>(whole[0])) +
                        256 * static_cast<size_t>(static_cast<unsigned char>(whole[1]));
  int refused = 0;
  for (size_t at = 0; at < header; ++at) {
    for (const char byte : {'\0', '9', '"', '[', '\xff'}) {
      std::string changed = whole;
      changed[at] = byte;
      model.folder.write("model.safetensors", changed);
      const std::string what = message([&] { load_all(model.folder.root()); });
      refused += what != "(no error)";
    }
  }
  CHECK(refused > static_cast<int>(header) * 3);
}

TEST_CASE("the header's length field at its extremes") {
  const ScratchFolder folder;
  const std::string path = folder.path("a.safetensors");
  const uint64_t lengths[] = {
      0, 1, 3, 100'000'000, 100'000'001, uint64_t{1} << 32, UINT64_MAX / 2, UINT64_MAX - 7, UINT64_MAX};
  for (const uint64_t length : lengths) {
    std::string bytes(8, '\0');
    for (int i = 0; i < 8; ++i) bytes[static_cast<size_t>(i)] = static_cast<char>(length >> (8 * i) & 0xff);
    folder.write("a.safetensors", bytes + "{}");
    const std::string what = message([&] { SafetensorsFile file(path); });
    CHECK_MESSAGE(contains(what, path + ": "), what);
    CHECK_MESSAGE(contains(what, length < 2 ? "not valid JSON" : "header length: "), what);
  }
}

TEST_CASE("each field of a tensor's entry, wrong in each way") {
  struct Row {
    const char *entry, *expected;
  };
  // The entry begins at byte 13 of the file: after the length field, '{"x":'.
  const Row rows[] = {
      {R"(7)", "tensor 'x': expected an object, found a number at byte 13"},
      {R"({})", "tensor 'x': 'dtype' is missing at byte 13"},
      {R"({"dtype":"U8","shape":[1]})", "tensor 'x': 'data_offsets' is missing at byte 13"},
      {R"({"dtype":"U8","data_offsets":[0,1]})", "tensor 'x': 'shape' is missing at byte 13"},
      {R"({"dtype":8,"shape":[1],"data_offsets":[0,1]})",
       "tensor 'x': dtype: expected a string, found a number at byte 22"},
      {R"({"dtype":"Q8","shape":[1],"data_offsets":[0,1]})", "tensor 'x': dtype: unknown type 'Q8' at byte 23"},
      {R"({"dtype":"U8","shape":1,"data_offsets":[0,1]})", "tensor 'x': shape: expected an array"},
      {R"({"dtype":"U8","shape":[-1],"data_offsets":[0,1]})",
       "tensor 'x': shape[0]: -1 is outside 0..9223372036854775807"},
      {R"({"dtype":"U8","shape":[1.0],"data_offsets":[0,1]})",
       "tensor 'x': shape[0]: expected a whole number, found 1.0"},
      {R"({"dtype":"U8","shape":[1,"a"],"data_offsets":[0,1]})",
       "tensor 'x': shape[1]: expected a number, found a string"},
      {R"({"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,1]})",
       "tensor 'x': shape[0]: 9223372036854775808 is outside"},
      {R"({"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,1]})",
       "tensor 'x': shape: the product of the sizes overflows"},
      {R"({"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]})",
       "tensor 'x': shape: the product of the sizes overflows"},
      {R"({"dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,1]})",
       "tensor 'x': data_offsets: 1 bytes, but shape [9223372036854775807] of U8 takes 9223372036854775807"},
      {R"({"dtype":"U8","shape":[0],"data_offsets":[0,1]})",
       "tensor 'x': data_offsets: 1 bytes, but shape [0] of U8 takes 0"},
      {R"({"dtype":"F32","shape":[1],"data_offsets":[0,1]})",
       "tensor 'x': data_offsets: 1 bytes, but shape [1] of F32 takes 4"},
      {R"({"dtype":"U8","shape":[1],"data_offsets":{}})", "tensor 'x': data_offsets: expected an array"},
      {R"({"dtype":"U8","shape":[1],"data_offsets":[0]})",
       "tensor 'x': data_offsets: expected [begin, end], found 1 items"},
      {R"({"dtype":"U8","shape":[1],"data_offsets":[0,1,2]})",
       "tensor 'x': data_offsets: expected [begin, end], found 3 items"},
      {R"({"dtype":"U8","shape":[1],"data_offsets":[1,0]})", "tensor 'x': data_offsets: begins at 1, after its end 0"},
      {R"({"dtype":"U8","shape":[1],"data_offsets":[10,11]})",
       "tensor 'x': data_offsets[1]: 11 lies beyond the file, which has 10 bytes of data"},
      {R"({"dtype":"U8","shape":[1],"data_offsets":[-1,0]})", "tensor 'x': data_offsets[0]: -1 is outside"},
      {R"({"dtype":"U8","shape":[1],"data_offsets":[9223372036854775807,0]})",
       "tensor 'x': data_offsets[0]: 9223372036854775807 lies beyond the file"},
      {R"({"dtype":"U8","shape":[1],"data_offsets":[18446744073709551615,0]})",
       "tensor 'x': data_offsets[0]: 18446744073709551615 is outside"},
      {R"({"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]})", "tensor 'x': dtype: the same key twice"},
  };
  for (const Row &row : rows) {
    const std::string what = header_error(std::string("{\"x\":") + row.entry + "}");
    CHECK_MESSAGE(contains(what, std::string("a.safetensors: ") + row.expected), what);
    CHECK_MESSAGE(contains(what, "at byte"), what);
  }
}

TEST_CASE("headers as a whole") {
  CHECK(contains(header_error("[]"), "expected an object, found an array at byte 8"));
  CHECK(contains(header_error("{} x"), "expected the end of the file at byte 11"));
  CHECK(contains(
      header_error(
          R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"y":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}})"),
      "tensor 'y': data_offsets: overlaps tensor 'x' at byte 116"));
  CHECK(contains(
      header_error(
          R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"x":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})"),
      "tensor 'x': the same key twice, again at byte 62"));
  // The same name, once with an escape.
  CHECK(contains(
      header_error(
          R"({"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\u0078":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})"),
      "the same key twice"));
  CHECK(contains(header_error("{\"a\xff\":1}"), "invalid UTF-8 at byte 11"));
  CHECK(contains(header_error("\xef\xbb\xbf{}"), "expected a value at byte 8"));
  CHECK(contains(header_error(R"({"x":{"dtype":[[[[1]]]]}})"), "nested deeper than 4"));
}

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

TEST_CASE("huge claims cost no memory") {
  const int64_t before = peak_mib();
  // Many tensors, many values, a header that is one long string, nested arrays.
  const ScratchFolder folder;
  std::string many = "{";
  for (int i = 0; i < 200'000; ++i)
    many += (i ? ",\"" : "\"") + std::to_string(i) +
            R"(":{"dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,9]})";
  header_error(many + "}");
  header_error("{\"x\":[" + std::string(20'000'000, '0') + "]}");
  std::string zeros = "{\"x\":{\"shape\":[0";
  for (int i = 0; i < 20'000'000; ++i) zeros += ",0";
  CHECK(contains(header_error(zeros + "]}}"), "more than 16777216 values"));
  SmallModel model;
  model.config["vocab_size"] = 1 << 24;
  model.config["num_hidden_layers"] = 1024;
  model.config["intermediate_size"] = 131072;
  CHECK(contains(message([&] { open_model(model.write()); }),
                 "mlp.gate_proj.weight': shape: [3, 8], expected [32768, 8]"));
  CHECK(peak_mib() - before < 1500);
}

TEST_CASE("an index that disagrees with its files") {
  const ScratchFolder folder;
  folder.write("one.safetensors", safetensors_bytes({{"a", {"U8", {1}, "A"}}}));
  const auto index_error = [&](const std::string &index) {
    folder.write("model.safetensors.index.json", index);
    return message([&] { TensorFolder tensors(folder.root()); });
  };
  CHECK(contains(index_error("{}"), "index.json: 'weight_map' is missing at byte 0"));
  CHECK(contains(index_error(R"({"weight_map":[]})"), "weight_map: expected an object"));
  CHECK(contains(index_error(R"({"weight_map":{"a":1}})"), "weight_map.a: expected a string"));
  CHECK(contains(index_error(R"({"weight_map":{"b":"one.safetensors"}})"),
                 "weight_map.b: 'one.safetensors' has no such tensor"));
  CHECK(contains(index_error(R"({"weight_map":{"a":"two.safetensors"}})"), "two.safetensors: cannot open"));
  CHECK(contains(index_error(R"({"weight_map":{"a":"../one.safetensors"}})"), "weight_map.a: not a plain file name"));
  CHECK(contains(index_error(R"({"weight_map":{"a":""}})"), "not a plain file name"));
  CHECK(contains(index_error(R"({"weight_map":{"a":"one.safetensors\u0000x"}})"), "not a plain file name"));
  CHECK(contains(index_error(R"({"weight_map":{"a":".."}})"), "not a regular file"));
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
