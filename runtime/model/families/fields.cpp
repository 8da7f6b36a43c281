// See fields.h.
#include "runtime/model/families/fields.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "runtime/model/families/choose.h"

namespace bittern::runtime {
namespace {

constexpr std::array<std::pair<std::string_view, Activation>, 3> kActivations{
    {{"relu2", Activation::Relu2}, {"silu", Activation::Silu}, {"gelu_pytorch_tanh", Activation::GeluTanh}}};

enum class LinearClass { BitLinear, AutoBitLinear };
constexpr std::array<std::pair<std::string_view, LinearClass>, 2> kLinearClasses{
    {{"bitlinear", LinearClass::BitLinear}, {"autobitlinear", LinearClass::AutoBitLinear}}};
constexpr std::array<std::pair<std::string_view, bool>, 2> kModes{{{"offline", false}, {"online", true}}};
constexpr std::array<std::pair<std::string_view, bool>, 2> kLayerTypes{
    {{"full_attention", false}, {"sliding_attention", true}}};

// Only what is float anyway may be kept out of quantisation: lm_head, or names that say so.
void check_exceptions(const Json &quantization) {
  const auto list = quantization.find_value("modules_to_not_convert");
  if (!list) return;
  list->expect(Json::Type::Array);
  for (const Json name : *list) {
    if (name.string() != "lm_head" && name.string() != "embed_tokens" && name.string() != "model.embed_tokens")
      name.fail(fmt::format("'{}' is not supported: every linear layer but lm_head is ternary", name.string()));
  }
}

// Where layers l with (l + 1) % every == 0 are global and all others local: `every`, or nothing.
std::optional<int64_t> repetition(const std::vector<bool> &local) {
  const auto layers = static_cast<int64_t>(local.size());
  int64_t every = layers + 1;  // none is global
  for (int64_t l = layers - 1; l >= 0; --l)
    if (!local[static_cast<size_t>(l)]) every = l + 1;
  for (int64_t l = 0; l < layers; ++l)
    if (local[static_cast<size_t>(l)] != ((l + 1) % every != 0)) return std::nullopt;
  return every;
}

}  // namespace

void read_activation(const Json &root, std::string_view field, ModelConfig &model) {
  model.activation = choose(root.get(field), kActivations);
  model.activation_from = "config.json";
}

void refuse_scaled_rope(const Json &scaling) {
  scaling.expect(Json::Type::Object);
  for (const char *key : {"rope_type", "type"}) {
    const auto type = scaling.find_value(key);
    if (type && type->string() != "default") type->fail(fmt::format("'{}' is not supported", type->string()));
  }
  if (const auto part = scaling.find_value("partial_rotary_factor"); part && part->number(0, 1) != 1)
    part->fail("RoPE over a part of a head is not supported");
}

double read_rope_theta(const Json &root) {
  for (const char *name : {"rope_scaling", "rope_parameters"})
    if (const auto scaling = root.find_value(name)) refuse_scaled_rope(*scaling);
  const auto parameters = root.find_value("rope_parameters");
  const auto nested = parameters ? parameters->find_value("rope_theta") : std::nullopt;
  return (nested ? *nested : root.get("rope_theta")).number(1, 1e12);
}

void refuse_true(const Json &root, std::string_view field) {
  if (const auto found = root.find_value(field); found && found->boolean()) found->fail("true is not supported");
}

void refuse_value(const Json &root, std::string_view field) {
  if (const auto found = root.find_value(field)) found->fail("is not supported: only null is");
}

void read_quantization(const Json &root, HfConfig &config) {
  const std::optional<Json> quantization = root.find_value("quantization_config");
  if (!quantization) root.fail("'quantization_config' is missing: the weights' meaning is unknown");
  const Json method = quantization->get("quant_method");
  if (method.string() != "bitnet")
    method.fail(fmt::format("'{}' is not supported (supported: bitnet)", method.string()));
  check_exceptions(*quantization);
  // Absent keys mean what transformers' BitNetQuantConfig makes of them.
  if (const auto inner = quantization->find_value("use_rms_norm")) config.model.linear_norms = inner->boolean();
  if (const auto eps = quantization->find_value("rms_norm_eps"))
    config.model.linear_norm_eps = static_cast<float>(eps->number(1e-12, 0.1));
  const auto linear_class = quantization->find_value("linear_class");
  const auto mode = quantization->find_value("quantization_mode");
  const bool online = mode && choose(*mode, kModes);
  if (!linear_class || choose(*linear_class, kLinearClasses) == LinearClass::BitLinear) {
    if (online) mode->fail("'online' needs linear_class 'autobitlinear'");
    config.weights = WeightMeaning::PackedDivide;
  } else {
    config.weights = online ? WeightMeaning::OnlineMasters : WeightMeaning::PackedMultiply;
  }
}

void read_embedding_quantization(const Json &root, HfConfig &config) {
  if (root.find_value("quantization_config")) {
    read_quantization(root, config);
    return;
  }
  config.weights = WeightMeaning::OnlineMasters;
  config.model.linear_norms = true;
  config.model.linear_norm_eps = config.model.rms_eps;
  config.notes.push_back(
      fmt::format("no quantization_config: taken as float masters with a norm inside every linear layer, eps {}",
                  config.model.rms_eps));
}

void read_layer_types(const Json &root, std::string_view pattern, ModelConfig &model) {
  std::vector<bool> local(static_cast<size_t>(model.layers), false);
  if (const auto types = root.find_value("layer_types")) {
    types->expect(Json::Type::Array);
    if (types->size() != model.layers) types->fail(fmt::format("{} items for {} layers", types->size(), model.layers));
    size_t l = 0;
    for (const Json type : *types) local[l++] = choose(type, kLayerTypes);
  } else if (!pattern.empty() && root.find_value("sliding_window")) {
    const auto every = root.find_value(pattern);
    const int64_t step = every ? every->integer(1, 1024) : 6;  // transformers' default for Gemma3
    for (int64_t l = 0; l < model.layers; ++l) local[static_cast<size_t>(l)] = (l + 1) % step != 0;
  }
  const auto every = repetition(local);
  if (!every) root.get("layer_types").fail("these types are not supported: global layers must be every n-th");
  model.global_every = *every;
  if (*every > 1) model.window = root.get("sliding_window").integer(1, int64_t{1} << 27);
}

}  // namespace bittern::runtime
