// ModelConfig as JSON, every field under its own name: what the header of Bittern's own files says of a model.
#pragma once
#include <string>

#include "runtime/io/json.h"
#include "runtime/model/model_source.h"

namespace bittern::runtime {

// Numbers are written so that reading gives the same bits.
std::string bittern_config_text(const ModelConfig &config);

// Throws Error naming field and offset for anything missing, unknown, wrong-typed, absurd or contradictory.
ModelConfig read_bittern_config(const Json &object);

}  // namespace bittern::runtime
