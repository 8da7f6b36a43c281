// The one way from a schedule to a proved kernel: compile, link, prove, each in a worker process. The tuner, its
// companions, packs, the kernels that programs carry and emitted libraries all come this way, farm.h's, with a runner
// or without.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "tuning_db/making/order.h"
#include "tuning_db/workers/runner.h"
#include "tuning_db/workers/worker.h"

namespace bittern::tuning {

struct MakeLimits {
  double compile_seconds = 60, proof_seconds = 300;
  int64_t call_ms = 20000;  // one proof step's generated code
};

// Where a kernel is made. One order at a time.
struct WorkerSlot {
  std::unique_ptr<Worker> worker;
  std::unique_ptr<Runner> runner;  // proves; null: the worker does
};

class KernelMaker {
 public:
  // `folder` holds objects, libraries and reference outputs, and is private.
  KernelMaker(std::string folder, MakeLimits limits) : folder_(std::move(folder)), limits_(limits) {}

  // (text, schedule, target, sizes) to a proved kernel or a rejection. Throws Interrupted, OutOfTime and RunnerFailure
  // only.
  Made make(WorkerSlot &slot, const Order &order) const;

  // The same in two steps, for kernels that are linked with others in between: code, and proof through row `row` of
  // `library`, a shared object or a pack's manifest.
  Made compile(WorkerSlot &slot, const Order &order) const;
  void prove(WorkerSlot &slot, const Order &order, Made &made, const std::string &library, size_t row) const;

 private:
  void attempt(const Order &order, Made &made, const std::function<void()> &step) const;
  KernelCode compiled(WorkerSlot &slot, const Order &order) const;
  std::string linked(WorkerSlot &slot, const Order &order, KernelCode &code) const;
  Proof proved(WorkerSlot &slot, const Order &order, const Made &made) const;

  std::string folder_;
  MakeLimits limits_;
};

}  // namespace bittern::tuning
