// What timing runs on: one kernel text at one size, with operands that are cold when they are read. Tensors that do not
// grow with M (weights) rotate through so many copies that the last-level cache never holds the next one; activations
// and outputs stay where they are, as they do in a model.
#pragma once
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "runtime/abi/kernel_abi.h"
#include "runtime/kernels/launch.h"
#include "runtime/memory/huge_buffer.h"
#include "runtime/threads/pool.h"
#include "tuning_db/proof/array.h"

namespace bittern::tuning {

class Arena {
 public:
  // `cold_bytes`: how much memory the rotating tensors of one layout fill (at least one copy).
  Arena(const compiler::KernelSpec &spec, const compiler::Sizes &sizes, int64_t cold_bytes);

  // Runs the kernel `calls` times, each on the next copy; wall-clock microseconds for all of them.
  double run(const bt_kernel &kernel, runtime::ThreadPool &pool, int calls);
  // Frees the copies of layouts that none of `kernels` reads.
  void keep_only(const std::vector<const bt_kernel *> &kernels);

 private:
  // The rotating tensors in one weight layout.
  struct Copies {
    std::string layout;  // name@version, "" when there is no ternary tensor
    runtime::HugeBuffer memory;
    int64_t stride = 0, count = 1, next = 0;
    std::vector<std::pair<size_t, int64_t>> offsets;  // argument and its offset in a copy
  };
  Copies &copies_for(const bt_kernel &kernel, runtime::ThreadPool &pool);

  const compiler::KernelSpec &spec_;
  int64_t cold_bytes_;
  Arrays inputs_;
  std::vector<int64_t> sizes_;
  std::vector<float> scalars_;
  std::vector<const compiler::Tensor *> arguments_;
  std::vector<bool> rotating_;
  std::vector<bt_tensor> tensors_;
  std::list<runtime::HugeBuffer> fixed_memory_;
  std::list<Copies> copies_;
  std::unique_ptr<runtime::Scratch> scratch_;
  int scratch_threads_ = 0;
};

}  // namespace bittern::tuning
