// The roof: medians, and that the measured peaks are peaks: no plain loop is faster, no processor could do more, and
// the work of all threads is counted. Best of many short samples, taken alternately, since a neighbour may slow any of
// them.
#include "runtime/roof/roof.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstring>

using namespace bittern::runtime;

namespace {

constexpr int64_t kBuffer = int64_t{64} << 20;
constexpr int kRounds = 60;
volatile uint64_t sink;

template <typename Work>
double seconds(const Work &work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// GB/s of the plainest loop over memory.
double read_plainly(const std::vector<uint64_t> &words) {
  const double took = seconds([&] {
    uint64_t sum = 0;
    for (const uint64_t word : words) sum += word;
    sink = sum;
  });
  return static_cast<double>(words.size() * sizeof(uint64_t)) / took / 1e9;
}

// GOP/s of eight sums of products that the compiler may do as it likes.
double multiply_plainly() {
  constexpr int64_t kTurns = 200000, kLanes = 8;
  const double took = seconds([&] {
    uint64_t sums[kLanes] = {}, factor = sink | 3;
    for (int64_t i = 0; i < kTurns; ++i)
      for (uint64_t &sum : sums) sum = sum * factor + static_cast<uint64_t>(i);
    for (const uint64_t sum : sums) sink = sum;
  });
  return 2.0 * kTurns * kLanes / took / 1e9;
}

}  // namespace

TEST_CASE("the median is the middle sample, or the mean of the middle two") {
  CHECK(median({}) == 0);
  CHECK(median({3}) == 3);
  CHECK(median({9, 1, 5}) == 5);
  CHECK(median({4, 1, 3, 2}) == 2.5);
}

TEST_CASE("one thread's roof: no plain loop is faster, and no processor could do more") {
  ThreadPool pool(1);
  Roof roof(pool, kBuffer);
  const std::vector<uint64_t> words(kBuffer / sizeof(uint64_t), 1);
  double read = 0, multiply = 0, plain_read = 0, plain_multiply = 0;
  for (int i = 0; i < kRounds; ++i) {
    read = std::max(read, roof.sample_read());
    plain_read = std::max(plain_read, read_plainly(words));
    multiply = std::max(multiply, roof.sample_multiply());
    plain_multiply = std::max(plain_multiply, multiply_plainly());
  }
  CHECK(read > 0.8 * plain_read);
  CHECK(multiply > plain_multiply);
  CHECK(read < 400);       // two 32-byte loads a cycle at 6 GHz
  CHECK(multiply < 3100);  // two of the widest multiply-adds a cycle: 4 * 64 operations, at 6 GHz; twice that for luck
  CHECK(std::string(roof.read_form()).find("stream") != std::string::npos);
  CHECK(!std::string(Roof::multiply_form()).empty());
}

// By what is counted, not by how long it takes: on a busy machine two threads may be no faster than one.
TEST_CASE("two threads' figure counts the work of both") {
  ThreadPool one(1), two(2);
  Roof alone(one, kBuffer), both(two, kBuffer);
  const auto operations = [](Roof &roof) {
    double figure = 0;
    const double took = seconds([&] { figure = roof.sample_multiply(); });
    return figure * took;  // GOP
  };
  std::vector<double> ratios;
  for (int i = 0; i < kRounds; ++i) {
    const double single = operations(alone);
    ratios.push_back(operations(both) / single);
  }
  CHECK(median(ratios) == doctest::Approx(2).epsilon(0.1));
}

TEST_CASE("medians are over every sample taken") {
  ThreadPool pool(1);
  Roof roof(pool, int64_t{16} << 20);
  std::vector<double> samples;
  for (int i = 0; i < 5; ++i) samples.push_back(roof.sample_multiply());
  CHECK(roof.int8_gop_s(1) == median(samples));
}
