// Causal attention over paged keys and values, and what writes the pages: RoPE and the value copy.
#include <cstring>

#include "runtime/kernels/scalar/scalar.h"

namespace bittern::runtime::scalar {
namespace {

constexpr int64_t kPage = 32;  // positions a page, as in attention.bk

struct Same {
  using Stored = float;
  static float load(float v) { return v; }
  static float store(float v) { return v; }
};
struct Half {
  using Stored = uint16_t;
  static float load(uint16_t v) { return f16_to_f32(v); }
  static uint16_t store(float v) { return f32_to_f16(v); }
};

// Tensors Q, Kc, Vc, pages, seq, pos, O; sizes M, H, G, D, B, T, NP and, with a window, W; tiles of one query head.
// Scratch: the weights of every position, then 16 partial sums for each element of the output.
template <typename Format, bool kWindow = false>
void attend(const bt_args *args) {
  using Stored = typename Format::Stored;
  const bt_tensor *t = args->tensors;
  const int64_t m_count = args->sizes[0], group = args->sizes[2], d_count = args->sizes[3], width = args->sizes[5];
  const float scale = args->scalars[0];
  const Range heads = tile_range(args, args->sizes[1], 1);
  auto *e = static_cast<float *>(args->scratch);
  float *partial = e + width * kPage;
  for (int64_t h = heads.begin; h < heads.end; ++h)
    for (int64_t m = 0; m < m_count; ++m) {
      // Positions first .. first + count - 1 are seen; e and the sums count from the first.
      const int64_t end = at<int32_t>(t[5])[m] + 1;
      const int64_t count = kWindow && args->sizes[7] < end ? args->sizes[7] : end, first = end - count;
      const int32_t *pages = at<int32_t>(t[3], at<int32_t>(t[4])[m]);
      const float *q = at<float>(t[0], m, h);
      float top = -INFINITY;
      for (int64_t i = 0; i < count; ++i) {
        const int64_t p = first + i;
        const Stored *key = at<Stored>(t[1], pages[p / kPage], h / group, p % kPage);
        e[i] = sum16(d_count, [&](int64_t d) { return q[d] * Format::load(key[d]); });
        top = max_of(e[i], top);
      }
      for (int64_t i = 0; i < count; ++i) e[i] = exp((e[i] - top) * scale);
      const float den = sum16(count, [&](int64_t i) { return e[i]; });
      std::memset(partial, 0, static_cast<size_t>(16 * d_count) * sizeof(float));
      for (int64_t i = 0; i < count; ++i) {
        const int64_t p = first + i;
        const Stored *value = at<Stored>(t[2], pages[p / kPage], h / group, p % kPage);
        float *sums = partial + i % 16 * d_count;
        for (int64_t d = 0; d < d_count; ++d) sums[d] += e[i] * Format::load(value[d]);
      }
      for (int step = 8; step > 0; step /= 2)
        for (int64_t i = 0; i < step * d_count; ++i) partial[i] += partial[i + step * d_count];
      float *out = at<float>(t[6], m, h);
      for (int64_t d = 0; d < d_count; ++d) out[d] = partial[d] / den;
    }
}

// Tensors X, C, S, Y; sizes M, H, R; tiles of one token.
template <typename Format>
void rotate(const bt_args *args) {
  using Stored = typename Format::Stored;
  const bt_tensor *t = args->tensors;
  const int64_t h_count = args->sizes[1], r_count = args->sizes[2];
  const Range tokens = tile_range(args, args->sizes[0], 1);
  for (int64_t m = tokens.begin; m < tokens.end; ++m) {
    const float *c = at<float>(t[1], m), *s = at<float>(t[2], m);
    for (int64_t h = 0; h < h_count; ++h) {
      const float *x0 = at<float>(t[0], m, h, 0), *x1 = at<float>(t[0], m, h, 1);
      Stored *y0 = at<Stored>(t[3], m, h, 0), *y1 = at<Stored>(t[3], m, h, 1);
      for (int64_t j = 0; j < r_count; ++j) {
        y0[j] = Format::store(x0[j] * c[j] + -(x1[j] * s[j]));
        y1[j] = Format::store(x1[j] * c[j] + x0[j] * s[j]);
      }
    }
  }
}

// Tensors X, Y; sizes M, H, D; tiles of one token.
template <typename Format>
void copy_values(const bt_args *args) {
  using Stored = typename Format::Stored;
  const bt_tensor *t = args->tensors;
  const Range tokens = tile_range(args, args->sizes[0], 1);
  for (int64_t m = tokens.begin; m < tokens.end; ++m)
    for (int64_t h = 0; h < args->sizes[1]; ++h) {
      const float *x = at<float>(t[0], m, h);
      Stored *y = at<Stored>(t[1], m, h);
      for (int64_t d = 0; d < args->sizes[2]; ++d) y[d] = Format::store(x[d]);
    }
}

}  // namespace

void attention(const bt_args *args) { attend<Same>(args); }
void attention_f16(const bt_args *args) { attend<Half>(args); }
void attention_window(const bt_args *args) { attend<Same, true>(args); }
void attention_window_f16(const bt_args *args) { attend<Half, true>(args); }
void rope(const bt_args *args) { rotate<Same>(args); }
void rope_f16(const bt_args *args) { rotate<Half>(args); }
void kv_store(const bt_args *args) { copy_values<Same>(args); }
void kv_store_f16(const bt_args *args) { copy_values<Half>(args); }

}  // namespace bittern::runtime::scalar
