// config.json and generation_config.json of a Hugging Face folder: every field the engine relies on is read and
// bounded here, so that nothing later has to doubt it.
#pragma once
#include <string>
#include <string_view>

#include "runtime/model/model_source.h"

namespace bittern::runtime {

// What a linear layer's tensors mean; decided by quantization_config, never by looking at values.
enum class WeightMeaning {
  PackedMultiply,  // uint8 and weight_scale = absmean: W = trits * weight_scale (linear_class autobitlinear)
  PackedDivide,    // uint8 and weight_scale = 1 / absmean: W = trits / weight_scale (linear_class bitlinear)
  OnlineMasters    // float weights, made ternary by absmean here
};

struct HfConfig {
  const struct Family *family = nullptr;  // families/family.h; where its norms are found
  ModelConfig model;
  WeightMeaning weights = WeightMeaning::PackedDivide;
  std::vector<std::string> notes;  // what was assumed
};

// Parses config.json's text. `name` stands for the file in messages; `has_modules`: whether modules.json lies beside
// it, as in folders of embedding models. Throws Error naming field and offset for anything missing, wrong-typed, absurd
// or not supported.
HfConfig parse_hf_config(std::string_view text, const std::string &name, bool has_modules = false);

// Adds what generation_config.json says: stop ids, BOS when config.json has none, sampling.
void parse_generation_config(std::string_view text, const std::string &name, ModelConfig &config);

}  // namespace bittern::runtime
