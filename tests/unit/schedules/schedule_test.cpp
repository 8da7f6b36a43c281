// Schedules as text, targets, and weight layouts.
#include "schedules/schedule.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "compiler/error.h"
#include "runtime/abi/kernel_abi.h"
#include "runtime/machine/machine.h"
#include "schedules/layout.h"
#include "schedules/target.h"

using namespace bittern;
using schedules::Layout;
using schedules::parse_schedule;
using schedules::print_schedule;
using schedules::Schedule;

namespace {

// The names of a table's rows, as errors list them.
template <typename Row>
std::string names(const std::vector<Row> &table) {
  std::string all;
  for (const Row &row : table) all += (all.empty() ? "" : ", ") + row.name;
  return all;
}

}  // namespace

TEST_CASE("printing and parsing a schedule are inverse") {
  const Schedule schedule{"llvm", "gemv", {{"rows", 4}, {"prefetch", 2048}, {"offset", -3}}, "i2r4"};
  CHECK(print_schedule(schedule) == "llvm.gemv{layout=i2r4,offset=-3,prefetch=2048,rows=4}");
  CHECK(parse_schedule(print_schedule(schedule)) == schedule);
  const Schedule plain{"llvm", "loops", {}, ""};
  CHECK(print_schedule(plain) == "llvm.loops{}");
  CHECK(parse_schedule("llvm.loops{}") == plain);
  CHECK(schedule.get("rows", 1) == 4);
  CHECK(schedule.get("absent", 7) == 7);
}

TEST_CASE("bad schedule text is refused with the column") {
  const struct {
    const char *text, *message;
  } rows[] = {
      {"", "schedule \"\", column 1: expected a backend's name"},
      {"llvm", "schedule \"llvm\", column 5: expected '.'"},
      {"llvm.gemv", "schedule \"llvm.gemv\", column 10: expected '{'"},
      {"llvm.gemv{rows}", "schedule \"llvm.gemv{rows}\", column 15: expected '='"},
      {"llvm.gemv{rows=x}", "schedule \"llvm.gemv{rows=x}\", column 16: expected a 64-bit integer"},
      {"llvm.gemv{rows=99999999999999999999}",
       "schedule \"llvm.gemv{rows=99999999999999999999}\", column 16: expected a 64-bit integer"},
      {"llvm.gemv{a=1,a=2}", "schedule \"llvm.gemv{a=1,a=2}\", column 18: parameter a is given twice"},
      {"llvm.gemv{a=1,layout=i2r4}", "schedule \"llvm.gemv{a=1,layout=i2r4}\", column 22: layout comes first"},
      {"llvm.gemv{a=1}x", "schedule \"llvm.gemv{a=1}x\", column 15: text after the closing brace"},
      {"llvm.gemv{a=1", "schedule \"llvm.gemv{a=1\", column 14: expected ','"},
  };
  for (const auto &row : rows) CHECK_THROWS_WITH_AS(parse_schedule(row.text), row.message, Error);
}

TEST_CASE("targets are found by name, and the host's is one that it can run") {
  CHECK(schedules::find_target("x86-64").isa_needs == BT_ISA_BASELINE);
  CHECK((schedules::find_target("x86-64-avx2").isa_needs & BT_ISA_AVX2) != 0);
  CHECK_THROWS_WITH_AS(schedules::find_target("vax"),
                       doctest::String(("unknown target \"vax\"; known: " + names(schedules::targets())).c_str()),
                       Error);
  const schedules::Target &host = schedules::host_target(runtime::machine_isa());
  CHECK(&schedules::find_target(host.name) == &host);
  // The table's rows widen: whatever the host can run of the rows after its own, it would have taken.
  const schedules::Target *widest = nullptr;
  for (const schedules::Target &target : schedules::targets())
    if (target.architecture == host.architecture) widest = &target;
  CHECK((&host == widest) == ((widest->isa_needs & ~runtime::machine_isa()) == 0));
}

TEST_CASE("unpacking gives back what was packed, for odd shapes, whole and in parts") {
  std::mt19937 random(3);
  for (const Layout &layout : schedules::layouts()) {
    for (const auto &[n, k] : {std::pair<int64_t, int64_t>{1, 1}, {3, 127}, {8, 128}, {17, 129}, {33, 260}, {70, 16}}) {
      CAPTURE(layout.name);
      CAPTURE(n);
      CAPTURE(k);
      const int64_t stride = k + 5;
      std::vector<int8_t> trits(static_cast<size_t>(n * stride));
      for (int8_t &trit : trits) trit = static_cast<int8_t>(static_cast<int>(random() % 3) - 1);
      const size_t bytes = static_cast<size_t>(layout.packed_bytes(n, k));
      std::vector<uint8_t> whole(bytes, 0xFF), parts(bytes, 0xFF);
      layout.pack(trits.data(), stride, 0, n, n, k, whole.data());
      for (int64_t row = 0; row < n; row += layout.row_tile)
        layout.pack(trits.data() + row * stride, stride, row, std::min(layout.row_tile, n - row), n, k, parts.data());
      CHECK(whole == parts);
      // Padding is trit 0: the packed matrix is that of the padded one.
      const int64_t padded_n = (n + layout.row_tile - 1) / layout.row_tile * layout.row_tile;
      const int64_t padded_k = (k + layout.k_tile - 1) / layout.k_tile * layout.k_tile;
      REQUIRE(layout.packed_bytes(padded_n, padded_k) == static_cast<int64_t>(bytes));
      std::vector<int8_t> all(static_cast<size_t>(padded_n * padded_k), 9);
      layout.unpack(whole.data(), 0, padded_n, padded_n, padded_k, all.data(), padded_k);
      bool zeros = true;
      for (int64_t row = 0; row < padded_n; ++row)
        for (int64_t c = row < n ? k : 0; c < padded_k; ++c)
          zeros = zeros && all[static_cast<size_t>(row * padded_k + c)] == 0;
      CHECK(zeros);
      std::vector<int8_t> back(trits.size(), 9);
      layout.unpack(whole.data(), 0, n, n, k, back.data(), stride);
      for (int64_t row = 0; row < n; ++row)
        CHECK(std::equal(trits.begin() + row * stride, trits.begin() + row * stride + k, back.begin() + row * stride));
    }
  }
}

TEST_CASE("where the layouts put a trit") {
  // i2r2: unit of 128 k of a row, rows alternate; k = 32 q + j is field q of byte j.
  std::vector<int8_t> trits(2 * 128, -1);
  trits[1 * 128 + 70] = 1;
  std::vector<uint8_t> packed(64);
  schedules::find_layout("i2r2").pack(trits.data(), 128, 0, 2, 2, 128, packed.data());
  CHECK(packed[32 + 6] == 2 << 4);
  CHECK(std::count(packed.begin(), packed.end(), 0) == 63);
  // i2q16: unit of 16 k of 8 rows; row i, k = 4 q + b is field q of byte 4 i + b.
  trits.assign(16 * 16, -1);
  trits[11 * 16 + 13] = 1;
  schedules::find_layout("i2q16").pack(trits.data(), 16, 0, 16, 16, 16, packed.data());
  CHECK(packed[32 + 4 * 3 + 1] == 2 << 6);
  CHECK(std::count(packed.begin(), packed.end(), 0) == 63);
  CHECK_THROWS_WITH_AS(schedules::find_layout("i3"),
                       doctest::String(("unknown weight layout \"i3\"; known: " + names(schedules::layouts())).c_str()),
                       Error);
}

TEST_CASE("where the layouts of several trits a code put them") {
  const auto one_row = [](const char *layout, int64_t rows, int64_t k, int64_t row, std::vector<int8_t> trits) {
    std::vector<int8_t> all(static_cast<size_t>(rows * k), 0);
    std::copy(trits.begin(), trits.end(), all.begin() + row * k);
    const Layout &found = schedules::find_layout(layout);
    std::vector<uint8_t> packed(static_cast<size_t>(found.packed_bytes(rows, k)));
    found.pack(all.data(), k, 0, rows, rows, k, packed.data());
    return packed;
  };
  constexpr int64_t zeros5 = 85 + 29 + 9 + 3 + 1, zeros10 = (59048 / 2 * 65536 + 59048) / 59049;
  // t5: five rows a byte, the first row's digit weighing most; row 7 is the third of the second five.
  std::vector<uint8_t> packed = one_row("t5r20", 20, 32, 7, {0, 1, -1});
  CHECK(packed[32 + 0] == zeros5);
  CHECK(packed[32 + 1] == zeros5 + 9);
  CHECK(packed[32 + 2] == zeros5 - 9);
  CHECK(packed[1] == zeros5);
  // u16x10: ten rows a word; k = 8 lies in the second vector, k = 16 behind k = 7.
  packed = one_row("u16x10r10", 10, 32, 9, {0, 1});
  CHECK(packed[0] + 256 * packed[1] == zeros10);
  CHECK(packed[2] + 256 * packed[3] == ((59048 / 2 + 1) * int64_t{65536} + 59048) / 59049);
  packed = one_row("u16x10r10", 10, 32, 9, {0, 0, 0, 0, 0, 0, 0, 0, 1});
  CHECK(packed[32] + 256 * packed[33] == ((59048 / 2 + 1) * int64_t{65536} + 59048) / 59049);
  // tl1: two pairs of a row a byte, index 3 c0 + c1.
  packed = one_row("tl1r64", 64, 4, 5, {1, 0, -1, 1});
  CHECK(packed[5] == (3 * 2 + 1) + 16 * (3 * 0 + 2));
  CHECK(packed[6] == 4 + 16 * 4);
  // tl2: triples, distance from the zeros' code 13 and, behind the unit's 128 bytes, its sign.
  packed = one_row("tl2r64", 64, 24, 3, {1, 0, 0, -1, 1, 1, 0, -1, 0});
  CHECK(packed[3] == 9 + 16 * 5);
  CHECK(packed[32 + 3] == 3);
  CHECK(packed[128 + 3] == (1 << 1) + (1 << 2));
  CHECK(packed[128 + 4] == 0);
  CHECK(schedules::find_layout("t5r20").bits_per_weight() == doctest::Approx(1.6));
  CHECK(schedules::find_layout("u16x10r10").bits_per_weight() == doctest::Approx(1.6));
  CHECK(schedules::find_layout("tl2r64").bits_per_weight() == doctest::Approx(5.0 / 3));
  CHECK(schedules::find_layout("tl1r64").bits_per_weight() == doctest::Approx(2));
}
