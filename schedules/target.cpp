// The table of targets: one row each, widest last among those of one architecture. Comments say what processors a row
// is for.
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
       .architecture = "x86_64",
       .vector_bytes = 16,
       .vector_registers = 16,
       .built_in = false},
      {.name = "x86-64-sse41",
       .isa_needs = BT_ISA_SSE41,
       .architecture = "x86_64",
       .vector_bytes = 16,
       .vector_registers = 16,
       .built_in = true},
      {.name = "x86-64-avx2",
       .isa_needs = kAvx2,
       .architecture = "x86_64",
       .vector_bytes = 32,
       .vector_registers = 16,
       .built_in = true},
      // Alder Lake and later: vpdpbusd without AVX-512.
      {.name = "x86-64-avxvnni",
       .isa_needs = kAvx2 | BT_ISA_AVXVNNI,
       .architecture = "x86_64",
       .vector_bytes = 32,
       .vector_registers = 16,
       .built_in = false},
      // Skylake-X: no vpdpbusd to gain from, so it has 512-bit vectors where two units of weights lie side by side.
      {.name = "x86-64-avx512bw",
       .isa_needs = kAvx512,
       .architecture = "x86_64",
       .vector_bytes = 64,
       .vector_registers = 32,
       .built_in = false},
      // 256-bit vectors: what it brings is vpdpbusd and twice the registers, and no processor slows its clock for them.
      {.name = "x86-64-avx512vnni",
       .isa_needs = kAvx512 | BT_ISA_AVX512VNNI,
       .architecture = "x86_64",
       .vector_bytes = 32,
       .vector_registers = 32,
       .built_in = true},
      // Ice Lake, Zen 4 and later: look-ups in tables of 64 bytes.
      {.name = "x86-64-avx512vbmi",
       .isa_needs = kAvx512 | BT_ISA_AVX512VNNI | BT_ISA_AVX512VBMI,
       .architecture = "x86_64",
       .vector_bytes = 32,
       .vector_registers = 32,
       .built_in = false},
      // AArch64: 32 registers of 16 bytes, which is 16 for the vectors of 32 that schedules count. No kernel has been
      // timed on such a processor yet; all are proved under an emulator. The baseline: Cortex-A53, A57, A72.
      {.name = "aarch64-neon",
       .isa_needs = BT_ISA_NEON,
       .architecture = "aarch64",
       .vector_bytes = 16,
       .vector_registers = 16,
       .built_in = true},
      // Cortex-A55, A76, Neoverse N1 and later: sdot.
      {.name = "aarch64-dotprod",
       .isa_needs = BT_ISA_NEON | BT_ISA_DOTPROD,
       .architecture = "aarch64",
       .vector_bytes = 16,
       .vector_registers = 16,
       .built_in = true},
      // Neoverse V1 and N2, Apple M2 and later: smmla for many tokens.
      {.name = "aarch64-i8mm",
       .isa_needs = BT_ISA_NEON | BT_ISA_DOTPROD | BT_ISA_I8MM,
       .architecture = "aarch64",
       .vector_bytes = 16,
       .vector_registers = 16,
       .built_in = false},
      // Neoverse N2 and V2: products as above; loops over floats in vectors of whatever length the processor has.
      {.name = "aarch64-sve2",
       .isa_needs = BT_ISA_NEON | BT_ISA_DOTPROD | BT_ISA_I8MM | BT_ISA_SVE2,
       .architecture = "aarch64",
       .vector_bytes = 16,
       .vector_registers = 16,
       .built_in = false},
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

const Target &baseline_target(const std::string &name) {
  std::string known;
  for (const Target &target : targets()) {
    if (target.architecture == name) return target;
    if (known.find(target.architecture) == std::string::npos)
      known += (known.empty() ? "" : ", ") + target.architecture;
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
