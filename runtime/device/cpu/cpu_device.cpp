// See cpu_device.h.
#include "runtime/device/cpu/cpu_device.h"

#include <utility>

#include "runtime/device/cpu/self_check.h"

namespace bittern::runtime {

CpuDevice::CpuDevice(ThreadPool &pool, KernelChoice kernels, std::string cache_folder, Warn warn)
    : pool_(pool),
      kernels_(kernels, pool.threads(), warn),
      cache_folder_(std::move(cache_folder)),
      warn_(std::move(warn)) {}

// A kernel that fails its check leaves the set; when it was the last one for its layout, the weights are packed again
// in another.
void CpuDevice::upload(std::shared_ptr<const Program> program, const ModelSource &source, int64_t most_tokens) {
  program_ = std::move(program);
  for (bool whole = false; !whole;) {
    plan_ = std::make_unique<Plan>(kernel_needs(*program_), kernels_, kMostTokens);
    weights_ = std::make_unique<Weights>(source, *program_, *plan_, cache_folder_, pool_, warn_);
    for (bool again = true; again && !whole;) {
      const std::vector<const bt_kernel *> wrong = self_check(*program_, *plan_, *weights_, warn_);
      for (const bt_kernel *kernel : wrong) kernels_.exclude(kernel);
      whole = wrong.empty();
      again = !whole && plan_->choose_again(kernels_);
    }
    if (!whole) weights_.reset();
  }
  executor_ = std::make_unique<Executor>(*program_, *plan_, *weights_, source.embedding(), pool_, most_tokens);
}

Device::Memory CpuDevice::memory() const {
  return {weights_->bytes(), executor_->activation_bytes(), executor_->cache_bytes()};
}

}  // namespace bittern::runtime
