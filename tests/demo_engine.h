// What tests of the engine on the synthetic model of the demo's shape begin with.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/engine/engine.h"

namespace bittern::test {

inline runtime::EngineOptions options_of(int threads = 2, int64_t context = 0) {
  runtime::EngineOptions options;
  options.threads = threads;
  options.context = context;
  options.prepacked_cache = false;
  return options;
}

inline std::vector<int32_t> some_tokens(size_t count) {
  std::vector<int32_t> tokens(count);
  for (size_t i = 0; i < count; ++i) tokens[i] = static_cast<int32_t>(i * 2654435761u % 4096);
  return tokens;
}

inline std::vector<float> values_of(std::span<const float> values) { return {values.begin(), values.end()}; }

}  // namespace bittern::test
