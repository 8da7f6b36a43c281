// Calling a kernel: arguments, scratch memory, and the split of its tiles over threads.
#pragma once
#include <cstdint>
#include <initializer_list>

#include "runtime/abi/kernel_abi.h"
#include "runtime/kernels/roles.h"
#include "runtime/memory/huge_buffer.h"
#include "runtime/threads/pool.h"

namespace bittern::runtime {

// A tensor argument with up to four strides in elements.
inline bt_tensor tensor(const void *data, std::initializer_list<int64_t> strides = {1}) {
  bt_tensor t{const_cast<void *>(data), {}};
  int i = 0;
  for (int64_t stride : strides) t.stride[i++] = stride;
  return t;
}

// Scratch memory for kernels, a piece per thread. Planned before use: reserve() for every kernel and the largest sizes
// it will see, then no launch allocates.
class Scratch {
 public:
  explicit Scratch(int threads) : threads_(threads) {}
  void reserve(const bt_kernel &kernel, const int64_t *sizes);
  void *of(int thread) const { return buffer_.data() + thread * per_thread_; }
  int64_t per_thread() const { return per_thread_; }

 private:
  int threads_;
  int64_t per_thread_ = 0;
  HugeBuffer buffer_;
};

// Runs every tile on the calling thread.
void launch_serial(const bt_kernel &kernel, const bt_tensor *tensors, const int64_t *sizes, const float *scalars,
                   const Scratch &scratch);
// Splits the tiles over the pool's threads, the same way every time.
void launch(ThreadPool &pool, const bt_kernel &kernel, const bt_tensor *tensors, const int64_t *sizes,
            const float *scalars, const Scratch &scratch);

}  // namespace bittern::runtime
