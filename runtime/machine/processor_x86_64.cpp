// x86-64 through CPUID.
#include <cpuid.h>

#include <initializer_list>

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

std::string register_text(std::initializer_list<uint32_t> words) {
  std::string text;
  for (uint32_t word : words) text.append(reinterpret_cast<const char *>(&word), 4);
  return text.substr(0, text.find('\0'));
}

}  // namespace

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
