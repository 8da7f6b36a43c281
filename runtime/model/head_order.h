// Two orders of the rows of q and k within a head. Here and in Hugging Face files the elements that RoPE turns together
// are half a head apart; GGUF's "llama" and bitnet.cpp's GPU code have them side by side (interleaved).
#pragma once
#include <cstdint>

namespace bittern::runtime {

// Row `row` of an interleaved matrix is this row of one in halves.
inline int64_t row_in_halves(int64_t row, int64_t head_dim) {
  const int64_t in_head = row % head_dim;
  return row - in_head + in_head % 2 * (head_dim / 2) + in_head / 2;
}

// Row `row` of a matrix in halves is this row of an interleaved one.
inline int64_t row_interleaved(int64_t row, int64_t head_dim) {
  const int64_t in_head = row % head_dim, half = head_dim / 2;
  return row - in_head + in_head % half * 2 + in_head / half;
}

}  // namespace bittern::runtime
