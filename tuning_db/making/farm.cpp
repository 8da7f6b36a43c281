#include "tuning_db/making/farm.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "compiler/parser.h"
#include "tuning_db/proof/cost.h"

namespace bittern::tuning {
namespace {

// Beyond this two workers would want too much memory for their reference data.
constexpr double kLargeOperands = 128.0 * 1024 * 1024;

}  // namespace

Farm::Farm(const WorkerCommand &command, int workers, std::string folder, MakeLimits limits,
           const std::atomic<bool> *cancel, const std::string &runner)
    : maker_(std::move(folder), limits) {
  for (int i = 0; i < workers; ++i)
    slots_.push_back({std::make_unique<Worker>(command, cancel),
                      runner.empty() ? nullptr : std::make_unique<Runner>(runner, cancel)});
}

void Farm::each(size_t count, size_t workers, Clock::time_point deadline,
                const std::function<void(WorkerSlot &, size_t)> &work, const std::function<void(size_t)> &finished) {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<size_t> ended;
  size_t next = 0, running = std::min(workers, slots_.size());
  std::exception_ptr failure;
  std::vector<std::thread> threads;
  for (size_t w = 0; w < std::min(workers, slots_.size()); ++w)
    threads.emplace_back([&, w] {
      for (;;) {
        size_t job;
        {
          const std::lock_guard lock(mutex);
          if (failure || next >= count || Clock::now() > deadline) break;
          job = next++;
        }
        try {
          work(slots_[w], job);
        } catch (...) {
          const std::lock_guard lock(mutex);
          failure = std::current_exception();
          break;
        }
        const std::lock_guard lock(mutex);
        ended.push_back(job);
        changed.notify_one();
      }
      const std::lock_guard lock(mutex);
      --running;
      changed.notify_one();
    });
  try {
    std::unique_lock lock(mutex);
    while (running > 0 || !ended.empty()) {
      changed.wait(lock, [&] { return !ended.empty() || running == 0; });
      while (!ended.empty()) {
        const size_t job = ended.front();
        ended.pop_front();
        lock.unlock();
        finished(job);
        lock.lock();
      }
    }
  } catch (...) {
    const std::lock_guard lock(mutex);
    if (!failure) failure = std::current_exception();
  }
  for (std::thread &thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
}

std::vector<Made> Farm::make(const std::vector<Order> &orders, Clock::time_point deadline, const Finished &finished) {
  std::vector<Made> made(orders.size());
  if (orders.empty()) return made;
  const Problem &first = orders.front().problem;
  const compiler::KernelSpec spec = compiler::parse_kernel(first.spec_text, "kernel");
  const compiler::Sizes sizes = first.sizes();
  const bool open = sizes.size() < spec.sizes.size();  // defaults of every size: proved at sizes of the proof's choice
  const bool large = !open && touched_bytes(spec, sizes) > kLargeOperands;
  each(
      orders.size(), large ? 1 : slots_.size(), deadline,
      [&](WorkerSlot &slot, size_t i) {
        slot.worker->set_deadline(deadline);
        try {
          made[i] = maker_.make(slot, orders[i]);
        } catch (const OutOfTime &) {
          made[i] = {};
        }
      },
      [&](size_t i) {
        if (finished) finished(i, made[i]);
      });
  return made;
}

std::vector<Made> Farm::make_together(const std::vector<Order> &orders, const Link &link, const Finished &finished) {
  std::vector<Made> made(orders.size());
  for (WorkerSlot &slot : slots_) slot.worker->set_deadline(kNoDeadline);
  each(
      orders.size(), slots_.size(), kNoDeadline,
      [&](WorkerSlot &slot, size_t i) { made[i] = maker_.compile(slot, orders[i]); }, [](size_t) {});
  if (std::any_of(made.begin(), made.end(), [](const Made &one) { return one.rejection.has_value(); })) return made;
  const Linked linked = link(made);
  each(
      orders.size(), slots_.size(), kNoDeadline,
      [&](WorkerSlot &slot, size_t i) { maker_.prove(slot, orders[i], made[i], linked.library, linked.rows[i]); },
      [&](size_t i) {
        if (finished) finished(i, made[i]);
      });
  return made;
}

}  // namespace bittern::tuning
