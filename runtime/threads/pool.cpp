// See pool.h. A fork opens the shares and stores `epoch_`; a join takes what nobody began and waits for the rest.
#include "runtime/threads/pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <string>

#include "runtime/abi/float_control.h"
#include "runtime/error.h"
#include "runtime/machine/processor.h"

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
// The smallest piece of a share that is worth a call of its own: a 32nd.
constexpr int64_t kPieces = 32;
// Half of a small second-level cache.
constexpr int64_t kFetchAhead = int64_t{256} << 10;
constexpr int64_t kMostTasks = int64_t{1} << 31;
constexpr auto kYieldTime = std::chrono::milliseconds(2);

// Waits until done(): spins, then yields, then false: time to sleep.
template <typename Done>
bool wait_awake(Done done) {
  for (int i = 0; i < kSpins; ++i) {
    if (done()) return true;
    pause_processor();
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

// Round work on the calling thread, whose program may have set another rounding mode or flush denormals to zero.
class DefinedFloats {
 public:
  DefinedFloats() : caller_(bt_enter_float_control()) {}
  ~DefinedFloats() { bt_leave_float_control(caller_); }
  DefinedFloats(const DefinedFloats &) = delete;
  DefinedFloats &operator=(const DefinedFloats &) = delete;

 private:
  uint64_t caller_;
};

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

ThreadPool::Share::Range ThreadPool::Share::take_half(uint32_t least, bool front) {
  uint64_t seen = rest.load(std::memory_order_relaxed);
  for (;;) {
    const auto begin = static_cast<uint32_t>(seen >> 32), end = static_cast<uint32_t>(seen);
    if (begin >= end) return {0, 0};
    const uint32_t left = end - begin, count = std::min(left, std::max(least, (left + 1) / 2));
    const Range taken = front ? Range{begin, begin + count} : Range{end - count, end};
    const uint64_t next = front ? uint64_t{taken.end} << 32 | end : uint64_t{begin} << 32 | taken.begin;
    if (rest.compare_exchange_weak(seen, next, std::memory_order_relaxed)) return taken;
  }
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
  bt_enter_float_control();  // a thread begins with the word of the one that started it
  Share &share = shares_[static_cast<size_t>(thread)];
  for (uint32_t seen = 0;;) {
    fetch_announced(thread, seen);
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

void ThreadPool::announce(std::span<const Announced> arrays) {
  // Nothing rests on pointers and sizes belonging together but which lines are fetched, and a prefetch cannot fault.
  for (size_t i = 0; i < kMostAnnounced; ++i) {
    const Announced array = i < arrays.size() ? arrays[i] : Announced{nullptr, 0};
    announced_[i].bytes.store(array.bytes, std::memory_order_relaxed);
    announced_[i].data.store(static_cast<const uint8_t *>(array.data), std::memory_order_relaxed);
    if (!array.data) return;
  }
}

void ThreadPool::fetch_announced(int thread, uint32_t epoch) const {
  int64_t room = kFetchAhead;
  for (const AnnouncedSlot &array : announced_) {
    const uint8_t *data = array.data.load(std::memory_order_relaxed);
    if (!data) return;
    const int64_t bytes = array.bytes.load(std::memory_order_relaxed);
    const int64_t begin = bytes * thread / threads_, share = bytes * (thread + 1) / threads_ - begin;
    const uint8_t *from = data + begin;
    for (int64_t at = 0; at < std::min(share, room); at += 256) {
      if (epoch_.load(std::memory_order_relaxed) != epoch) return;
      for (int64_t line = at; line < at + 256; line += 64) __builtin_prefetch(from + line, 0, 2);
    }
    room -= share;
    if (room <= 0) return;
  }
}

void ThreadPool::fork_join(const Job &job, bool take_late_shares) {
  const DefinedFloats floats;
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
  if (threads_ == 1) {
    const DefinedFloats floats;
    fn(0, tasks, 0);
    return;
  }
  // Counted in 32 bits: beyond that, a task here stands for several.
  const int64_t scale = tasks / kMostTasks + 1, units = (tasks + scale - 1) / scale;
  const auto least = static_cast<uint32_t>(std::max<int64_t>(1, units / (int64_t{threads_} * kPieces)));
  for (int t = 0; t < threads_; ++t) {
    const auto begin = static_cast<uint64_t>(units * t / threads_),
               end = static_cast<uint64_t>(units * (t + 1) / threads_);
    shares_[static_cast<size_t>(t)].rest.store(begin << 32 | end, std::memory_order_relaxed);
  }
  fork_join(
      [&](int share, int thread) {
        for (int i = 0; i < threads_; ++i) {
          const int from = (share + i) % threads_;
          for (;;) {
            const Share::Range range = shares_[static_cast<size_t>(from)].take_half(least, from == thread);
            if (range.begin == range.end) break;
            fn(range.begin * scale, std::min(tasks, range.end * scale), thread);
          }
        }
      },
      true);
}

void ThreadPool::parallel(int64_t tasks, FunctionRef<void(int64_t, int)> fn) {
  ranges(tasks, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t i = begin; i < end; ++i) fn(i, thread);
  });
}

}  // namespace bittern::runtime
