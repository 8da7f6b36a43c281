// Names of activation functions, as command lines, messages and metadata have them.
#include <array>

#include "runtime/model/model_source.h"

namespace bittern::runtime {
namespace {

// In the order of Activation.
constexpr std::array<const char *, 3> kNames{"relu2", "silu", "gelu_tanh"};

}  // namespace

const char *activation_name(Activation activation) { return kNames[static_cast<size_t>(activation)]; }

std::optional<Activation> find_activation(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (name == kNames[i]) return static_cast<Activation>(i);
  }
  return std::nullopt;
}

}  // namespace bittern::runtime
