// The built-in pack: kernels for every machine of the family, made from the shipped schedules with all sizes left free,
// proved where this machine can run them, and written as object files that programs link. The pack that a tuner writes
// comes from the same generator.
#pragma once
#include <functional>
#include <string>

#include "tuning_db/workers/worker.h"

namespace bittern::tuning {

struct DefaultPackReport {
  int kernels = 0, not_executed = 0;  // of these the machine lacks instructions: proved by their meanings
  double compile_seconds = 0, proof_seconds = 0;
};

struct DefaultPackRequest {
  std::string folder;
  std::string architecture;  // empty: this machine's
  std::string runner;        // a command for Runner that proves them; empty: this machine does
  WorkerCommand worker;      // with a runner, what computes reference outputs
};

// Compiles and proves the defaults of every built-in kernel for every target of an architecture that ships, and writes
// the objects and `objects.txt`, their paths, into the folder. Together they define the symbol bt_default_pack and no
// other global that a program could meet. Uses one thread or process a core. Throws Error when a schedule does not
// compile, when a kernel is wrong, crashes or hangs, when the defaults leave a layout or a batch size without a kernel,
// or RunnerFailure.
DefaultPackReport write_default_pack(const DefaultPackRequest &request,
                                     const std::function<void(const std::string &)> &say);

}  // namespace bittern::tuning
