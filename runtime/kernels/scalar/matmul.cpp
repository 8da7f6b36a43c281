// Matrix products: ternary x int8, and the output head in bf16, f32 and int8; and the plain row-major weight layout.
#include <algorithm>
#include <array>
#include <cstring>

#include "runtime/kernels/scalar/scalar.h"

namespace bittern::runtime::scalar {
namespace {

int64_t row_bytes(int64_t k) { return (k + 3) / 4; }

int64_t rows_packed_bytes(int64_t n, int64_t k) { return n * row_bytes(k); }

void rows_pack(const int8_t *trits, int64_t row_stride, int64_t row0, int64_t rows, int64_t, int64_t k,
               uint8_t *packed) {
  const int64_t bytes = row_bytes(k);
  for (int64_t r = 0; r < rows; ++r) {
    const int8_t *row = trits + r * row_stride;
    uint8_t *out = packed + (row0 + r) * bytes;
    for (int64_t b = 0; b < bytes; ++b) {
      unsigned byte = 0;
      for (int i = 0; i < 4; ++i) {
        const int64_t column = 4 * b + i;
        byte |= static_cast<unsigned>((column < k ? row[column] : 0) + 1) << (2 * i);
      }
      out[b] = static_cast<uint8_t>(byte);
    }
  }
}

// The four trits of every byte.
constexpr auto kTrits = [] {
  std::array<std::array<int8_t, 4>, 256> table{};
  for (int byte = 0; byte < 256; ++byte)
    for (int i = 0; i < 4; ++i) table[byte][i] = static_cast<int8_t>((byte >> (2 * i) & 3) - 1);
  return table;
}();

void unpack_row(const uint8_t *packed, int64_t k, int8_t *trits) {
  for (int64_t b = 0; b < k / 4; ++b) std::memcpy(trits + 4 * b, kTrits[packed[b]].data(), 4);
  if (k % 4) std::memcpy(trits + k / 4 * 4, kTrits[packed[k / 4]].data(), static_cast<size_t>(k % 4));
}

void rows_unpack(const uint8_t *packed, int64_t row0, int64_t rows, int64_t, int64_t k, int8_t *trits,
                 int64_t row_stride) {
  for (int64_t r = 0; r < rows; ++r) unpack_row(packed + (row0 + r) * row_bytes(k), k, trits + r * row_stride);
}

int32_t dot(const int8_t *a, const int8_t *b, int64_t n) {
  int32_t sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<int16_t>(a[i]) * static_cast<int16_t>(b[i]);
  return sum;
}

template <typename T, typename Widen>
void float_head(const bt_args *args, Widen widen) {
  const bt_tensor *t = args->tensors;
  const int64_t m_count = args->sizes[0], k_count = args->sizes[2];
  const Range n = tile_range(args, args->sizes[1], kRowTile);
  for (int64_t row = n.begin; row < n.end; ++row) {
    const T *w = at<T>(t[0], row);
    for (int64_t m = 0; m < m_count; ++m) {
      const float *x = at<float>(t[1], m);
      at<float>(t[2], m)[row] = sum16(k_count, [&](int64_t k) { return widen(w[k]) * x[k]; });
    }
  }
}

}  // namespace

const bt_layout kRowsLayout = {"i2-rows", "1", 1, rows_packed_bytes, rows_pack, rows_unpack};

// Tensors W, ws, A, inv, asum, Y; sizes M, N, K. Scratch: one unpacked row.
void w2a8_matmul(const bt_args *args) {
  const bt_tensor *t = args->tensors;
  const int64_t m_count = args->sizes[0], k_count = args->sizes[2];
  const Range n = tile_range(args, args->sizes[1], kRowTile);
  const uint8_t *packed = at<uint8_t>(t[0]);
  const float *ws = at<float>(t[1]), *inv = at<float>(t[3]);
  auto *trits = static_cast<int8_t *>(args->scratch);
  for (int64_t row = n.begin; row < n.end; ++row) {
    unpack_row(packed + row * row_bytes(k_count), k_count, trits);
    for (int64_t m = 0; m < m_count; ++m) {
      const int32_t acc = dot(trits, at<int8_t>(t[2], m), k_count);
      at<float>(t[5], m)[row] = (static_cast<float>(acc) * inv[m]) * ws[row];
    }
  }
}

// As w2a8_matmul, with a scale for each G columns of a row; sizes M, N, K, G.
void w2a8_group_matmul(const bt_args *args) {
  const bt_tensor *t = args->tensors;
  const int64_t m_count = args->sizes[0], k_count = args->sizes[2], group = args->sizes[3];
  const Range n = tile_range(args, args->sizes[1], kRowTile);
  const uint8_t *packed = at<uint8_t>(t[0]);
  const float *inv = at<float>(t[3]);
  auto *trits = static_cast<int8_t *>(args->scratch);
  for (int64_t row = n.begin; row < n.end; ++row) {
    unpack_row(packed + row * row_bytes(k_count), k_count, trits);
    const float *ws = at<float>(t[1], row);
    for (int64_t m = 0; m < m_count; ++m) {
      const int8_t *a = at<int8_t>(t[2], m);
      at<float>(t[5], m)[row] = sum16(k_count / group, [&](int64_t g) {
        return (static_cast<float>(dot(trits + g * group, a + g * group, group)) * ws[g]) * inv[m];
      });
    }
  }
}

// Tensors A, asum; sizes M, K, G.
void group_sums(const bt_args *args) {
  const bt_tensor *t = args->tensors;
  const int64_t group = args->sizes[2];
  const Range m = tile_range(args, args->sizes[0], 1);
  for (int64_t i = m.begin; i < m.end; ++i) {
    const int8_t *a = at<int8_t>(t[0], i);
    int32_t *sums = at<int32_t>(t[1], i);
    for (int64_t g = 0; g < args->sizes[1] / group; ++g) {
      sums[g] = 0;
      for (int64_t j = 0; j < group; ++j) sums[g] += a[g * group + j];
    }
  }
}

// Tensors W, ws, A, inv, Y; sizes M, N, K.
void head_int8(const bt_args *args) {
  const bt_tensor *t = args->tensors;
  const int64_t m_count = args->sizes[0], k_count = args->sizes[2];
  const Range n = tile_range(args, args->sizes[1], kRowTile);
  const float *ws = at<float>(t[1]), *inv = at<float>(t[3]);
  for (int64_t row = n.begin; row < n.end; ++row)
    for (int64_t m = 0; m < m_count; ++m) {
      const int32_t acc = dot(at<int8_t>(t[0], row), at<int8_t>(t[2], m), k_count);
      at<float>(t[4], m)[row] = (static_cast<float>(acc) * inv[m]) * ws[row];
    }
}

// Tensors W, X, Y; sizes M, N, K.
void head_bf16(const bt_args *args) { float_head<uint16_t>(args, bf16_to_f32); }
void head_f32(const bt_args *args) {
  float_head<float>(args, [](float w) { return w; });
}

}  // namespace bittern::runtime::scalar
