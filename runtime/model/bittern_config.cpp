#include "runtime/model/bittern_config.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "runtime/model/config_fields.h"

namespace bittern::runtime {
namespace {

constexpr NamedField kIntegers[] = {{"vocab", kVocabField},
                                    {"hidden", kHiddenField},
                                    {"ffn", kFfnField},
                                    {"layers", kLayersField},
                                    {"heads", kHeadsField},
                                    {"kv_heads", kKvHeadsField},
                                    {"head_dim", kHeadDimField},
                                    {"max_positions", kPositionsField},
                                    {"window", {&ModelConfig::window, 0, 1 << 27}},
                                    {"global_every", {&ModelConfig::global_every, 1, 1024}},
                                    {"scale_group", {&ModelConfig::scale_group, 0, kMaxWidth}}};

struct FloatField {
  const char *name;
  float ModelConfig::*value;
  double least, most;
};
constexpr FloatField kFloats[] = {{"rms_eps", &ModelConfig::rms_eps, 1e-13, 0.1},
                                  {"linear_norm_eps", &ModelConfig::linear_norm_eps, 1e-13, 0.1},
                                  {"embedding_scale", &ModelConfig::embedding_scale, 1e-6, 1e6},
                                  {"attention_scale", &ModelConfig::attention_scale, 0, 1e6}};

struct DoubleField {
  const char *name;
  double ModelConfig::*value;
  double least, most;
};
constexpr DoubleField kDoubles[] = {{"rope_theta", &ModelConfig::rope_theta, 1, 1e12},
                                    {"rope_theta_local", &ModelConfig::rope_theta_local, 0, 1e12}};

struct FlagField {
  const char *name;
  bool ModelConfig::*value;
};
constexpr FlagField kFlags[] = {{"tied_head", &ModelConfig::tied_head},       {"sub_norms", &ModelConfig::sub_norms},
                                {"linear_norms", &ModelConfig::linear_norms}, {"qk_norm", &ModelConfig::qk_norm},
                                {"post_norms", &ModelConfig::post_norms},     {"has_head", &ModelConfig::has_head}};

using Sampling = ModelConfig::Generation;
struct SamplingField {
  const char *name;
  float Sampling::*value;
  double least, most;
};
constexpr SamplingField kSampling[] = {{"temperature", &Sampling::temperature, 0, 1e6},
                                       {"top_p", &Sampling::top_p, 0, 1},
                                       {"min_p", &Sampling::min_p, 0, 1},
                                       {"repetition_penalty", &Sampling::repetition_penalty, 1e-3, 1e3}};

constexpr std::array<std::pair<const char *, Pooling>, 3> kPoolings{
    {{"none", Pooling::None}, {"last", Pooling::Last}, {"mean", Pooling::Mean}}};

// A field of ModelConfig without a row here would be lost on the way through a file. Whoever adds one gets an error
// here, and adds a row.
#if defined(__GLIBCXX__) && defined(__LP64__)
static_assert(sizeof(ModelConfig) == 272, "ModelConfig has changed: add the field to the tables above");
#endif

template <typename Table, typename Value>
const char *name_of(const Table &table, Value value) {
  for (const auto &[name, row] : table) {
    if (row == value) return name;
  }
  return "";
}

template <typename Table>
auto choose(const Json &field, const Table &table) {
  const std::string name = field.string();
  for (const auto &[row_name, value] : table) {
    if (name == row_name) return value;
  }
  field.fail(fmt::format("'{}' is not known", name));
}

void check(const ModelConfig &c, const Json &object) {
  if (c.heads % c.kv_heads != 0) {
    object.get("kv_heads").fail(fmt::format("{} does not divide {} heads", c.kv_heads, c.heads));
  }
  if (c.head_dim % 2 != 0) object.get("head_dim").fail(fmt::format("{} is odd", c.head_dim));
  if (c.heads * c.head_dim > kMaxWidth) {
    object.get("heads").fail(fmt::format("{} heads of {} are more than {} wide", c.heads, c.head_dim, kMaxWidth));
  }
}

}  // namespace

std::string bittern_config_text(const ModelConfig &config) {
  nlohmann::ordered_json out;
  out["architecture"] = config.architecture;
  for (const auto &[name, field] : kIntegers) out[name] = config.*field.value;
  // Any float is a double, and a double is printed with as many digits as tell it apart.
  for (const FloatField &field : kFloats) out[field.name] = static_cast<double>(config.*field.value);
  for (const DoubleField &field : kDoubles) out[field.name] = config.*field.value;
  for (const FlagField &field : kFlags) out[field.name] = config.*field.value;
  out["activation"] = activation_name(config.activation);
  out["activation_from"] = config.activation_from;
  out["pooling"] = name_of(kPoolings, config.pooling);
  out["bos"] = config.bos;
  out["eos"] = config.eos;
  nlohmann::ordered_json &sampling = out["sampling"];
  sampling["do_sample"] = config.generation.do_sample;
  sampling["top_k"] = config.generation.top_k;
  for (const SamplingField &field : kSampling) {
    sampling[field.name] = static_cast<double>(config.generation.*field.value);
  }
  return out.dump();
}

ModelConfig read_bittern_config(const Json &object) {
  object.expect(Json::Type::Object);
  ModelConfig c;
  c.architecture = object.get("architecture").string();
  for (const auto &[name, field] : kIntegers) read_field(field, object.get(name), c);
  for (const FloatField &field : kFloats) {
    c.*field.value = static_cast<float>(object.get(field.name).number(field.least, field.most));
  }
  for (const DoubleField &field : kDoubles) c.*field.value = object.get(field.name).number(field.least, field.most);
  for (const FlagField &field : kFlags) c.*field.value = object.get(field.name).boolean();
  const Json activation = object.get("activation");
  const std::optional<Activation> known = find_activation(activation.string());
  if (!known) activation.fail(fmt::format("'{}' is not known", activation.string()));
  c.activation = *known;
  c.activation_from = object.get("activation_from").string();
  c.pooling = choose(object.get("pooling"), kPoolings);
  c.bos = static_cast<int32_t>(object.get("bos").integer(-1, c.vocab - 1));
  const Json eos = object.get("eos");
  eos.expect(Json::Type::Array);
  for (const Json id : eos) c.eos.push_back(static_cast<int32_t>(id.integer(0, c.vocab - 1)));
  const Json sampling = object.get("sampling");
  sampling.expect(Json::Type::Object);
  c.generation.do_sample = sampling.get("do_sample").boolean();
  c.generation.top_k = static_cast<int>(sampling.get("top_k").integer(0, INT32_MAX));
  for (const SamplingField &field : kSampling) {
    c.generation.*field.value = static_cast<float>(sampling.get(field.name).number(field.least, field.most));
  }
  check(c, object);
  return c;
}

}  // namespace bittern::runtime
