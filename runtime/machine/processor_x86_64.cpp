// x86-64 through CPUID. An instruction set counts only when the system also saves its registers (XGETBV), since a
// hypervisor or an old kernel may offer the one without the other.
#include <cpuid.h>

#include <initializer_list>

#include "runtime/abi/kernel_abi.h"
#include "runtime/machine/processor.h"

namespace bittern::runtime {
namespace {

struct Registers {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf = 0) {
  Registers r;
  if (__get_cpuid_max(leaf & 0x80000000u, nullptr) < leaf) return r;
  __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
  return r;
}

uint64_t enabled_register_state() {
  if (!(cpuid(1).ecx & (1u << 27))) return 0;  // OSXSAVE
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t{high} << 32) | low;
}

enum Register { Eax1Ecx, Eax7Ebx, Eax7Ecx, Eax7s1Eax, Ext1Ecx };

// Every CPUID bit that one of our instruction-set levels stands for.
struct IsaBit {
  uint32_t isa;
  Register where;
  int bit;
};
constexpr IsaBit kIsaBits[] = {
    {BT_ISA_SSE41, Eax1Ecx, 9},        // SSSE3
    {BT_ISA_SSE41, Eax1Ecx, 19},       // SSE4.1
    {BT_ISA_AVX2, Eax1Ecx, 12},        // FMA
    {BT_ISA_AVX2, Eax1Ecx, 20},        // SSE4.2
    {BT_ISA_AVX2, Eax1Ecx, 22},        // MOVBE
    {BT_ISA_AVX2, Eax1Ecx, 23},        // POPCNT
    {BT_ISA_AVX2, Eax1Ecx, 28},        // AVX
    {BT_ISA_AVX2, Eax1Ecx, 29},        // F16C
    {BT_ISA_AVX2, Eax7Ebx, 3},         // BMI1
    {BT_ISA_AVX2, Eax7Ebx, 5},         // AVX2
    {BT_ISA_AVX2, Eax7Ebx, 8},         // BMI2
    {BT_ISA_AVX2, Ext1Ecx, 5},         // LZCNT
    {BT_ISA_AVXVNNI, Eax7s1Eax, 4},    // AVX-VNNI
    {BT_ISA_AVX512, Eax7Ebx, 16},      // F
    {BT_ISA_AVX512, Eax7Ebx, 17},      // DQ
    {BT_ISA_AVX512, Eax7Ebx, 28},      // CD, part of x86-64-v4
    {BT_ISA_AVX512, Eax7Ebx, 30},      // BW
    {BT_ISA_AVX512, Eax7Ebx, 31},      // VL
    {BT_ISA_AVX512VNNI, Eax7Ecx, 11},  // AVX512_VNNI
    {BT_ISA_AVX512VBMI, Eax7Ecx, 1},   // AVX512_VBMI
};

std::string register_text(std::initializer_list<uint32_t> words) {
  std::string text;
  for (uint32_t word : words) text.append(reinterpret_cast<const char *>(&word), 4);
  return text.substr(0, text.find('\0'));
}

}  // namespace

uint32_t read_isa() {
  const uint32_t words[] = {cpuid(1).ecx, cpuid(7).ebx, cpuid(7).ecx, cpuid(7, 1).eax, cpuid(0x80000001u).ecx};
  uint32_t isa = BT_ISA_SSE41 | BT_ISA_AVX2 | BT_ISA_AVXVNNI | BT_ISA_AVX512 | BT_ISA_AVX512VNNI | BT_ISA_AVX512VBMI;
  for (const IsaBit &row : kIsaBits)
    if (!(words[row.where] >> row.bit & 1)) isa &= ~row.isa;
  const uint64_t state = enabled_register_state();
  if ((state & 0x6) != 0x6) isa &= BT_ISA_SSE41;                                   // no YMM
  if ((state & 0xe6) != 0xe6) isa &= BT_ISA_SSE41 | BT_ISA_AVX2 | BT_ISA_AVXVNNI;  // no ZMM
  if (!(isa & BT_ISA_AVX2)) isa &= BT_ISA_SSE41;
  if (!(isa & BT_ISA_AVX512)) isa &= ~uint32_t{BT_ISA_AVX512VNNI | BT_ISA_AVX512VBMI};
  return isa;
}

void read_identity(Fingerprint &f) {
  const Registers vendor = cpuid(0), version = cpuid(1);
  f.vendor = register_text({vendor.ebx, vendor.edx, vendor.ecx});
  for (uint32_t leaf = 0x80000002u; leaf <= 0x80000004u; ++leaf) {
    const Registers r = cpuid(leaf);
    f.brand += register_text({r.eax, r.ebx, r.ecx, r.edx});
  }
  f.stepping = static_cast<int>(version.eax & 15);
  f.model = static_cast<int>(version.eax >> 4 & 15);
  f.family = static_cast<int>(version.eax >> 8 & 15);
  if (f.family == 6 || f.family == 15) f.model += static_cast<int>(version.eax >> 16 & 15) << 4;
  if (f.family == 15) f.family += static_cast<int>(version.eax >> 20 & 255);
}

void pause_processor() { __builtin_ia32_pause(); }

}  // namespace bittern::runtime
