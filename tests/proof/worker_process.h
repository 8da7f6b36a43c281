// Lets a test program be its own worker: it starts itself with a filter for the test case "worker", which serves
// requests and never returns.
#pragma once
#include <doctest/doctest.h>

#include <cstdlib>

#include "tuning_db/making/worker_main.h"
#include "tuning_db/workers/worker.h"

inline bittern::tuning::WorkerCommand test_worker() {
  return {"/proc/self/exe", {"test", "--test-case=worker", "--no-skip"}};
}

TEST_CASE("worker" * doctest::skip()) { std::_Exit(bittern::tuning::worker_main()); }
