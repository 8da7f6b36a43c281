// NumPy's .npy files of float32 matrices: what `bitnet-run logits` writes and the golden tests read.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace bittern::runtime {

struct NpyArray {
  std::vector<int64_t> shape;
  std::vector<float> data;  // row-major
};

// Writes [rows, cols] float32, row-major, as .npy version 1.0. The file appears whole or not at all (written beside its
// place, then renamed). Throws Error naming the file when that fails or data.size() != rows * cols.
void write_npy(const std::string &path, std::span<const float> data, int64_t rows, int64_t cols);

// Reads a row-major little-endian float32 array of any rank. Throws Error naming file and field for anything else.
NpyArray read_npy(const std::string &path);

}  // namespace bittern::runtime
