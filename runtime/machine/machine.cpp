// What is the same on every architecture: the fingerprint, cores, caches, folders. The processor itself is read by
// processor_<architecture>.cpp.
#include "runtime/machine/machine.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "runtime/abi/kernel_abi.h"
#include "runtime/error.h"
#include "runtime/io/sha256.h"
#include "runtime/isa/isa.h"
#include "runtime/machine/processor.h"

namespace bittern::runtime {
namespace {

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
  return std::max(1, static_cast<int>(std::lround(quota / period)));
}

}  // namespace

uint32_t limit_isa(uint32_t isa, const std::string &level) {
  struct Level {
    const char *name;
    uint32_t bits;
  };
  constexpr uint32_t kAvx2 = BT_ISA_SSE41 | BT_ISA_AVX2, kAvx512 = kAvx2 | BT_ISA_AVX512;
  static constexpr Level kLevels[] = {
      {"baseline", BT_ISA_BASELINE},
      {"sse41", BT_ISA_SSE41},
      {"avx2", kAvx2},
      {"avxvnni", kAvx2 | BT_ISA_AVXVNNI},
      {"avx512", kAvx512},
      {"avx512vnni", kAvx512 | BT_ISA_AVX512VNNI},
      {"avx512vbmi", kAvx512 | BT_ISA_AVX512VNNI | BT_ISA_AVX512VBMI},
      {"neon", BT_ISA_NEON},
      {"dotprod", BT_ISA_NEON | BT_ISA_DOTPROD},
      {"i8mm", BT_ISA_NEON | BT_ISA_DOTPROD | BT_ISA_I8MM},
      {"sve2", BT_ISA_NEON | BT_ISA_DOTPROD | BT_ISA_I8MM | BT_ISA_SVE2},
  };
  std::string known;
  for (const Level &row : kLevels) {
    if (level == row.name) return isa & row.bits;
    known += std::string(known.empty() ? "" : ", ") + row.name;
  }
  throw Error("BITTERN_ISA='" + level + "' is no instruction set; known: " + known);
}

uint32_t machine_isa() {
  static const uint32_t isa = [] {
    const char *level = std::getenv("BITTERN_ISA");
    return level == nullptr || *level == '\0' ? bt_processor_isa() : limit_isa(bt_processor_isa(), level);
  }();
  return isa;
}

const Fingerprint &machine_fingerprint() {
  static const Fingerprint fingerprint = [] {
    Fingerprint f;
    read_identity(f);
    // What is emulated is another machine than the one it looks like: nothing learnt on it holds there.
    if (machine_is_emulated()) f.vendor += " (emulated)";
    f.isa = machine_isa();
    f.generator = "bittern " BITTERN_VERSION;
    return f;
  }();
  return fingerprint;
}

std::string Fingerprint::id() const {
  const std::string text = vendor + '\n' + std::to_string(family) + '\n' + std::to_string(model) + '\n' +
                           std::to_string(stepping) + '\n' + std::to_string(isa) + '\n' + generator;
  return sha256_hex(text).substr(0, 16);
}

int machine_cores() { return std::min<int>(static_cast<int>(usable_cpus().size()), quota_cores()); }

int64_t machine_free_memory() {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("MemAvailable:", 0) == 0) return std::stoll(line.substr(13)) << 10;
  return int64_t{1} << 62;  // not said: whatever is asked for
}

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
  return {};
}

std::string needed_cache_folder() {
  std::string folder = cache_folder();
  if (folder.empty()) throw Error("there is no cache folder: neither BITTERN_CACHE nor XDG_CACHE_HOME nor HOME is set");
  return folder;
}

}  // namespace bittern::runtime
