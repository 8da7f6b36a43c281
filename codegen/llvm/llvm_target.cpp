#include "codegen/llvm/llvm_target.h"

#include <fmt/format.h>

#include "compiler/error.h"

namespace bittern::codegen {
namespace {

constexpr const char *kX86 = "x86_64-unknown-linux-gnu", *kAarch64 = "aarch64-unknown-linux-gnu";

}  // namespace

const LlvmTarget &llvm_target(const schedules::Target &target) {
  static const std::vector<LlvmTarget> table = {
      // name, triple, cpu, features, instructions, rounds, half_floats
      {"x86-64", kX86, "x86-64", "", "sse2", false, false},
      {"x86-64-sse41", kX86, "x86-64", "+ssse3,+sse4.1", "ssse3", true, false},
      {"x86-64-avx2", kX86, "x86-64-v3", "", "avx2", true, true},
      {"x86-64-avxvnni", kX86, "x86-64-v3", "+avxvnni", "avx-vnni", true, true},
      {"x86-64-avx512bw", kX86, "x86-64-v4", "", "avx512-bw", true, true},
      {"x86-64-avx512vnni", kX86, "x86-64-v4", "+avx512vnni", "avx512-vnni", true, true},
      {"x86-64-avx512vbmi", kX86, "x86-64-v4", "+avx512vnni,+avx512vbmi", "avx512-vnni", true, true},
      {"aarch64-neon", kAarch64, "generic", "", "neon", true, true},
      {"aarch64-dotprod", kAarch64, "generic", "+v8.2a,+dotprod", "neon-dot", true, true},
      {"aarch64-i8mm", kAarch64, "generic", "+v8.2a,+dotprod,+i8mm", "neon-matrix", true, true},
      {"aarch64-sve2", kAarch64, "generic", "+v9a,+dotprod,+i8mm,+sve2", "neon-matrix", true, true},
  };
  for (const LlvmTarget &row : table)
    if (target.name == row.name) return row;
  throw Error(fmt::format("target {} has no row in codegen/llvm/llvm_target.cpp", target.name));
}

}  // namespace bittern::codegen
