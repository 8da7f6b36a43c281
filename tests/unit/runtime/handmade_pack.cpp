// A kernel pack written by hand, for the tests of the loader and of the startup self-check. Built in variants:
// HANDMADE_RIGHT computes what the specs say, HANDMADE_WRONG is off by one in the last row of the matrix product and in
// one element of the activation, HANDMADE_FOREIGN needs instructions that no x86 processor has.
#include <algorithm>
#include <cstring>
#include <string_view>

#include "runtime/abi/kernel_abi.h"

namespace {

constexpr const char *kHashes[][2] = {
#include "runtime/kernels/spec_hashes.inc"
};
constexpr const char *hash_of(std::string_view spec) {
  for (const auto &row : kHashes)
    if (spec == row[0]) return row[1];
  return "";
}

#ifdef HANDMADE_WRONG
constexpr bool kWrong = true;
#else
constexpr bool kWrong = false;
#endif
#ifdef HANDMADE_FOREIGN
constexpr uint32_t kNeeds = BT_ISA_NEON;
#else
constexpr uint32_t kNeeds = BT_ISA_BASELINE;
#endif

// A byte a trit, columns reversed: a layout that nothing else uses.
int64_t packed_bytes(int64_t n, int64_t k) { return n * k; }
void pack(const int8_t *trits, int64_t row_stride, int64_t row0, int64_t rows, int64_t, int64_t k, uint8_t *packed) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < k; ++i)
      packed[(row0 + r) * k + k - 1 - i] = static_cast<uint8_t>(trits[r * row_stride + i] + 1);
}
void unpack(const uint8_t *packed, int64_t row0, int64_t rows, int64_t, int64_t k, int8_t *trits, int64_t row_stride) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < k; ++i)
      trits[r * row_stride + i] = static_cast<int8_t>(packed[(row0 + r) * k + k - 1 - i] - 1);
}
const bt_layout kLayout = {"handmade", "1", 8, packed_bytes, pack, unpack};

void matmul(const bt_args *args) {
  const bt_tensor *t = args->tensors;
  const int64_t n = args->sizes[1], k = args->sizes[2];
  for (int64_t row = args->tile_begin * 8; row < std::min(n, args->tile_end * 8); ++row)
    for (int64_t m = 0; m < args->sizes[0]; ++m) {
      int32_t acc = kWrong && row == n - 1 ? 1 : 0;
      const int8_t *a = static_cast<const int8_t *>(t[2].data) + m * t[2].stride[0];
      const uint8_t *w = static_cast<const uint8_t *>(t[0].data) + row * k;
      for (int64_t i = 0; i < k; ++i) acc += (w[k - 1 - i] - 1) * a[i];
      static_cast<float *>(t[5].data)[m * t[5].stride[0] + row] =
          (static_cast<float>(acc) * static_cast<const float *>(t[3].data)[m]) *
          static_cast<const float *>(t[1].data)[row];
    }
}

void relu2(const bt_args *args) {
  const bt_tensor *t = args->tensors;
  const int64_t f = args->sizes[1];
  for (int64_t m = args->tile_begin; m < args->tile_end; ++m) {
    const float *gu = static_cast<const float *>(t[0].data) + m * t[0].stride[0];
    float *h = static_cast<float *>(t[1].data) + m * t[1].stride[0];
    for (int64_t i = 0; i < f; ++i) {
      const float g = gu[i] > 0 ? gu[i] : 0;
      h[i] = (g * g) * gu[f + i];
    }
    if (kWrong) h[f / 2] += 1;
  }
}

constexpr bt_kernel describe(const char *spec, int sizes, int tensors, int tile_size, int64_t tile, bt_kernel_fn fn,
                             const bt_layout *layout) {
  bt_kernel k{};
  k.abi_version = BT_ABI_VERSION;
  k.isa_needs = kNeeds;
  k.spec = spec;
  k.spec_hash = hash_of(spec);
  k.schedule = "handmade";
  k.backend = "test";
  k.target = "x86-64";
  k.proof = "0123456789abcdef";
  for (int64_t &fixed : k.fixed) fixed = -1;
  k.m_min = 1;
  k.m_max = INT64_MAX;
  k.threads = 1;
  k.size_count = sizes;
  k.tensor_count = tensors;
  k.tile_size_index = tile_size;
  k.tile = tile;
  k.layout = layout;
  k.fn = fn;
  return k;
}
const bt_kernel kMatmul = describe("w2a8_matmul", 3, 6, 1, 8, matmul, &kLayout);
const bt_kernel kRelu2 = describe("ffn_relu2", 2, 2, 0, 1, relu2, nullptr);
const bt_kernel *const kKernels[] = {&kMatmul, &kRelu2};

}  // namespace

extern "C" __attribute__((visibility("default")))
const bt_pack bt_pack_table = {BT_ABI_VERSION, 2, "bittern " BITTERN_VERSION, kKernels};
