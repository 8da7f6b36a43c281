// The table of targets: one row each, widest last among those of one architecture. A new instruction set is a row
// here (and whatever templates make use of it).
#include "schedules/target.h"

#include <fmt/format.h>

#include "compiler/error.h"
#include "runtime/abi/kernel_abi.h"

namespace bittern::schedules {
namespace {

// Whether this processor has every bit of `isa_needs`. Bits of other architectures are never there.
bool machine_has(uint32_t isa_needs) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  uint32_t have = 0;
  if (__builtin_cpu_supports("sse4.1")) have |= BT_ISA_SSE41;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c") &&
      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))
    have |= BT_ISA_AVX2;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    have |= BT_ISA_AVX512;
  if ((have & BT_ISA_AVX512) && __builtin_cpu_supports("avx512vnni")) have |= BT_ISA_AVX512VNNI;
  return (isa_needs & ~have) == 0;
#else
  return isa_needs == 0;
#endif
}

}  // namespace

const std::vector<Target> &targets() {
  static const std::vector<Target> table = {
      // name, isa_needs, triple, cpu, features, Halide target, vector bytes, vector registers
      {"x86-64", BT_ISA_BASELINE, "x86_64-unknown-linux-gnu", "x86-64", "", "x86-64-linux", 16, 16},
      {"x86-64-avx2", BT_ISA_SSE41 | BT_ISA_AVX2, "x86_64-unknown-linux-gnu", "x86-64-v3", "",
       "x86-64-linux-sse41-avx-avx2-f16c-fma", 32, 16},
      // 256-bit vectors: what it brings is vpdpbusd and twice the registers, and no processor slows its clock for them.
      {"x86-64-avx512vnni", BT_ISA_SSE41 | BT_ISA_AVX2 | BT_ISA_AVX512 | BT_ISA_AVX512VNNI, "x86_64-unknown-linux-gnu",
       "x86-64-v4", "+avx512vnni", "x86-64-linux-sse41-avx-avx2-f16c-fma", 32, 32},
  };
  return table;
}

const Target &find_target(const std::string &name) {
  std::string known;
  for (const Target &target : targets()) {
    if (target.name == name) return target;
    known += (known.empty() ? "" : ", ") + target.name;
  }
  throw Error(fmt::format("unknown target \"{}\"; known: {}", name, known));
}

const Target &host_target() {
  const Target *best = nullptr;
  for (const Target &target : targets())
    if (machine_has(target.isa_needs)) best = &target;
  if (!best) throw Error("no target of the table runs on this machine");
  return *best;
}

}  // namespace bittern::schedules
