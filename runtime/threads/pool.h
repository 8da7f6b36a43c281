// The thread pool of the runtime and of the tuner: fork and join by spinning, because a condition variable's wake-up
// costs as much as a whole matrix-vector product. The calling thread is thread 0 and works too; when it is done before
// another thread has begun (asleep, or its core taken by a neighbour), it does that thread's share as well. Waiting
// goes from a bounded spin to yielding to sleeping, so that more threads than cores still move and an idle program
// burns nothing. Work runs with the defined floating-point control word (runtime/abi/float_control.h), whatever the
// caller's.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <mutex>
#include <span>
#include <thread>
#include <type_traits>
#include <vector>

namespace bittern::runtime {

// A reference to something callable, valid as long as the callable lives. Never allocates.
template <typename Signature>
class FunctionRef;
template <typename R, typename... Args>
class FunctionRef<R(Args...)> {
 public:
  template <typename F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef>)
  FunctionRef(F &&f)  // NOLINT(google-explicit-constructor): call sites pass lambdas
      : object_(const_cast<void *>(static_cast<const void *>(&f))), call_([](void *object, Args... args) -> R {
          return (*static_cast<std::remove_reference_t<F> *>(object))(static_cast<Args>(args)...);
        }) {}
  R operator()(Args... args) const { return call_(object_, static_cast<Args>(args)...); }

 private:
  void *object_;
  R (*call_)(void *, Args...);
};

class ThreadPool {
 public:
  // Starts threads - 1 workers. With `pin`, thread i runs only on the i-th usable processor (modulo their number).
  // Throws Error when `threads` is not in 1 .. 1024.
  explicit ThreadPool(int threads, bool pin = false);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  int threads() const { return threads_; }

  // Runs fn(thread) once on every thread and returns when all are done. The first exception thrown is rethrown here.
  // Not to be called from inside fn, nor from two threads at once.
  void run(FunctionRef<void(int thread)> fn);

  // Cuts the tasks into one contiguous share a thread, [tasks * t / threads, tasks * (t + 1) / threads). Thread t calls
  // fn(begin, end, t) for the first half of its share, then for half of what is left, and so on; one that has nothing
  // left takes over the last half of another's rest, so that a core which a neighbour slows down does not keep the
  // others waiting. Every task is in exactly one call; which thread runs it must not matter to the result.
  void ranges(int64_t tasks, FunctionRef<void(int64_t begin, int64_t end, int thread)> fn);

  // What `ranges` will soon read: arrays that its tasks divide among them, in order. A waiting thread fetches its share
  // of each into its second-level cache, as far as that holds them, so that memory is not idle while the calling thread
  // does small things alone. A hint only: the memory is never read for its values, and may be freed at any time. Arrays
  // after the kMostAnnounced-th are left out.
  struct Announced {
    const void *data;
    int64_t bytes;
  };
  static constexpr size_t kMostAnnounced = 16;
  void announce(std::span<const Announced> arrays);
  void announce(std::initializer_list<Announced> arrays) { announce({arrays.begin(), arrays.size()}); }

  // As `ranges`, but fn(index, thread) for each task.
  void parallel(int64_t tasks, FunctionRef<void(int64_t index, int thread)> fn);

 private:
  using Job = FunctionRef<void(int share, int thread)>;
  // One share of the job of an epoch: open, then taken by one thread, then done.
  struct alignas(64) Share {
    std::atomic<uint64_t> claim{0};  // 2 * epoch when open, 2 * epoch + 1 when taken
    std::atomic<uint32_t> done{0};   // the last epoch whose share was finished
    bool take(uint32_t epoch);

    // What nobody has begun of the share's tasks: the first in the upper 32 bits, the end in the lower.
    std::atomic<uint64_t> rest{0};
    struct Range {
      uint32_t begin, end;
    };
    // Takes half of the rest, `least` tasks or more while there are as many: from its front (the share's own thread) or
    // from its back. An empty range when nothing is left.
    Range take_half(uint32_t least, bool front);
  };

  void fork_join(const Job &job, bool take_late_shares);
  void work(int share, int thread);
  void worker(int thread);
  void fetch_announced(int thread, uint32_t epoch) const;
  void stop();

  const int threads_;
  // Written by the caller before `epoch_` moves on; read only by a thread that took a share of that epoch.
  const Job *job_ = nullptr;
  std::exception_ptr error_;
  std::mutex error_mutex_;
  std::vector<Share> shares_;
  alignas(64) std::atomic<uint32_t> epoch_{0};
  std::atomic<bool> stopping_{false};
  struct AnnouncedSlot {
    std::atomic<const uint8_t *> data{nullptr};
    std::atomic<int64_t> bytes{0};
  };
  std::array<AnnouncedSlot, kMostAnnounced> announced_;  // up to the first without data
  alignas(64) std::atomic<uint32_t> sleepers_{0};        // threads in a futex on epoch_
  std::atomic<uint32_t> caller_sleeps_{0};
  std::vector<std::thread> workers_;
};

}  // namespace bittern::runtime
