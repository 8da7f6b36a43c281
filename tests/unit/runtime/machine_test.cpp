// What the machine says of itself must be consistent, and the cache folder must follow its documented order.
#include "runtime/machine/machine.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>

#include "runtime/abi/kernel_abi.h"
#include "runtime/error.h"
#include "runtime/memory/huge_buffer.h"

using namespace bittern::runtime;

namespace {

// What Linux says of the processor, in one line of /proc/cpuinfo: "flags" on x86-64, "Features" on AArch64.
std::set<std::string> processor_words() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("flags") && !line.starts_with("Features")) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    return {std::istream_iterator<std::string>(words), {}};
  }
  return {};
}

}  // namespace

// Every bit, on every architecture: the other's words are not there, and so its bits must not be.
TEST_CASE("an instruction set is there when all the processor's words for it are, and those that it builds on") {
  struct Row {
    uint32_t bit, needs;
    const char *words;
  };
  const Row rows[] = {{BT_ISA_SSE41, 0, "ssse3 sse4_1"},
                      {BT_ISA_AVX2, BT_ISA_SSE41, "avx2 fma sse4_2 movbe popcnt avx f16c bmi1 bmi2 abm"},
                      {BT_ISA_AVXVNNI, BT_ISA_AVX2, "avx_vnni"},
                      {BT_ISA_AVX512, BT_ISA_AVX2, "avx512f avx512dq avx512cd avx512bw avx512vl"},
                      {BT_ISA_AVX512VNNI, BT_ISA_AVX512, "avx512_vnni"},
                      {BT_ISA_AVX512VBMI, BT_ISA_AVX512, "avx512vbmi"},
                      {BT_ISA_NEON, 0, "asimd"},
                      {BT_ISA_DOTPROD, BT_ISA_NEON, "asimddp"},
                      {BT_ISA_I8MM, BT_ISA_NEON, "i8mm"},
                      {BT_ISA_SVE2, BT_ISA_NEON, "sve2"}};
  const uint32_t isa = machine_isa();
  const std::set<std::string> there = processor_words();
  REQUIRE(!there.empty());
  uint32_t known = 0;
  for (const Row &row : rows) {
    CAPTURE(row.words);
    known |= row.bit;
    std::istringstream words(row.words);
    bool all = true;
    for (std::string word; words >> word;) all = all && there.count(word) != 0;
    CHECK(((isa & row.bit) != 0) == all);
    CHECK(((isa & row.bit) == 0 || (isa & row.needs) == row.needs));
  }
  CHECK((isa & ~known) == 0);
}

TEST_CASE("BITTERN_ISA hides what lies above a level, and never adds") {
  constexpr uint32_t kAll = BT_ISA_SSE41 | BT_ISA_AVX2 | BT_ISA_AVXVNNI | BT_ISA_AVX512 | BT_ISA_AVX512VNNI;
  CHECK(limit_isa(kAll, "baseline") == BT_ISA_BASELINE);
  CHECK(limit_isa(kAll, "sse41") == BT_ISA_SSE41);
  CHECK(limit_isa(kAll, "avx2") == (BT_ISA_SSE41 | BT_ISA_AVX2));
  CHECK(limit_isa(kAll, "avx512") == (BT_ISA_SSE41 | BT_ISA_AVX2 | BT_ISA_AVX512));
  CHECK(limit_isa(BT_ISA_SSE41, "avx512vnni") == BT_ISA_SSE41);
  CHECK(limit_isa(BT_ISA_NEON | BT_ISA_SVE2, "dotprod") == BT_ISA_NEON);
  CHECK_THROWS_WITH(
      limit_isa(kAll, "AVX2"),
      "BITTERN_ISA='AVX2' is no instruction set; known: baseline, sse41, avx2, avxvnni, avx512, avx512vnni, "
      "avx512vbmi, neon, dotprod, i8mm, sve2");
}

TEST_CASE("the fingerprint's id depends on everything but the brand") {
  const Fingerprint here = machine_fingerprint();
  CHECK(here.id().size() == 16);
  CHECK(here.id().find_first_not_of("0123456789abcdef") == std::string::npos);
  Fingerprint other = here;
  other.brand += "x";
  CHECK(other.id() == here.id());
  for (int field = 0; field < 6; ++field) {
    other = here;
    if (field == 0) other.vendor += "x";
    if (field == 1) ++other.family;
    if (field == 2) ++other.model;
    if (field == 3) ++other.stepping;
    if (field == 4) other.isa ^= BT_ISA_AVXVNNI;
    if (field == 5) other.generator += "x";
    CHECK(other.id() != here.id());
  }
}

TEST_CASE("cores and caches have sane values") {
  CHECK(machine_cores() >= 1);
  CHECK(machine_physical_cores() >= 1);
  CHECK(machine_physical_cores() <= machine_cores());
  CHECK(last_level_cache_bytes() >= 1 << 18);
}

TEST_CASE("the cache folder follows BITTERN_CACHE, then XDG_CACHE_HOME, then HOME") {
  setenv("HOME", "/home/x", 1);
  setenv("XDG_CACHE_HOME", "/xdg", 1);
  setenv("BITTERN_CACHE", "/own", 1);
  CHECK(cache_folder() == "/own");
  unsetenv("BITTERN_CACHE");
  CHECK(cache_folder() == "/xdg/bittern");
  unsetenv("XDG_CACHE_HOME");
  CHECK(cache_folder() == "/home/x/.cache/bittern");
  CHECK(needed_cache_folder() == cache_folder());
  unsetenv("HOME");
  CHECK(cache_folder().empty());
  CHECK_THROWS_WITH_AS(needed_cache_folder(), doctest::Contains("nor HOME is set"), Error);
}

TEST_CASE("huge buffers are zero, aligned and movable") {
  HugeBuffer a(5 << 20, "test");
  CHECK(reinterpret_cast<uintptr_t>(a.data()) % (2 << 20) == 0);
  CHECK(a.data()[(5 << 20) - 1] == 0);
  a.data()[0] = 7;
  HugeBuffer b(std::move(a));
  CHECK(b.data()[0] == 7);
  CHECK(b.size() == 5 << 20);
  HugeBuffer small(100, "test");
  CHECK(small.size() == 100);
  CHECK_THROWS(HugeBuffer(int64_t{1} << 60, "test"));
}
