// A family of models as its Hugging Face files describe it: which architecture names it has, what its config.json says
// beyond the fields that all share, and what its norms are called. Everything else is the shared description of a
// transformer, ModelConfig. A new family is one file and one row of registry.cpp.
#pragma once
#include <array>
#include <string_view>

#include "runtime/io/json.h"
#include "runtime/model/hf_config.h"
#include "runtime/model/model_source.h"

namespace bittern::runtime {

struct Family {
  std::string_view architecture;  // config.json's architectures[0]
  // The name of the same model with an output head, under which embedding models are published, too: taken only for
  // folders that say how tokens are pooled (modules.json). Empty when there is none.
  std::string_view with_head;
  // Reads the family's own fields of config.json into config.model and config.weights, which hold the shared ones.
  // Throws Error naming the field for what is missing or not supported.
  void (*read)(const Json &root, HfConfig &config);
  // Names of the norms by Vector, without ".weight"; null for those the family never has. FinalNorm stands outside the
  // layers.
  std::array<const char *, kVectorCount> vectors;
  float norm_offset = 0;  // what is added to the norms' stored weights: 1 where the file holds w of (1 + w)
};

extern const Family kBitNet, kLlama, kOneBitLlm, kQwen3Embedding, kGemma3Embedding;

// The family of an architecture; null when there is none. `has_modules`: the folder has a modules.json.
const Family *find_family(std::string_view architecture, bool has_modules);
// The names that find_family knows, for messages.
std::vector<std::string_view> family_architectures();

}  // namespace bittern::runtime
