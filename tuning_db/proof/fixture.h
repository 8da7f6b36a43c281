// What a proof compares with: inputs of a set at given sizes and the outputs they must give, computed once and shared
// by every candidate of the same kernel text.
#pragma once
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "runtime/abi/kernel_abi.h"
#include "tuning_db/proof/array.h"
#include "tuning_db/proof/guarded.h"
#include "tuning_db/proof/input_sets.h"

namespace bittern::tuning {

// How a tensor's rows lie in a proof's memory, in elements: padded as declared, and spread apart beyond the padding in
// one placement of three, since strides are the caller's choice.
struct TensorLanes {
  int64_t stride[BT_MAX_RANK] = {};
  int64_t row_stride = 1, padded_row = 1, elements = 1;
};
TensorLanes tensor_lanes(const compiler::Tensor &tensor, const Array &array, Placement placement);

// One reference computation: inputs of a set at given sizes, and what the kernel must make of them. Input buffers are
// made once and shared by all candidates, read-only for as long as kernels run.
class Fixture {
 public:
  // Computes the reference: the interpreter up to 10^7 multiply-adds, the fast reference above. `cache_folder` (may be
  // empty) keeps reference outputs between workers of one tuning run.
  Fixture(const compiler::KernelSpec &spec, const std::string &spec_hash, const compiler::Sizes &sizes,
          const InputSet &set, int threads, const std::string &cache_folder);

  const compiler::Sizes &sizes() const { return sizes_; }
  const InputSet &set() const { return set_; }
  const Arrays &inputs() const { return inputs_; }  // In and Given
  const Arrays &expected() const { return expected_; }
  const std::string &reference_hash() const { return hash_; }
  int64_t bytes() const;  // of memory, buffers in whole pages
  int64_t buffers() const { return static_cast<int64_t>(bound_.size()); }

  // The tensor's bytes as a kernel wants them (packed in `layout` when ternary, padded and spread when declared so)
  // in guarded read-only memory, and its strides.
  const bt_tensor &input(const compiler::Tensor &tensor, Placement placement, const bt_layout *layout);
  // Gives up the buffers, which input() makes again.
  void release_buffers() { bound_.clear(); }

 private:
  struct Bound {
    std::string key;
    Guarded memory;
    bt_tensor tensor;
  };
  const compiler::KernelSpec &spec_;
  compiler::Sizes sizes_;
  InputSet set_;
  Arrays inputs_, expected_;
  std::string hash_;
  std::list<Bound> bound_;
};

// Fixtures of one spec, kept while they fit in `limit_bytes`; oldest use goes first. A process may have some 65000
// mappings, and a guarded buffer is three, so buffers are limited in number as well.
class FixtureCache {
 public:
  static constexpr int64_t kMostBuffers = 8000;

  FixtureCache(int64_t limit_bytes, int threads, std::string folder)
      : limit_(limit_bytes), threads_(threads), folder_(std::move(folder)) {}
  // Valid until the next call.
  Fixture &get(const compiler::KernelSpec &spec, const std::string &spec_hash, const compiler::Sizes &sizes,
               const InputSet &set);
  int64_t buffers() const { return buffers_; }  // as of the last get()

 private:
  struct Held {
    std::string key;
    std::unique_ptr<Fixture> fixture;
    int64_t bytes = 0, buffers = 0;  // as counted below
  };
  void count(Held &held);
  void make_room(size_t keep);

  int64_t limit_;
  int threads_;
  std::string folder_;
  std::list<Held> fixtures_;  // last used first
  std::unordered_map<std::string, std::list<Held>::iterator> by_key_;
  int64_t bytes_ = 0, buffers_ = 0;
};

}  // namespace bittern::tuning
