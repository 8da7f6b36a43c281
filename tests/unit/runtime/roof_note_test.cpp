// Shares above the roof are explained or called into question, and a roof that moved is told.
#include "runtime/roof/roof_note.h"

#include <doctest/doctest.h>

using namespace bittern::runtime;

namespace {

bool contains(const std::string &text, const char *part) { return text.find(part) != std::string::npos; }

const std::vector<double> kSteady(9, 20.0);

}  // namespace

TEST_CASE("what a steady roof allows needs no note") {
  CHECK(roof_note({95, 2, 4e6, 1e8, kSteady, 0}) == "");
  CHECK(roof_note({110, 2, 4e6, 1e8, kSteady, 0.2}) == "");
  CHECK(roof_note({0, 2, 0, 0, {}, 0}) == "");
}

TEST_CASE("no share above 110 is without a reason") {
  for (const double percent : {110.5, 125.0, 939.0, 3708.0})
    for (const double bits : {1.6, 2.0})
      for (const double bytes : {0.0, 4e6, 4e9})
        for (const auto &samples : {kSteady, std::vector<double>{10, 20, 30, 20, 20, 20, 20}, std::vector<double>{}})
          CHECK(contains(roof_note({percent, bits, bytes, 1e8, samples, 0}), "above the roof"));
  CHECK(contains(roof_note({120, 1.6, 4e9, 1e8, kSteady, 0}), "1.60 stored"));
  CHECK(contains(roof_note({939, 1.6, 4e9, 1e8, kSteady, 0}), "reads less than is counted"));
  CHECK(contains(roof_note({939, 2, 4e6, 1e8, kSteady, 0}), "4 MB fit the caches"));
  CHECK(contains(roof_note({939, 2, 4e9, 1e8, {5, 20, 21, 20, 22, 6, 20}, 0}), "measured too low"));
  CHECK(contains(roof_note({939, 2, 4e6, 1e8, {5, 20, 21, 20, 22, 6, 20}, 0}), "measured too low"));
}

TEST_CASE("samples of the roof that disagree are told, a single one that is off is not") {
  CHECK(contains(roof_note({90, 2, 4e9, 1e8, {12, 30, 22, 28, 13}, 0}), "from 12 to 30"));
  std::vector<double> one_off(20, 20.0);
  one_off[7] = 3;
  CHECK(roof_note({90, 2, 4e9, 1e8, one_off, 0}) == "");
  CHECK(contains(roof_note({90, 2, 4e9, 1e8, kSteady, 0.8}), "busy during 80 %"));
  CHECK(spread({}).low == 0);
  CHECK_FALSE(spread({}).disagrees());
}
