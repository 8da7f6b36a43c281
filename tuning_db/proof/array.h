// A dense tensor of plain bytes, row-major: what input sets are generated into and references computed from. Ternary
// elements are one int8 each here; layouts belong to kernels.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "compiler/ir.h"

namespace bittern::tuning {

struct Array {
  compiler::Type type = compiler::Type::F32;
  std::vector<int64_t> shape;
  std::vector<uint8_t> bytes;

  int64_t element_bytes() const { return type == compiler::Type::Ternary ? 1 : compiler::type_bytes(type); }
  int64_t count() const {
    int64_t n = 1;
    for (int64_t extent : shape) n *= extent;
    return n;
  }
  // Length of a row and the number of rows; a scalar-shaped array is one row of one.
  int64_t row() const { return shape.empty() ? 1 : shape.back(); }
  int64_t rows() const { return row() == 0 ? 0 : count() / row(); }
  template <typename T>
  T *as() {
    return reinterpret_cast<T *>(bytes.data());
  }
  template <typename T>
  const T *as() const {
    return reinterpret_cast<const T *>(bytes.data());
  }
};

using Arrays = std::map<std::string, Array>;

}  // namespace bittern::tuning
