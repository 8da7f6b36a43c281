// See launch.h.
#include "runtime/kernels/launch.h"

namespace bittern::runtime {

void Scratch::reserve(const bt_kernel &kernel, const int64_t *sizes) {
  // A page each, so that threads never share a cache line.
  const int64_t bytes = (bt_scratch_bytes(&kernel, sizes) + 4095) / 4096 * 4096;
  if (bytes <= per_thread_) return;
  per_thread_ = bytes;
  buffer_ = HugeBuffer(bytes * threads_, "kernel scratch");
}

void launch_serial(const bt_kernel &kernel, const bt_tensor *tensors, const int64_t *sizes, const float *scalars,
                   const Scratch &scratch) {
  const bt_args args{tensors, sizes, scalars, 0, bt_tile_count(&kernel, sizes), scratch.of(0)};
  kernel.fn(&args);
}

void launch(ThreadPool &pool, const bt_kernel &kernel, const bt_tensor *tensors, const int64_t *sizes,
            const float *scalars, const Scratch &scratch) {
  pool.ranges(bt_tile_count(&kernel, sizes), [&](int64_t begin, int64_t end, int thread) {
    const bt_args args{tensors, sizes, scalars, begin, end, scratch.of(thread)};
    kernel.fn(&args);
  });
}

}  // namespace bittern::runtime
