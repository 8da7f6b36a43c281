#include "codegen/halide/halide_target.h"

#include <utility>

namespace bittern::codegen::halide {

std::string halide_target(const schedules::Target &target) {
  static const std::vector<std::pair<const char *, const char *>> table = {
      {"x86-64", "x86-64-linux"},
      {"x86-64-sse41", "x86-64-linux-sse41"},
      {"x86-64-avx2", "x86-64-linux-sse41-avx-avx2-f16c-fma"},
      {"x86-64-avxvnni", "x86-64-linux-sse41-avx-avx2-f16c-fma"},
      {"x86-64-avx512bw", "x86-64-linux-sse41-avx-avx2-f16c-fma"},
      {"x86-64-avx512vnni", "x86-64-linux-sse41-avx-avx2-f16c-fma"},
      {"x86-64-avx512vbmi", "x86-64-linux-sse41-avx-avx2-f16c-fma"},
      {"aarch64-neon", "arm-64-linux"},
      {"aarch64-dotprod", "arm-64-linux-arm_dot_prod"},
      {"aarch64-i8mm", "arm-64-linux-arm_dot_prod"},
      {"aarch64-sve2", "arm-64-linux-arm_dot_prod"},
  };
  for (const auto &[name, halide] : table)
    if (target.name == name) return halide;
  return {};
}

}  // namespace bittern::codegen::halide
