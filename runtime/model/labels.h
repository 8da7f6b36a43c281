// Short names of a model's tensors ("gate", "input_norm"), as messages and Bittern's own files use them, and lists of
// those that a model has, for whoever walks over all of them.
#pragma once
#include <array>
#include <vector>

#include "runtime/model/model_source.h"

namespace bittern::runtime {

inline constexpr std::array<Linear, kLinearCount> kLinears{Linear::Q,    Linear::K,  Linear::V,   Linear::O,
                                                           Linear::Gate, Linear::Up, Linear::Down};
// The norms that every layer of such a model has, in the order of Vector.
std::vector<Vector> layer_vectors(const ModelConfig &config);

const char *linear_label(Linear which);
const char *vector_label(Vector which);

}  // namespace bittern::runtime
