#include "runtime/model/hf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "runtime/error.h"
#include "runtime/io/join.h"
#include "runtime/io/json.h"

namespace bittern::runtime {
namespace {

// Integer sums reach 127 * K: up to this K they stay below 2^24 and convert to float32 exactly.
constexpr int64_t kMaxWidth = 131072;

constexpr std::array<std::string_view, 1> kArchitectures{"BitNetForCausalLM"};
constexpr std::array<std::pair<std::string_view, Activation>, 3> kActivations{
    {{"relu2", Activation::Relu2}, {"silu", Activation::Silu}, {"gelu_pytorch_tanh", Activation::GeluTanh}}};

struct IntegerField {
  const char *name;
  int64_t ModelConfig::*value;
  int64_t least, most;
};
constexpr IntegerField kIntegers[] = {{"vocab_size", &ModelConfig::vocab, 1, 1 << 24},
                                      {"hidden_size", &ModelConfig::hidden, 2, kMaxWidth},
                                      {"intermediate_size", &ModelConfig::ffn, 1, kMaxWidth},
                                      {"num_hidden_layers", &ModelConfig::layers, 1, 1024},
                                      {"num_attention_heads", &ModelConfig::heads, 1, 4096},
                                      {"num_key_value_heads", &ModelConfig::kv_heads, 1, 4096},
                                      {"max_position_embeddings", &ModelConfig::max_positions, 1, 1 << 27}};

template <typename Table>
auto choose(const Json &field, const Table &table) {
  const std::string name = field.string();
  std::string known;
  for (const auto &[row_name, value] : table) {
    if (row_name == name) return value;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row_name);
  }
  field.fail(fmt::format("'{}' is not supported (supported: {})", name, known));
}

std::string read_architecture(const Json &root) {
  const Json list = root.get("architectures");
  list.expect(Json::Type::Array);
  if (list.size() != 1) list.fail(fmt::format("expected one name, found {}", list.size()));
  const Json first = *list.begin();
  const std::string name = first.string();
  if (std::find(kArchitectures.begin(), kArchitectures.end(), name) == kArchitectures.end()) {
    first.fail(fmt::format("'{}' is not supported (supported: {})", name, join_names(kArchitectures)));
  }
  return name;
}

WeightMeaning read_quantization(const Json &root) {
  const std::optional<Json> quantization = root.find_value("quantization_config");
  if (!quantization) root.fail("'quantization_config' is missing: the weights' meaning is unknown");
  const Json method = quantization->get("quant_method");
  if (method.string() != "bitnet")
    method.fail(fmt::format("'{}' is not supported (supported: bitnet)", method.string()));
  if (const auto inner = quantization->find_value("use_rms_norm"); inner && inner->boolean()) {
    inner->fail("true is not supported: norms inside the linear layers");
  }
  // Absent keys mean what transformers' BitNetQuantConfig makes of them.
  enum class Class { BitLinear, AutoBitLinear };
  constexpr std::array<std::pair<std::string_view, Class>, 2> kClasses{
      {{"bitlinear", Class::BitLinear}, {"autobitlinear", Class::AutoBitLinear}}};
  constexpr std::array<std::pair<std::string_view, bool>, 2> kModes{{{"offline", false}, {"online", true}}};
  const auto linear_class = quantization->find_value("linear_class");
  const auto mode = quantization->find_value("quantization_mode");
  const bool online = mode && choose(*mode, kModes);
  if (!linear_class || choose(*linear_class, kClasses) == Class::BitLinear) {
    if (online) mode->fail("'online' needs linear_class 'autobitlinear'");
    return WeightMeaning::PackedDivide;
  }
  return online ? WeightMeaning::OnlineMasters : WeightMeaning::PackedMultiply;
}

// rope_theta at the top level or, as newer transformers write it, in rope_parameters. Scaled RoPE is refused by name:
// ignoring it would give fluent nonsense on long prompts.
double read_rope_theta(const Json &root) {
  for (const char *name : {"rope_scaling", "rope_parameters"}) {
    const auto scaling = root.find_value(name);
    if (!scaling) continue;
    scaling->expect(Json::Type::Object);
    for (const char *key : {"rope_type", "type"}) {
      const auto type = scaling->find_value(key);
      if (type && type->string() != "default") type->fail(fmt::format("'{}' is not supported", type->string()));
    }
  }
  const auto parameters = root.find_value("rope_parameters");
  const auto nested = parameters ? parameters->find_value("rope_theta") : std::nullopt;
  return (nested ? *nested : root.get("rope_theta")).number(1, 1e12);
}

int32_t read_id(const Json &value, int64_t vocab) { return static_cast<int32_t>(value.integer(0, vocab - 1)); }

std::vector<int32_t> read_ids(const Json &value, int64_t vocab) {
  std::vector<int32_t> ids;
  if (value.is(Json::Type::Array)) {
    for (const Json item : value) ids.push_back(read_id(item, vocab));
  } else {
    ids.push_back(read_id(value, vocab));
  }
  return ids;
}

}  // namespace

HfConfig parse_hf_config(std::string_view text, const std::string &name) {
  const JsonDocument document(text, name);
  const Json root = document.root();
  root.expect(Json::Type::Object);
  HfConfig config;
  ModelConfig &model = config.model;
  model.architecture = read_architecture(root);
  for (const IntegerField &field : kIntegers)
    model.*field.value = root.get(field.name).integer(field.least, field.most);

  if (model.heads % model.kv_heads != 0) {
    root.get("num_key_value_heads").fail(fmt::format("{} does not divide {} heads", model.kv_heads, model.heads));
  }
  if (const auto head_dim = root.find_value("head_dim")) {
    model.head_dim = head_dim->integer(2, 4096);
    if (model.head_dim % 2 != 0) head_dim->fail(fmt::format("{} is odd", model.head_dim));
  } else {
    model.head_dim = model.hidden / model.heads;
    if (model.hidden % model.heads != 0 || model.head_dim % 2 != 0) {
      root.get("num_attention_heads")
          .fail(fmt::format("hidden_size {} / {} heads is not an even number", model.hidden, model.heads));
    }
  }
  if (model.heads * model.head_dim > kMaxWidth) {
    root.get("num_attention_heads")
        .fail(fmt::format("{} heads of {} are more than {} wide", model.heads, model.head_dim, kMaxWidth));
  }

  model.rms_eps = static_cast<float>(root.get("rms_norm_eps").number(1e-12, 0.1));
  model.rope_theta = read_rope_theta(root);
  model.activation = choose(root.get("hidden_act"), kActivations);
  for (const char *bias : {"attention_bias", "mlp_bias"}) {
    if (const auto field = root.find_value(bias); field && field->boolean()) field->fail("true is not supported");
  }
  // transformers' default for an absent tie_word_embeddings is false.
  if (const auto tied = root.find_value("tie_word_embeddings")) model.tied_head = tied->boolean();
  if (const auto bos = root.find_value("bos_token_id")) model.bos = read_id(*bos, model.vocab);
  if (const auto eos = root.find_value("eos_token_id")) model.eos = read_ids(*eos, model.vocab);
  config.weights = read_quantization(root);
  return config;
}

void parse_generation_config(std::string_view text, const std::string &name, ModelConfig &config) {
  const JsonDocument document(text, name);
  const Json root = document.root();
  root.expect(Json::Type::Object);
  const auto number = [&](const char *field, float &value, double least, double most) {
    if (const auto found = root.find_value(field)) value = static_cast<float>(found->number(least, most));
  };
  ModelConfig::Generation &generation = config.generation;
  number("temperature", generation.temperature, 0, 1e6);
  number("top_p", generation.top_p, 0, 1);
  number("min_p", generation.min_p, 0, 1);
  number("repetition_penalty", generation.repetition_penalty, 1e-3, 1e3);
  if (const auto top_k = root.find_value("top_k")) generation.top_k = static_cast<int>(top_k->integer(0, INT32_MAX));
  if (const auto do_sample = root.find_value("do_sample")) generation.do_sample = do_sample->boolean();
  if (const auto eos = root.find_value("eos_token_id")) config.eos = read_ids(*eos, config.vocab);
  if (const auto bos = root.find_value("bos_token_id"); bos && config.bos < 0) config.bos = read_id(*bos, config.vocab);
}

}  // namespace bittern::runtime
