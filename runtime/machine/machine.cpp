// Reads the processor through CPUID and the rest through the operating system. An instruction set counts only when the
// system also saves its registers (XGETBV), since a hypervisor or an old kernel may offer the one without the other.
#include "runtime/machine/machine.h"

#include <cpuid.h>
#include <sched.h>
#include <sodium.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "runtime/abi/kernel_abi.h"

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
};

uint32_t read_isa() {
  const uint32_t words[] = {cpuid(1).ecx, cpuid(7).ebx, cpuid(7).ecx, cpuid(7, 1).eax, cpuid(0x80000001u).ecx};
  uint32_t isa = BT_ISA_SSE41 | BT_ISA_AVX2 | BT_ISA_AVXVNNI | BT_ISA_AVX512 | BT_ISA_AVX512VNNI;
  for (const IsaBit &row : kIsaBits)
    if (!(words[row.where] >> row.bit & 1)) isa &= ~row.isa;
  const uint64_t state = enabled_register_state();
  if ((state & 0x6) != 0x6) isa &= BT_ISA_SSE41;                                   // no YMM
  if ((state & 0xe6) != 0xe6) isa &= BT_ISA_SSE41 | BT_ISA_AVX2 | BT_ISA_AVXVNNI;  // no ZMM
  if (!(isa & BT_ISA_AVX2)) isa &= BT_ISA_SSE41;
  if (!(isa & BT_ISA_AVX512)) isa &= ~uint32_t{BT_ISA_AVX512VNNI};
  return isa;
}

std::string register_text(std::initializer_list<uint32_t> words) {
  std::string text;
  for (uint32_t word : words) text.append(reinterpret_cast<const char *>(&word), 4);
  return text.substr(0, text.find('\0'));
}

std::string read_line(const std::string &path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

// CPUs this process may run on.
std::vector<int> usable_cpus() {
  std::vector<int> cpus;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

// Whole processors that a container's CPU quota amounts to; a large number when there is none. Spinning threads beyond
// the quota would only be stopped together.
int quota_cores() {
  std::ifstream in("/sys/fs/cgroup/cpu.max");
  double quota = 0, period = 0;
  if (!(in >> quota >> period) || period <= 0) return 1 << 20;
  return std::max(1, static_cast<int>(quota / period + 0.5));
}

}  // namespace

uint32_t machine_isa() {
  static const uint32_t isa = read_isa();
  return isa;
}

const Fingerprint &machine_fingerprint() {
  static const Fingerprint fingerprint = [] {
    Fingerprint f;
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
    f.isa = machine_isa();
    f.generator = "bittern " BITTERN_VERSION;
    return f;
  }();
  return fingerprint;
}

std::string Fingerprint::id() const {
  const std::string text = vendor + '\n' + std::to_string(family) + '\n' + std::to_string(model) + '\n' +
                           std::to_string(stepping) + '\n' + std::to_string(isa) + '\n' + generator;
  unsigned char hash[crypto_hash_sha256_BYTES];
  crypto_hash_sha256(hash, reinterpret_cast<const unsigned char *>(text.data()), text.size());
  char hex[17];
  sodium_bin2hex(hex, sizeof hex, hash, 8);
  return hex;
}

int machine_cores() { return std::min<int>(static_cast<int>(usable_cpus().size()), quota_cores()); }

int machine_physical_cores() {
  std::set<std::pair<std::string, std::string>> cores;
  for (int cpu : usable_cpus()) {
    const std::string folder = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    std::string core = read_line(folder + "core_id");
    if (core.empty()) core = "cpu" + std::to_string(cpu);
    cores.emplace(read_line(folder + "physical_package_id"), core);
  }
  return std::min<int>(static_cast<int>(cores.size()), quota_cores());
}

int64_t last_level_cache_bytes() {
  int64_t best = 0;
  for (int index = 0; index < 8; ++index) {
    const std::string folder = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/";
    const std::string type = read_line(folder + "type"), size = read_line(folder + "size");
    if (type.empty() || type == "Instruction" || size.empty()) continue;
    char *end = nullptr;
    int64_t bytes = std::strtoll(size.c_str(), &end, 10);
    if (*end == 'K') bytes <<= 10;
    if (*end == 'M') bytes <<= 20;
    best = std::max(best, bytes);
  }
  return best > 0 ? best : int64_t{32} << 20;
}

std::string cache_folder() {
  const auto variable = [](const char *name) {
    const char *value = std::getenv(name);
    return std::string(value ? value : "");
  };
  if (std::string own = variable("BITTERN_CACHE"); !own.empty()) return own;
  if (std::string xdg = variable("XDG_CACHE_HOME"); !xdg.empty()) return xdg + "/bittern";
  if (std::string home = variable("HOME"); !home.empty()) return home + "/.cache/bittern";
  return ".cache/bittern";
}

}  // namespace bittern::runtime
