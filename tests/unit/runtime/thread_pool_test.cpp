// The pool's promises: every task once, the same partition every time, exceptions come back, sleeping threads wake, and
// more threads than cores still finish in reasonable time. Also run under ThreadSanitizer.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "runtime/abi/float_control.h"
#include "runtime/error.h"
#include "runtime/threads/pool.h"

using namespace bittern::runtime;

TEST_CASE("every task runs exactly once, in contiguous pieces") {
  for (int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    for (int64_t tasks : {0, 1, 2, 5, 64, 1000}) {
      for (int repeat = 0; repeat < 3; ++repeat) {
        std::vector<int> who(static_cast<size_t>(tasks), -1);
        pool.parallel(tasks, [&](int64_t index, int thread) {
          CHECK(who[static_cast<size_t>(index)] == -1);
          who[static_cast<size_t>(index)] = thread;
        });
        for (int thread : who) {
          CHECK(thread >= 0);
          CHECK(thread < threads);
        }
      }
      std::atomic<int64_t> covered{0}, calls{0};
      pool.ranges(tasks, [&](int64_t begin, int64_t end, int) {
        CHECK(begin < end);
        covered += end - begin;
        ++calls;
      });
      CHECK(covered == tasks);
      // Pieces halve down to a 32nd of a share: a handful of calls each, and at least one for every share.
      CHECK(calls >= std::min<int64_t>(tasks, threads));
      CHECK(calls <= (threads == 1 ? 1 : 32 * threads * threads));
    }
  }
}

TEST_CASE("a thread that is held up keeps only what it has begun") {
  ThreadPool pool(2);
  for (int repeat = 0; repeat < 20; ++repeat) {
    std::vector<int> who(1000, -1);
    std::atomic<bool> others_done{false};
    std::atomic<int64_t> left{1000};
    pool.ranges(1000, [&](int64_t begin, int64_t end, int thread) {
      for (int64_t i = begin; i < end; ++i) {
        CHECK(who[static_cast<size_t>(i)] == -1);
        who[static_cast<size_t>(i)] = thread;
      }
      left -= end - begin;
      // The first thread stays in its first piece until the other has done everything else.
      while (thread == 0 && begin == 0 && left > 0) std::this_thread::yield();
      others_done = others_done || thread == 1;
    });
    // Without a second thread awake there is nobody to take over: then the first could not have ended.
    CHECK(others_done);
    CHECK(std::count(who.begin(), who.end(), 0) == 250);
    CHECK(std::count(who.begin(), who.end(), 1) == 750);
  }
}

TEST_CASE("what is announced may be anything that is mapped, and changes no result") {
  ThreadPool pool(2);
  const std::vector<uint8_t> data(1 << 20, 1);
  for (int i = 0; i < 200; ++i) {
    const ThreadPool::Announced array{i % 3 ? data.data() : nullptr,
                                      i % 3 ? static_cast<int64_t>(data.size()) >> (i % 20) : 0};
    // More than are kept, too.
    pool.announce(std::vector<ThreadPool::Announced>(static_cast<size_t>(i % 40), array));
    std::atomic<int64_t> sum{0};
    pool.ranges(100, [&](int64_t begin, int64_t end, int) { sum += end - begin; });
    CHECK(sum == 100);
  }
}

TEST_CASE("run() reaches every thread, ranges() does not wait for one that has not begun") {
  ThreadPool pool(4);
  for (int repeat = 0; repeat < 50; ++repeat) {
    std::vector<std::thread::id> ids(4);
    pool.run([&](int thread) { ids[static_cast<size_t>(thread)] = std::this_thread::get_id(); });
    CHECK(std::set<std::thread::id>(ids.begin(), ids.end()).size() == 4);
    CHECK(ids[0] == std::this_thread::get_id());
  }
  // Threads that sleep wake too late for a job this short; whoever runs a share says so truthfully.
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  std::vector<std::thread::id> by(4);
  std::vector<int> named(4);
  pool.parallel(4, [&](int64_t i, int thread) {
    by[static_cast<size_t>(i)] = std::this_thread::get_id();
    named[static_cast<size_t>(i)] = thread;
  });
  for (size_t i = 0; i < 4; ++i) CHECK((by[i] == std::this_thread::get_id()) == (named[i] == 0));
}

TEST_CASE("ten thousand forks add up") {
  ThreadPool pool(2);
  std::vector<int64_t> sums(2 * 16);
  for (int i = 0; i < 10000; ++i) pool.run([&](int thread) { sums[static_cast<size_t>(thread) * 16] += i; });
  CHECK(sums[0] == 10000 * 9999 / 2);
  CHECK(sums[16] == sums[0]);
}

TEST_CASE("an exception reaches the caller and the pool still works") {
  ThreadPool pool(3);
  CHECK_THROWS_WITH_AS(pool.parallel(30,
                                     [](int64_t i, int) {
                                       if (i == 29) throw Error("task 29");
                                     }),
                       "task 29", Error);
  int64_t done = 0;
  pool.ranges(1, [&](int64_t, int64_t, int) { ++done; });
  CHECK(done == 1);
}

TEST_CASE("thread counts out of range are refused") {
  CHECK_THROWS_AS(ThreadPool(0), Error);
  CHECK_THROWS_AS(ThreadPool(-2), Error);
  CHECK_THROWS_AS(ThreadPool(100000), Error);
}

TEST_CASE("idle threads sleep and wake again") {
  ThreadPool pool(3);
  const auto cpu = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  };
  std::atomic<int> runs{0};
  pool.run([&](int) { ++runs; });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const double before = cpu();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  CHECK(cpu() - before < 0.05);
  pool.run([&](int) { ++runs; });
  CHECK(runs == 6);
  // A caller that waits long for a worker sleeps, too, and is woken.
  pool.run([&](int thread) {
    if (thread == 2) std::this_thread::sleep_for(std::chrono::milliseconds(30));
    ++runs;
  });
  CHECK(runs == 9);
}

TEST_CASE("more threads than cores do not stall") {
  ThreadPool pool(static_cast<int>(std::thread::hardware_concurrency()) * 2 + 1);
  const auto start = std::chrono::steady_clock::now();
  std::atomic<int64_t> total{0};
  for (int i = 0; i < 200; ++i) pool.run([&](int) { total.fetch_add(1, std::memory_order_relaxed); });
  CHECK(total == 200 * pool.threads());
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
}

TEST_CASE("pinning keeps results") {
  // In a thread of its own: pinning narrows the caller's affinity.
  std::thread([] {
    ThreadPool pool(2, true);
    std::atomic<int> runs{0};
    pool.run([&](int) { ++runs; });
    CHECK(runs == 2);
  }).join();
}

TEST_CASE("work has the defined floating-point control word, whatever the caller's") {
#if defined(__x86_64__)
  constexpr uint64_t kHostile = 0xdfc0;  // upwards, denormals flushed on both sides
#else
  constexpr uint64_t kHostile = 0x1400000;
#endif
  const uint64_t ordinary = bt_float_control();
  bt_set_float_control(kHostile);
  for (int threads : {1, 3}) {
    ThreadPool pool(threads);  // its threads begin with the caller's word
    std::atomic<int> wrong{0};
    const auto work = [&] {
      volatile float tiny = 1e-40f, third = 3.0f;
      if (tiny * 1.0f != 1e-40f || 1.0f / third != 0x1.555556p-2f) ++wrong;
      if ((bt_float_control() & ~uint64_t{BT_FLOAT_FLAGS}) != BT_FLOAT_DEFAULT) ++wrong;
    };
    pool.run([&](int) { work(); });
    pool.parallel(50, [&](int64_t, int) { work(); });
    CHECK_THROWS(pool.run([](int) { throw std::runtime_error("x"); }));
    CHECK(wrong == 0);
    CHECK((bt_float_control() & ~uint64_t{BT_FLOAT_FLAGS}) == kHostile);
  }
  bt_set_float_control(ordinary);
}
