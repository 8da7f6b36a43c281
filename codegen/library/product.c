/* Quantising and multiplying: arguments are checked, the kernel for M is found, long batches go in pieces. */
#include "codegen/library/internal.h"
#include "runtime/abi/float_control.h"

/* More tokens than any kernel gains from; pieces keep scratch memory small and 32-bit element offsets in range. */
static const int64_t kMostTokens = 4096;

static int64_t piece(int64_t m, int64_t stride_a, int64_t stride_b) {
  const int64_t stride = stride_a > stride_b ? stride_a : stride_b, fits = INT32_MAX / stride;
  const int64_t most = fits < kMostTokens ? fits : kMostTokens;
  return m < most ? m : most;
}

static int64_t scratch_of(const bt_kernel *kernel, int64_t m, int64_t n, int64_t k) {
  int64_t sizes[3] = {m, n, k};
  if (!bittern_is_product(kernel)) sizes[1] = k;
  return bt_scratch_bytes(kernel, sizes);
}

/* Scratch memory begins at a multiple of this. */
enum { SCRATCH_ALIGN = 64 };

size_t bittern_scratch_bytes(const bittern_kernels *kernels, int64_t m) {
  const bittern_row first = bittern_row_of(kernels);
  if (!first || m < 1) return 0;
  if (m > kMostTokens) m = kMostTokens;
  const int64_t n = (*first)->fixed[BITTERN_SIZE_N], k = (*first)->fixed[BITTERN_SIZE_K];
  int64_t most = scratch_of(bittern_quantiser(first), m, n, k);
  /* The last piece of a batch may be shorter, so every kernel for fewer tokens counts too. */
  const bittern_row end = bittern_row_end(first);
  for (bittern_row row = first; row < end && (*row)->m_min <= m; ++row) {
    const int64_t bytes = scratch_of(*row, (*row)->m_max < m ? (*row)->m_max : m, n, k);
    if (bytes > most) most = bytes;
  }
  return most > 0 ? (size_t)most + SCRATCH_ALIGN - 1 : 0;
}

static void *aligned(void *scratch) {
  return (void *)(((uintptr_t)scratch + SCRATCH_ALIGN - 1) / SCRATCH_ALIGN * SCRATCH_ALIGN);
}

static bittern_status check_scratch(const bittern_kernels *kernels, int64_t m, const void *scratch, size_t bytes) {
  const size_t needed = bittern_scratch_bytes(kernels, m);
  if (needed > 0 && !scratch) return BITTERN_NULL_POINTER;
  return bytes < needed ? BITTERN_BAD_SIZE : BITTERN_OK;
}

static int good_stride(int64_t stride, int64_t least) { return stride >= least && stride <= INT32_MAX; }

int64_t bittern_activation_stride(const bittern_kernels *kernels) {
  const bittern_row row = bittern_row_of(kernels);
  return row ? ((*row)->fixed[BITTERN_SIZE_K] + BT_ROW_PAD - 1) / BT_ROW_PAD * BT_ROW_PAD : 0;
}

static bittern_status check_activations(const bittern_kernels *kernels, const bittern_activations *a) {
  if (!a->values || !a->inverse || !a->sums) return BITTERN_NULL_POINTER;
  if (!good_stride(a->stride, bittern_activation_stride(kernels)) || a->stride % BT_ROW_PAD != 0)
    return BITTERN_BAD_SIZE;
  return BITTERN_OK;
}

bittern_status bittern_quantise(const bittern_kernels *kernels, int64_t m, const float *x, int64_t x_stride,
                                const bittern_activations *out, void *scratch, size_t scratch_bytes) {
  if (!kernels || !x || !out) return BITTERN_NULL_POINTER;
  const bittern_row row = bittern_row_of(kernels);
  if (!row) return BITTERN_BAD_HANDLE;
  const int64_t k = (*row)->fixed[BITTERN_SIZE_K];
  if (m < 1 || !good_stride(x_stride, k)) return BITTERN_BAD_SIZE;
  bittern_status status = check_activations(kernels, out);
  if (status == BITTERN_OK) status = check_scratch(kernels, m, scratch, scratch_bytes);
  if (status != BITTERN_OK) return status;

  const bt_kernel *quantiser = bittern_quantiser(row);
  const uint64_t control = bt_enter_float_control();
  for (int64_t at = 0; at < m;) {
    const int64_t count = piece(m - at, x_stride, out->stride);
    const bt_tensor tensors[] = {{(void *)(uintptr_t)(x + at * x_stride), {x_stride, 1, 0, 0}},
                                 {out->values + at * out->stride, {out->stride, 1, 0, 0}},
                                 {out->inverse + at, {1, 0, 0, 0}},
                                 {out->sums + at, {1, 0, 0, 0}}};
    const int64_t sizes[] = {count, k};
    const bt_args args = {tensors, sizes, NULL, 0, bt_tile_count(quantiser, sizes), aligned(scratch)};
    quantiser->fn(&args);
    at += count;
  }
  bt_leave_float_control(control);
  return BITTERN_OK;
}

bittern_status bittern_matmul(const bittern_kernels *kernels, int64_t m, const void *packed, const float *scales,
                              const bittern_activations *activations, float *y, int64_t y_stride, int64_t n0,
                              int64_t n1, void *scratch, size_t scratch_bytes) {
  if (!kernels || !packed || !scales || !activations || !y) return BITTERN_NULL_POINTER;
  const bittern_row row = bittern_row_of(kernels);
  if (!row) return BITTERN_BAD_HANDLE;
  const int64_t n = (*row)->fixed[BITTERN_SIZE_N], k = (*row)->fixed[BITTERN_SIZE_K];
  if (m < 1 || !good_stride(y_stride, n)) return BITTERN_BAD_SIZE;
  bittern_status status = check_activations(kernels, activations);
  if (status == BITTERN_OK) status = check_scratch(kernels, m, scratch, scratch_bytes);
  if (status == BITTERN_OK) status = bittern_check_rows(row, n0, n1);
  if (status != BITTERN_OK || n0 == n1) return status;

  const bittern_activations *a = activations;
  const uint64_t control = bt_enter_float_control();
  for (int64_t at = 0; at < m;) {
    const int64_t count = piece(m - at, a->stride, y_stride);
    const bt_kernel *kernel = bittern_row_for(row, count);
    const bt_tensor tensors[] = {{(void *)(uintptr_t)packed, {0, 0, 0, 0}},
                                 {(void *)(uintptr_t)scales, {1, 0, 0, 0}},
                                 {a->values + at * a->stride, {a->stride, 1, 0, 0}},
                                 {a->inverse + at, {1, 0, 0, 0}},
                                 {a->sums + at, {1, 0, 0, 0}},
                                 {y + at * y_stride, {y_stride, 1, 0, 0}}};
    const int64_t sizes[] = {count, n, k};
    /* Rows are cut at a multiple of every tile, or at the end. */
    const bt_args args = {tensors,         sizes, NULL, n0 / kernel->tile, (n1 + kernel->tile - 1) / kernel->tile,
                          aligned(scratch)};
    kernel->fn(&args);
    at += count;
  }
  bt_leave_float_control(control);
  return BITTERN_OK;
}
