// What the scalar kernels share: the defined order of float sums, the polynomials of math.bk, conversions, tile ranges.
// Plain loops that follow the kernel texts operation by operation; they share no code with the code generators, which
// is what makes them a reference for the startup self-check and a fallback that is always right.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

#include "runtime/abi/kernel_abi.h"
#include "runtime/io/float_formats.h"

namespace bittern::runtime::scalar {

inline float max_of(float a, float b) { return a > b ? a : b; }
inline float min_of(float a, float b) { return a < b ? a : b; }

// Half to even for |x| <= 2^22, which is all that the kernels ask of it.
inline float round_even(float x) { return (x + 12582912.0f) - 12582912.0f; }

// Sum of term(0) .. term(n - 1) in the defined order: 16 interleaved partial sums, combined pairwise.
template <typename Term>
inline float sum16(int64_t n, Term term) {
  float p[16] = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int j = 0; j < 16; ++j) p[j] += term(i + j);
  for (int j = 0; i + j < n; ++j) p[j] += term(i + j);
  for (int step = 8; step > 0; step /= 2)
    for (int j = 0; j < step; ++j) p[j] += p[j + step];
  return p[0];
}

// exp of math.bk.
inline float exp(float x) {
  const float c = min_of(max_of(x, -87.33654f), 88.37626f);
  const float n = round_even(c * 1.44269504f);
  const float r = (c - n * 0.693359375f) - n * -0.00021219444f;
  const float p0 = 0.00019875691f;
  const float p1 = p0 * r + 0.0013981999f;
  const float p2 = p1 * r + 0.008333452f;
  const float p3 = p2 * r + 0.041665796f;
  const float p4 = p3 * r + 0.16666666f;
  const float p5 = p4 * r + 0.5f;
  const float y = ((p5 * (r * r)) + r) + 1.0f;
  return y * std::bit_cast<float>((static_cast<int32_t>(n) + 127) << 23);
}

// tanh of math.bk.
inline float tanh(float x) {
  const float a = min_of(std::fabs(x), 15.0f);
  const float e = exp(a + a);
  const float t = 1.0f - 2.0f / (e + 1.0f);
  const float small = a - ((a * a) * a) * 0.33333334f;
  const float v = a < 0.01f ? small : t;
  return x < 0.0f ? -v : v;
}

template <typename T>
inline T *at(const bt_tensor &t, int64_t i0 = 0, int64_t i1 = 0, int64_t i2 = 0) {
  return static_cast<T *>(t.data) + i0 * t.stride[0] + i1 * t.stride[1] + i2 * t.stride[2];
}

// The part [begin, end) of the tiled size that a call covers.
struct Range {
  int64_t begin, end;
};
inline Range tile_range(const bt_args *args, int64_t size, int64_t tile) {
  const int64_t end = args->tile_end * tile;
  return {args->tile_begin * tile, end < size ? end : size};
}

// One function per role; the descriptors are in pack.cpp.
void w2a8_matmul(const bt_args *);
void rmsnorm_quant(const bt_args *);
void rmsnorm(const bt_args *);
void absmax_quant(const bt_args *);
void rope(const bt_args *);
void rope_f16(const bt_args *);
void kv_store(const bt_args *);
void kv_store_f16(const bt_args *);
void attention(const bt_args *);
void attention_f16(const bt_args *);
void ffn_relu2(const bt_args *);
void ffn_silu(const bt_args *);
void ffn_gelu_tanh(const bt_args *);
void head_bf16(const bt_args *);
void head_f32(const bt_args *);
void head_int8(const bt_args *);
void embed_bf16(const bt_args *);
void embed_f32(const bt_args *);
void residual_add(const bt_args *);
void w2a8_group_matmul(const bt_args *);
void group_sums(const bt_args *);
void rmsnorm_heads(const bt_args *);
void attention_window(const bt_args *);
void attention_window_f16(const bt_args *);

inline constexpr int64_t kRowTile = 16;  // rows of a matrix per tile

extern const bt_layout kRowsLayout;  // "i2-rows": 2-bit codes trit + 1, four consecutive columns a byte, row by row

}  // namespace bittern::runtime::scalar

namespace bittern::runtime {
// The hand-written kernels as a pack: every role, any size, any processor.
const bt_pack *bt_scalar_pack();
}  // namespace bittern::runtime
