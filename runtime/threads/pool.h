// The thread pool of the runtime and of the tuner: fork and join by spinning, because a condition variable's wake-up
// costs as much as a whole matrix-vector product. The calling thread is thread 0 and works too. Waiting goes from a
// bounded spin to yielding (so that more threads than cores still move) to sleeping (so that an idle program burns
// nothing).
#pragma once
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
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

  // Thread t takes the contiguous range [tasks * t / threads, tasks * (t + 1) / threads): the same tasks go to the
  // same thread every time. fn(begin, end, thread) is called once for each range that is not empty.
  void ranges(int64_t tasks, FunctionRef<void(int64_t begin, int64_t end, int thread)> fn);

  // As `ranges`, but fn(index, thread) for each task.
  void parallel(int64_t tasks, FunctionRef<void(int64_t index, int thread)> fn);

 private:
  void worker(int thread);
  void work(int thread);
  void stop();

  const int threads_;
  // Written by the caller before `epoch_` moves on, read by workers after.
  const FunctionRef<void(int)> *job_ = nullptr;
  bool stopping_ = false;
  std::exception_ptr error_;
  std::mutex error_mutex_;
  alignas(64) std::atomic<uint32_t> epoch_{0};
  alignas(64) std::atomic<uint32_t> pending_{0};
  alignas(64) std::atomic<uint32_t> sleepers_{0};  // threads in a futex on epoch_
  std::atomic<uint32_t> caller_sleeps_{0};
  std::vector<std::thread> workers_;
};

}  // namespace bittern::runtime
