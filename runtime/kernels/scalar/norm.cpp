// RMSNorm and the absmax int8 quantiser, alone and fused.
#include <cstring>

#include "runtime/kernels/scalar/scalar.h"

namespace bittern::runtime::scalar {
namespace {

float inverse_rms(const float *x, int64_t k_count, float eps) {
  const float ss = sum16(k_count, [&](int64_t k) { return x[k] * x[k]; });
  return 1.0f / std::sqrt(ss / static_cast<float>(k_count) + eps);
}

// Quantises y(0) .. y(K - 1) to a row of codes, zero-filled to a multiple of 64.
template <typename Value>
void quantise_row(int64_t k_count, Value y, int8_t *codes, float *inv, int32_t *qsum) {
  float largest = 0;
  for (int64_t k = 0; k < k_count; ++k) largest = max_of(std::fabs(y(k)), largest);
  const float amax = max_of(largest, 0.00001f);
  const float s = 127.0f / amax;
  int32_t sum = 0;
  for (int64_t k = 0; k < k_count; ++k) {
    const auto q = static_cast<int32_t>(min_of(max_of(round_even(y(k) * s), -128.0f), 127.0f));
    codes[k] = static_cast<int8_t>(q);
    sum += q;
  }
  std::memset(codes + k_count, 0, static_cast<size_t>((BT_ROW_PAD - k_count % BT_ROW_PAD) % BT_ROW_PAD));
  *inv = amax / 127.0f;
  *qsum = sum;
}

}  // namespace

// Tensors X, w, Q, inv, qsum; sizes M, K; scalar eps.
void rmsnorm_quant(const bt_args *args) {
  const bt_tensor *t = args->tensors;
  const int64_t k_count = args->sizes[1];
  const Range m = tile_range(args, args->sizes[0], 1);
  const float *w = at<float>(t[1]);
  for (int64_t i = m.begin; i < m.end; ++i) {
    const float *x = at<float>(t[0], i);
    const float r = inverse_rms(x, k_count, args->scalars[0]);
    quantise_row(
        k_count, [&](int64_t k) { return w[k] * (x[k] * r); }, at<int8_t>(t[2], i), at<float>(t[3]) + i,
        at<int32_t>(t[4]) + i);
  }
}

// Tensors X, w, Y; sizes M, K; scalar eps.
void rmsnorm(const bt_args *args) {
  const bt_tensor *t = args->tensors;
  const int64_t k_count = args->sizes[1];
  const Range m = tile_range(args, args->sizes[0], 1);
  const float *w = at<float>(t[1]);
  for (int64_t i = m.begin; i < m.end; ++i) {
    const float *x = at<float>(t[0], i);
    const float r = inverse_rms(x, k_count, args->scalars[0]);
    float *y = at<float>(t[2], i);
    for (int64_t k = 0; k < k_count; ++k) y[k] = w[k] * (x[k] * r);
  }
}

// Tensors X, w, Y; sizes M, H, D; scalar eps.
void rmsnorm_heads(const bt_args *args) {
  const bt_tensor *t = args->tensors;
  const int64_t d_count = args->sizes[2];
  const Range m = tile_range(args, args->sizes[0], 1);
  const float *w = at<float>(t[1]);
  for (int64_t i = m.begin; i < m.end; ++i)
    for (int64_t h = 0; h < args->sizes[1]; ++h) {
      const float *x = at<float>(t[0], i, h);
      const float r = inverse_rms(x, d_count, args->scalars[0]);
      float *y = at<float>(t[2], i, h);
      for (int64_t d = 0; d < d_count; ++d) y[d] = w[d] * (x[d] * r);
    }
}

// Tensors X, Q, inv, qsum; sizes M, K.
void absmax_quant(const bt_args *args) {
  const bt_tensor *t = args->tensors;
  const Range m = tile_range(args, args->sizes[0], 1);
  for (int64_t i = m.begin; i < m.end; ++i) {
    const float *x = at<float>(t[0], i);
    quantise_row(
        args->sizes[1], [&](int64_t k) { return x[k]; }, at<int8_t>(t[1], i), at<float>(t[2]) + i,
        at<int32_t>(t[3]) + i);
  }
}

}  // namespace bittern::runtime::scalar
