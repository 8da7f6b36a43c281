// Makes kernels several at a time, on as many workers. Used only while nothing is being timed.
#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "tuning_db/making/make_kernel.h"

namespace bittern::tuning {

class Farm {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr auto kNoDeadline = Clock::time_point::max();

  // With a `runner`, a command for Runner, kernels are compiled and linked here and proved there.
  Farm(const WorkerCommand &command, int workers, std::string folder, MakeLimits limits,
       const std::atomic<bool> *cancel, const std::string &runner = "");

  // Called on the thread that called make(), once an order, as they end.
  using Finished = std::function<void(size_t order, Made &made)>;

  // Makes each order by itself until all are done or `deadline` has passed; what is under way then is given up. Throws
  // Interrupted and RunnerFailure.
  std::vector<Made> make(const std::vector<Order> &orders, Clock::time_point deadline = kNoDeadline,
                         const Finished &finished = {});

  // Where kernels that are linked together lie: a shared object or a pack's manifest, and each order's row in it.
  struct Linked {
    std::string library;
    std::vector<size_t> rows;
  };
  using Link = std::function<Linked(const std::vector<Made> &compiled)>;

  // Compiles the orders, links them as `link` does, and proves each through what came of that: what is proved is what
  // is shipped. When one does not compile, nothing is linked. `finished` is called for proofs.
  std::vector<Made> make_together(const std::vector<Order> &orders, const Link &link, const Finished &finished = {});

 private:
  void each(size_t count, size_t workers, Clock::time_point deadline,
            const std::function<void(WorkerSlot &, size_t)> &work, const std::function<void(size_t)> &finished);

  std::vector<WorkerSlot> slots_;
  KernelMaker maker_;
};

}  // namespace bittern::tuning
