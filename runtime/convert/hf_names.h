// A model as transformers knows it: config.json and the names of its tensors.
#pragma once
#include <string>

#include "runtime/model/model_source.h"

namespace bittern::runtime {

// Whether transformers has such a model; "" if so, else what it lacks.
std::string hf_lacks(const ModelConfig &config);

// config.json for packed weights that are multiplied by their scales (autobitlinear, offline). `config` must be one
// that transformers has.
std::string hf_config_text(const ModelConfig &config, DType embedding);
// generation_config.json: stop tokens and sampling.
std::string hf_generation_text(const ModelConfig &config);

std::string hf_linear_name(const ModelConfig &config, int64_t layer, Linear which);  // without ".weight"
std::string hf_vector_name(const ModelConfig &config, int64_t layer, Vector which);  // with ".weight"
std::string hf_embedding_name(const ModelConfig &config);
inline constexpr const char *kHfHead = "lm_head.weight";

// What is added to the norm weights of the file: 1 where it holds w of (1 + w), as Gemma's do.
float hf_norm_offset(const ModelConfig &config);

}  // namespace bittern::runtime
