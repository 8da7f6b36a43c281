// codegen::Descriptor as JSON: how it travels between the tuner and its workers and rests in the database.
#pragma once
#include <nlohmann/json.hpp>

#include "codegen/backend.h"

namespace bittern::tuning {

nlohmann::json descriptor_to_json(const codegen::Descriptor &descriptor);
// Throws nlohmann's exceptions on what descriptor_to_json did not write.
codegen::Descriptor descriptor_from_json(const nlohmann::json &json);

}  // namespace bittern::tuning
