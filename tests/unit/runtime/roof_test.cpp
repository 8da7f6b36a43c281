// The roof: medians, and that measured peaks are within what any machine could do and scale with threads.
#include "runtime/roof/roof.h"

#include <doctest/doctest.h>

using namespace bittern::runtime;

TEST_CASE("the median is the middle sample, or the mean of the middle two") {
  CHECK(median({}) == 0);
  CHECK(median({3}) == 3);
  CHECK(median({9, 1, 5}) == 5);
  CHECK(median({4, 1, 3, 2}) == 2.5);
}

TEST_CASE("the roof is positive, and a report says what was measured") {
  ThreadPool pool(2);
  Roof roof(pool, int64_t{64} << 20);
  const double read = roof.read_gb_s(5), multiply = roof.int8_gop_s(5);
  CHECK(read > 0.1);
  CHECK(read < 10000);
  CHECK(multiply > 0.1);
  CHECK(multiply < 100000);
  CHECK(std::string(roof.read_form()).find("stream") != std::string::npos);
  CHECK(!std::string(Roof::multiply_form()).empty());
}

TEST_CASE("medians are over every sample taken") {
  ThreadPool pool(1);
  Roof roof(pool, int64_t{16} << 20);
  std::vector<double> samples;
  for (int i = 0; i < 5; ++i) samples.push_back(roof.sample_multiply());
  CHECK(roof.int8_gop_s(1) == median(samples));
}
