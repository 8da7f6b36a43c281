// Executes a program on the processor. Pointers, kernels and scratch memory are settled once, when it is made (and
// again when logits of more rows are asked for than ever before); a pass then only walks over the bound steps and
// allocates nothing.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/device/cpu/plan.h"
#include "runtime/device/cpu/rope_angles.h"
#include "runtime/device/cpu/weights.h"
#include "runtime/kernels/launch.h"
#include "runtime/memory/huge_buffer.h"
#include "runtime/program/memory.h"
#include "runtime/threads/pool.h"

namespace bittern::runtime {

class Executor {
 public:
  // All arguments but the number and the embedding stay in use.
  Executor(const Program &program, const Plan &plan, const Weights &weights, FloatMatrix embedding, ThreadPool &pool,
           int64_t most_tokens);

  // As the calls of Device.
  void run(const Batch &batch);
  void run(Section section, int64_t first, int64_t rows);
  std::span<const float> read(BufferId output, int64_t rows) const;
  void copy_page(int32_t from, int32_t to);

  int64_t activation_bytes() const { return activations_.size(); }
  int64_t cache_bytes() const { return cache_.size(); }

 private:
  static constexpr size_t kMostOperands = 8;
  // What steps of all layers with one id have in common.
  struct Form {
    StepId id;
    Count count;
    bool by_positions, by_pages, local;
    int states = -1;  // the operand that is the states, after the pass
    size_t operands = 0;
    std::array<bt_tensor, kMostOperands> tensors{};  // without addresses
    std::array<int64_t, kMostOperands> bytes{};      // of an element
    std::array<int64_t, BT_MAX_SIZES> sizes{};
    std::array<float, 2> scalars{};
    int64_t work = 0, window = 0;
    const Choice *choice = nullptr;
    bool operator==(const Form &other) const;
  };
  struct Bound {
    size_t form;
    enum class Announce { Nothing, None, Array, Cached } announce = Announce::Nothing;  // None: that nothing follows
    std::array<uint8_t *, kMostOperands> data{};
    const uint8_t *next = nullptr;  // what is announced; of cached keys and values the first page
    const uint8_t *next_values = nullptr;
    int64_t next_bytes = 0, next_window = 0;
  };
  // Tokens that lie one after the other in one page.
  struct Run {
    int64_t first, count, offset;  // offset: elements of the cache, for layer 0's keys
  };

  uint8_t *place(BufferId id) const;
  void bind();
  size_t form_of(const Step &step);
  void bind_announcements();
  void announce(const Bound &step);
  void walk(Section section, int64_t tokens, int64_t rows);
  void launch_step(const Form &form, const Bound &step, int64_t m, int64_t work);
  void store_runs(const Form &form, const Bound &step);
  void do_host_step(const Form &form, const Bound &step, int64_t m);
  void fetch_rows(const Form &form, const Bound &step, int64_t m);
  void keep_wanted(const Form &form, const Bound &step);
  template <typename T>
  T *input(BufferId id) const {
    return reinterpret_cast<T *>(place(id));
  }

  const Program &program_;
  const Plan &plan_;
  const Weights &weights_;
  FloatMatrix embedding_;
  ThreadPool &pool_;
  int64_t logit_rows_;
  RopeAngles angles_, local_angles_;
  BufferPlan buffers_;
  HugeBuffer activations_, cache_, hidden_, logits_;
  Scratch scratch_;
  std::vector<Form> forms_;
  std::vector<Bound> steps_;
  std::array<size_t, kSections + 1> sections_{};  // where each begins
  int32_t *positions_ = nullptr;
  // Of the pass that runs.
  const Batch *batch_ = nullptr;
  int64_t first_ = 0;  // the first row of the states that the section reads
  std::vector<Run> runs_;
  std::vector<ThreadPool::Announced> cached_;
};

}  // namespace bittern::runtime
