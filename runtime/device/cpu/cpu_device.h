// The processor as a device: a thread pool and the machine's memory.
#pragma once
#include <memory>
#include <string>

#include "runtime/device/cpu/executor.h"
#include "runtime/device/cpu/plan.h"
#include "runtime/device/cpu/weights.h"
#include "runtime/device/device.h"
#include "runtime/threads/pool.h"

namespace bittern::runtime {

class CpuDevice : public Device {
 public:
  // `cache_folder`: where packed weights are kept between starts; empty: nowhere. `pool` must outlive the device.
  CpuDevice(ThreadPool &pool, KernelChoice kernels, std::string cache_folder, Warn warn);

  void upload(std::shared_ptr<const Program> program, const ModelSource &source, int64_t most_tokens) override;
  void execute(const Batch &batch) override { executor_->run(batch); }
  void execute(Section section, int64_t first, int64_t rows) override { executor_->run(section, first, rows); }
  std::span<const float> read(BufferId output, int64_t rows) override { return executor_->read(output, rows); }
  void copy_page(int32_t from, int32_t to) override { executor_->copy_page(from, to); }
  Memory memory() const override;
  std::vector<KernelUse> kernels() const override { return uses_of(*plan_, kernels_); }
  bool prepacked() const override { return weights_->from_cache(); }

 private:
  ThreadPool &pool_;
  KernelSet kernels_;
  std::string cache_folder_;
  Warn warn_;
  std::shared_ptr<const Program> program_;
  std::unique_ptr<Plan> plan_;
  std::unique_ptr<Weights> weights_;
  std::unique_ptr<Executor> executor_;
};

}  // namespace bittern::runtime
