// AArch64 through what Linux tells every program: MIDR_EL1 of every core, which names its design.
#include <asm/hwcap.h>
#include <sys/auxv.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "runtime/machine/processor.h"

namespace bittern::runtime {
namespace {

struct Implementer {
  uint32_t code;
  const char *name;
};
constexpr Implementer kImplementers[] = {{0x41, "ARM"},       {0x42, "Broadcom"},  {0x43, "Cavium"},
                                         {0x46, "Fujitsu"},   {0x48, "HiSilicon"}, {0x4e, "NVIDIA"},
                                         {0x51, "Qualcomm"},  {0x53, "Samsung"},   {0x61, "Apple"},
                                         {0x6d, "Microsoft"}, {0xc0, "Ampere"}};

// MIDR_EL1 of every core that the system lists, or of the one we are on; empty when the system hides it.
std::vector<uint32_t> core_designs() {
  std::vector<uint32_t> designs;
  for (int cpu = 0;; ++cpu) {
    const std::string folder = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/";
    std::string text;
    if (!std::getline(std::ifstream(folder + "regs/identification/midr_el1"), text)) break;
    designs.push_back(static_cast<uint32_t>(std::strtoul(text.c_str(), nullptr, 16)));
  }
  if (designs.empty() && (getauxval(AT_HWCAP) & HWCAP_CPUID) != 0) {
    uint64_t midr;
    __asm__("mrs %0, midr_el1" : "=r"(midr));
    designs.push_back(static_cast<uint32_t>(midr));
  }
  return designs;
}

std::string print_design(uint32_t midr) {
  std::string implementer;
  for (const Implementer &row : kImplementers)
    if (row.code == midr >> 24) implementer = row.name;
  char text[64];
  if (implementer.empty()) {
    std::snprintf(text, sizeof text, "implementer 0x%02x", midr >> 24);
    implementer = text;
  }
  std::snprintf(text, sizeof text, " part 0x%03x r%up%u", midr >> 4 & 0xfff, midr >> 20 & 15, midr & 15);
  return implementer + text;
}

}  // namespace

// Processors with cores of several designs are told apart by all of them.
void read_identity(Fingerprint &f) {
  std::string last;
  for (const uint32_t midr : core_designs()) {
    const std::string design = print_design(midr);
    if (design == last) continue;
    f.brand += (f.brand.empty() ? "" : " + ") + design;
    last = design;
    if (f.family != 0) continue;
    f.family = 8;  // ARMv8 and later
    f.model = static_cast<int>(midr >> 4 & 0xfff);
    f.stepping = static_cast<int>((midr >> 16 & 0xf0) | (midr & 15));
  }
  f.vendor = f.brand.empty() ? "AArch64" : f.brand;
}

// yield is a no-op on most cores; isb holds the front end about as long as x86's pause does.
void pause_processor() { __asm__ volatile("isb" ::: "memory"); }

}  // namespace bittern::runtime
