// Concrete tensors for the interpreter and the prover: dense, row-major, in storage type.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "compiler/ir.h"

namespace bittern::compiler {

struct TensorData {
  Type type = Type::F32;
  std::vector<int64_t> shape;
  std::vector<uint8_t> bytes;  // ternary: one int8 trit an element; no row padding

  int64_t elements() const;
  // Element by its position in row-major order. The integer forms are for ternary, i8 and i32, the float forms for the
  // float types (exact when read, rounded to nearest even when written).
  int64_t get_int(int64_t index) const;
  void set_int(int64_t index, int64_t value);
  float get_float(int64_t index) const;
  void set_float(int64_t index, float value);
};

// Bytes of one element in a TensorData (ternary: 1).
int dense_bytes(Type type);

// A zeroed tensor with this argument's type and its shape at `sizes`. Throws Error when it would exceed 2 GiB.
TensorData make_tensor(const Tensor &tensor, const Sizes &sizes);

// "[1, 0, 3]" for the element at this row-major position; for messages.
std::string index_text(const std::vector<int64_t> &shape, int64_t index);

}  // namespace bittern::compiler
