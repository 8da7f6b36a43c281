// A row for every target that multiplies in int16 lanes or looks up more than 16 bytes do.
#include "schedules/ternary_facts.h"

#include <utility>

namespace bittern::schedules {

const TernaryFacts &ternary_facts(const Target &target) {
  static const std::vector<std::pair<const char *, TernaryFacts>> table = {
      {"x86-64", {.int16_products = 2}},
      {"x86-64-sse41", {.int16_products = 2}},
      {"x86-64-avx2", {.int16_products = 2}},
      {"x86-64-avx512bw", {.int16_products = 2, .look_up_bytes = 64}},
      {"x86-64-avx512vbmi", {.look_up_bytes = 64, .look_up_table = 64}},
      {"aarch64-neon", {.int16_products = 2}},
  };
  static const TernaryFacts others;
  for (const auto &[name, facts] : table)
    if (target.name == name) return facts;
  return others;
}

}  // namespace bittern::schedules
