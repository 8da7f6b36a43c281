// JSON as values of a template: what messages, tools and variables come as.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include "runtime/chat/jinja/value.h"

namespace bittern::runtime::jinja {

// Objects become dicts in their order. Throws Error for an integer beyond 64 bits and nesting beyond kMaxDepth;
// strings must be valid UTF-8.
Value from_json(const nlohmann::ordered_json &json);

}  // namespace bittern::runtime::jinja
