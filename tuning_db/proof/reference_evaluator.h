// Evaluates the expressions of reference_expression.h by plain loops, a block of lanes at a time.
#pragma once
#include <algorithm>
#include <vector>

#include "tuning_db/proof/reference_expression.h"

namespace bittern::tuning::reference {

struct Context {
  std::vector<int64_t> vars;
  const std::vector<std::vector<uint32_t>> *frame = nullptr;  // lanes of parameters and lets of the running function
};

class Evaluator {
 public:
  // Lanes 0 .. n - 1 of `node`, where variable `lane` takes start, start + 1, ...
  void eval(const Node &node, Context &context, int lane, int64_t start, int n, uint32_t *out);

 private:
  uint32_t one(const Node &node, Context &context);
  // Offset of a load whose indices are all evaluated with `lane` at `start`.
  int64_t offset_at(const Node &load, Context &context, int lane, int64_t start);
  static void check(const Node &load, size_t dimension, int64_t index);
  // Whether consecutive values of `lane` are consecutive elements: it occurs only as a plain term of the last index.
  static bool consecutive(const Node &load, int lane);
  void load(const Node &node, Context &context, int lane, int64_t start, int n, uint32_t *out);
  void call(const Node &node, Context &context, int lane, int64_t start, int n, uint32_t *out);
  uint32_t reduce(const Node &node, Context &context);
  template <typename F>
  void blocks(const Node &body, Context &context, int slot, int64_t extent, F &&use) {
    Lanes lanes;
    for (int64_t start = 0; start < extent; start += kBlock) {
      const int n = static_cast<int>(std::min<int64_t>(kBlock, extent - start));
      eval(body, context, slot, start, n, lanes);
      use(lanes, n);
    }
  }
  // i32(a[.., k]) * i32(b[.., k]) of one-byte tensors: nearly all of the work, so it gets a loop without blocks.
  static bool byte_products(const Node &body, int slot);
  int64_t byte_dot(const Node &node, Context &context, int64_t extent);
};

}  // namespace bittern::tuning::reference
