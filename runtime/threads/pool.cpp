// See pool.h. A fork opens the shares and stores `epoch_`; a join takes what nobody began and waits for the rest.
#include "runtime/threads/pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <string>

#include "runtime/error.h"

namespace bittern::runtime {
namespace {

static_assert(sizeof(std::atomic<uint32_t>) == 4 && std::atomic<uint32_t>::is_always_lock_free);

void futex_wait(std::atomic<uint32_t> &word, uint32_t value) {
  syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}
void futex_wake_all(std::atomic<uint32_t> &word) {
  syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

// Pauses before giving the processor away: about 30 us, longer than the serial work between two forks. A hypervisor or
// a neighbour that takes the other thread's core away costs one such spin, not more.
constexpr int kSpins = 1000;
constexpr auto kYieldTime = std::chrono::milliseconds(2);

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// Waits until done(): spins, then yields, then false: time to sleep.
template <typename Done>
bool wait_awake(Done done) {
  for (int i = 0; i < kSpins; ++i) {
    if (done()) return true;
    pause_cpu();
  }
  const auto until = std::chrono::steady_clock::now() + kYieldTime;
  do {
    for (int i = 0; i < 16; ++i) {
      if (done()) return true;
      sched_yield();
    }
  } while (std::chrono::steady_clock::now() < until);
  return done();
}

void pin_thread(pthread_t thread, int index) {
  cpu_set_t usable, one;
  CPU_ZERO(&usable);
  if (sched_getaffinity(0, sizeof usable, &usable) != 0 || CPU_COUNT(&usable) == 0) return;
  int skip = index % CPU_COUNT(&usable);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &usable) && skip-- == 0) {
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      pthread_setaffinity_np(thread, sizeof one, &one);
      return;
    }
}

int checked(int threads) {
  if (threads < 1 || threads > 1024)
    throw Error("thread count must be between 1 and 1024, not " + std::to_string(threads));
  return threads;
}

}  // namespace

ThreadPool::ThreadPool(int threads, bool pin) : threads_(checked(threads)), shares_(static_cast<size_t>(threads)) {
  workers_.reserve(static_cast<size_t>(threads_ - 1));
  try {
    for (int i = 1; i < threads_; ++i) workers_.emplace_back([this, i] { worker(i); });
  } catch (const std::exception &e) {
    stop();
    throw Error("cannot start " + std::to_string(threads_) + " threads: " + e.what());
  }
  if (pin) {
    // Workers first: pinning the caller narrows what sched_getaffinity gives it.
    for (int i = 1; i < threads_; ++i) pin_thread(workers_[static_cast<size_t>(i - 1)].native_handle(), i);
    pin_thread(pthread_self(), 0);
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  stopping_.store(true, std::memory_order_relaxed);
  epoch_.fetch_add(1);
  futex_wake_all(epoch_);
  for (std::thread &worker : workers_) worker.join();
  workers_.clear();
}

bool ThreadPool::Share::take(uint32_t epoch) {
  uint64_t open = uint64_t{epoch} * 2;
  return claim.compare_exchange_strong(open, open + 1, std::memory_order_acq_rel, std::memory_order_relaxed);
}

void ThreadPool::work(int share, int thread) {
  try {
    (*job_)(share, thread);
  } catch (...) {
    const std::lock_guard lock(error_mutex_);
    if (!error_) error_ = std::current_exception();
  }
}

void ThreadPool::worker(int thread) {
  Share &share = shares_[static_cast<size_t>(thread)];
  for (uint32_t seen = 0;;) {
    if (!wait_awake([&] { return epoch_.load(std::memory_order_acquire) != seen; })) {
      sleepers_.fetch_add(1);
      while (epoch_.load() == seen) futex_wait(epoch_, seen);
      sleepers_.fetch_sub(1);
    }
    if (stopping_.load(std::memory_order_relaxed)) return;
    seen = epoch_.load(std::memory_order_acquire);
    // A share that the caller took, or of an epoch that is over, is nobody's business any more.
    if (!share.take(seen)) continue;
    work(thread, thread);
    share.done.store(seen);
    if (caller_sleeps_.load() != 0) futex_wake_all(share.done);
  }
}

void ThreadPool::fork_join(const Job &job, bool take_late_shares) {
  job_ = &job;
  const uint32_t epoch = epoch_.load(std::memory_order_relaxed) + 1;
  for (int t = 1; t < threads_; ++t)
    shares_[static_cast<size_t>(t)].claim.store(uint64_t{epoch} * 2, std::memory_order_relaxed);
  // Sequentially consistent with the sleeper's increment and its second look at epoch_: one of the two sees the other.
  epoch_.store(epoch);
  if (sleepers_.load() != 0) futex_wake_all(epoch_);
  work(0, 0);
  for (int t = 1; take_late_shares && t < threads_; ++t) {
    Share &share = shares_[static_cast<size_t>(t)];
    if (!share.take(epoch)) continue;
    work(t, 0);
    share.done.store(epoch, std::memory_order_relaxed);
  }
  for (int t = 1; t < threads_; ++t) {
    std::atomic<uint32_t> &done = shares_[static_cast<size_t>(t)].done;
    if (wait_awake([&] { return done.load(std::memory_order_acquire) == epoch; })) continue;
    caller_sleeps_.store(1);
    for (uint32_t last; (last = done.load()) != epoch;) futex_wait(done, last);
    caller_sleeps_.store(0);
  }
  if (error_) {
    std::exception_ptr error = nullptr;
    std::swap(error, error_);
    std::rethrow_exception(error);
  }
}

void ThreadPool::run(FunctionRef<void(int)> fn) {
  fork_join([&](int share, int) { fn(share); }, false);
}

void ThreadPool::ranges(int64_t tasks, FunctionRef<void(int64_t, int64_t, int)> fn) {
  if (tasks <= 0) return;
  fork_join(
      [&](int share, int thread) {
        const int64_t begin = tasks * share / threads_, end = tasks * (share + 1) / threads_;
        if (begin < end) fn(begin, end, thread);
      },
      true);
}

void ThreadPool::parallel(int64_t tasks, FunctionRef<void(int64_t, int)> fn) {
  ranges(tasks, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t i = begin; i < end; ++i) fn(i, thread);
  });
}

}  // namespace bittern::runtime
