// The table of targets: one row each, widest last among those of one architecture. A new instruction set is a row
// here (and whatever templates make use of it).
#include "schedules/target.h"

#include <fmt/format.h>

#include "compiler/error.h"
#include "runtime/abi/kernel_abi.h"

namespace bittern::schedules {
namespace {

constexpr uint32_t kAvx2 = BT_ISA_SSE41 | BT_ISA_AVX2, kAvx512 = kAvx2 | BT_ISA_AVX512;

}  // namespace

const std::vector<Target> &targets() {
  static const std::vector<Target> table = {
      {.name = "x86-64",
       .isa_needs = BT_ISA_BASELINE,
       .llvm_triple = "x86_64-unknown-linux-gnu",
       .llvm_cpu = "x86-64",
       .llvm_features = "",
       .halide_target = "x86-64-linux",
       .instructions = "sse2",
       .vector_bytes = 16,
       .vector_registers = 16,
       .int16_products = 2,
       .rounds = false,
       .half_floats = false,
       .ships = false},
      {.name = "x86-64-sse41",
       .isa_needs = BT_ISA_SSE41,
       .llvm_triple = "x86_64-unknown-linux-gnu",
       .llvm_cpu = "x86-64",
       .llvm_features = "+ssse3,+sse4.1",
       .halide_target = "x86-64-linux-sse41",
       .instructions = "ssse3",
       .vector_bytes = 16,
       .vector_registers = 16,
       .int16_products = 2,
       .rounds = true,
       .half_floats = false,
       .ships = true},
      {.name = "x86-64-avx2",
       .isa_needs = kAvx2,
       .llvm_triple = "x86_64-unknown-linux-gnu",
       .llvm_cpu = "x86-64-v3",
       .llvm_features = "",
       .halide_target = "x86-64-linux-sse41-avx-avx2-f16c-fma",
       .instructions = "avx2",
       .vector_bytes = 32,
       .vector_registers = 16,
       .int16_products = 2,
       .rounds = true,
       .half_floats = true,
       .ships = true},
      // Alder Lake and later: vpdpbusd without AVX-512.
      {.name = "x86-64-avxvnni",
       .isa_needs = kAvx2 | BT_ISA_AVXVNNI,
       .llvm_triple = "x86_64-unknown-linux-gnu",
       .llvm_cpu = "x86-64-v3",
       .llvm_features = "+avxvnni",
       .halide_target = "x86-64-linux-sse41-avx-avx2-f16c-fma",
       .instructions = "avx-vnni",
       .vector_bytes = 32,
       .vector_registers = 16,
       .int16_products = 0,
       .rounds = true,
       .half_floats = true,
       .ships = false},
      // Skylake-X: no vpdpbusd to gain from, so it has 512-bit vectors where two units of weights lie side by side.
      {.name = "x86-64-avx512bw",
       .isa_needs = kAvx512,
       .llvm_triple = "x86_64-unknown-linux-gnu",
       .llvm_cpu = "x86-64-v4",
       .llvm_features = "",
       .halide_target = "x86-64-linux-sse41-avx-avx2-f16c-fma",
       .instructions = "avx512-bw",
       .vector_bytes = 64,
       .vector_registers = 32,
       .int16_products = 2,
       .look_up_bytes = 64,
       .rounds = true,
       .half_floats = true,
       .ships = false},
      // 256-bit vectors: what it brings is vpdpbusd and twice the registers, and no processor slows its clock for them.
      {.name = "x86-64-avx512vnni",
       .isa_needs = kAvx512 | BT_ISA_AVX512VNNI,
       .llvm_triple = "x86_64-unknown-linux-gnu",
       .llvm_cpu = "x86-64-v4",
       .llvm_features = "+avx512vnni",
       .halide_target = "x86-64-linux-sse41-avx-avx2-f16c-fma",
       .instructions = "avx512-vnni",
       .vector_bytes = 32,
       .vector_registers = 32,
       .int16_products = 0,
       .rounds = true,
       .half_floats = true,
       .ships = true},
      // Ice Lake, Zen 4 and later: look-ups in tables of 64 bytes.
      {.name = "x86-64-avx512vbmi",
       .isa_needs = kAvx512 | BT_ISA_AVX512VNNI | BT_ISA_AVX512VBMI,
       .llvm_triple = "x86_64-unknown-linux-gnu",
       .llvm_cpu = "x86-64-v4",
       .llvm_features = "+avx512vnni,+avx512vbmi",
       .halide_target = "x86-64-linux-sse41-avx-avx2-f16c-fma",
       .instructions = "avx512-vnni",
       .vector_bytes = 32,
       .vector_registers = 32,
       .int16_products = 0,
       .look_up_bytes = 64,
       .look_up_table = 64,
       .rounds = true,
       .half_floats = true,
       .ships = false},
      // AArch64: 32 registers of 16 bytes, which is 16 for the vectors of 32 that schedules count. No kernel has been
      // timed on such a processor yet; all are proved under an emulator. The baseline: Cortex-A53, A57, A72.
      {.name = "aarch64-neon",
       .isa_needs = BT_ISA_NEON,
       .llvm_triple = "aarch64-unknown-linux-gnu",
       .llvm_cpu = "generic",
       .llvm_features = "",
       .halide_target = "arm-64-linux",
       .instructions = "neon",
       .vector_bytes = 16,
       .vector_registers = 16,
       .int16_products = 2,
       .rounds = true,
       .half_floats = true,
       .ships = true},
      // Cortex-A55, A76, Neoverse N1 and later: sdot.
      {.name = "aarch64-dotprod",
       .isa_needs = BT_ISA_NEON | BT_ISA_DOTPROD,
       .llvm_triple = "aarch64-unknown-linux-gnu",
       .llvm_cpu = "generic",
       .llvm_features = "+v8.2a,+dotprod",
       .halide_target = "arm-64-linux-arm_dot_prod",
       .instructions = "neon-dot",
       .vector_bytes = 16,
       .vector_registers = 16,
       .int16_products = 0,
       .rounds = true,
       .half_floats = true,
       .ships = true},
      // Neoverse V1 and N2, Apple M2 and later: smmla for many tokens.
      {.name = "aarch64-i8mm",
       .isa_needs = BT_ISA_NEON | BT_ISA_DOTPROD | BT_ISA_I8MM,
       .llvm_triple = "aarch64-unknown-linux-gnu",
       .llvm_cpu = "generic",
       .llvm_features = "+v8.2a,+dotprod,+i8mm",
       .halide_target = "arm-64-linux-arm_dot_prod",
       .instructions = "neon-matrix",
       .vector_bytes = 16,
       .vector_registers = 16,
       .int16_products = 0,
       .rounds = true,
       .half_floats = true,
       .ships = false},
      // Neoverse N2 and V2: products as above; loops over floats in vectors of whatever length the processor has.
      {.name = "aarch64-sve2",
       .isa_needs = BT_ISA_NEON | BT_ISA_DOTPROD | BT_ISA_I8MM | BT_ISA_SVE2,
       .llvm_triple = "aarch64-unknown-linux-gnu",
       .llvm_cpu = "generic",
       .llvm_features = "+v9a,+dotprod,+i8mm,+sve2",
       .halide_target = "arm-64-linux-arm_dot_prod",
       .instructions = "neon-matrix",
       .vector_bytes = 16,
       .vector_registers = 16,
       .int16_products = 0,
       .rounds = true,
       .half_floats = true,
       .ships = false},
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

std::string architecture(const Target &target) { return target.llvm_triple.substr(0, target.llvm_triple.find('-')); }

const Target &baseline_target(const std::string &name) {
  std::string known;
  for (const Target &target : targets()) {
    if (architecture(target) == name) return target;
    if (known.find(architecture(target)) == std::string::npos)
      known += (known.empty() ? "" : ", ") + architecture(target);
  }
  throw Error(fmt::format("unknown architecture \"{}\"; known: {}", name, known));
}

const Target &host_target(uint32_t isa) {
  const Target *best = nullptr;
  for (const Target &target : targets())
    if ((target.isa_needs & ~isa) == 0) best = &target;
  if (!best) throw Error("no target of the table runs on this machine");
  return *best;
}

}  // namespace bittern::schedules
