/* What is in the library and which of it runs here. */
#include "codegen/library/internal.h"

static int same_text(const char *a, const char *b) {
  while (*a && *a == *b) ++a, ++b;
  return *a == *b;
}

static int runs_here(const bt_kernel *kernel) { return (kernel->isa_needs & ~bittern_cpu_isa()) == 0; }

static int same_shape(const bt_kernel *a, const bt_kernel *b) {
  return bittern_is_product(a) && bittern_is_product(b) && a->fixed[BITTERN_SIZE_N] == b->fixed[BITTERN_SIZE_N] &&
         a->fixed[BITTERN_SIZE_K] == b->fixed[BITTERN_SIZE_K] && same_text(a->target, b->target);
}

static int begins_shape(bittern_row row) {
  return bittern_is_product(*row) && (row == bt_pack_table.kernels || !same_shape(row[-1], *row));
}

const char *bittern_status_text(bittern_status status) {
  static const char *const texts[] = {"done",
                                      "a pointer is NULL",
                                      "the handle is not one of this library",
                                      "a size, stride or scratch size is out of range",
                                      "the rows are outside the matrix or not at a multiple of the row step",
                                      "the weight format is unknown or cannot hold this shape",
                                      "a weight is none of -1, 0 and 1",
                                      "out of memory"};
  const unsigned index = (unsigned)status;
  return index < sizeof texts / sizeof *texts ? texts[index] : "unknown status";
}

const char *bittern_version(void) { return bt_pack_table.generator; }

const char *bittern_target(int index) {
  const char *last = NULL;
  for (bittern_row row = bt_pack_table.kernels; row < bittern_table_end(); ++row) {
    if (last && same_text(last, (*row)->target)) continue;
    last = (*row)->target;
    if (index-- == 0) return last;
  }
  return NULL;
}

int bittern_target_runs(const char *target) {
  if (!target) return 0;
  for (bittern_row row = bt_pack_table.kernels; row < bittern_table_end(); ++row)
    if (same_text((*row)->target, target)) return runs_here(*row);
  return 0;
}

const char *bittern_chosen_target(void) {
  const char *best = NULL;
  for (bittern_row row = bt_pack_table.kernels; row < bittern_table_end(); ++row)
    if (runs_here(*row)) best = (*row)->target;
  return best;
}

int bittern_shape(int index, int64_t *n, int64_t *k) {
  /* Every target has the same shapes in the same order. */
  for (bittern_row row = bt_pack_table.kernels; index >= 0 && row < bittern_table_end(); ++row) {
    if (!same_text((*row)->target, bt_pack_table.kernels[0]->target)) break;
    if (!begins_shape(row) || index-- != 0) continue;
    if (n) *n = (*row)->fixed[BITTERN_SIZE_N];
    if (k) *k = (*row)->fixed[BITTERN_SIZE_K];
    return 1;
  }
  return 0;
}

static const bittern_kernels *find(const char *target, int64_t n, int64_t k) {
  const bittern_kernels *best = NULL;
  for (bittern_row row = bt_pack_table.kernels; row < bittern_table_end(); ++row) {
    const bt_kernel *kernel = *row;
    if (!bittern_is_product(kernel) || kernel->fixed[BITTERN_SIZE_N] != n || kernel->fixed[BITTERN_SIZE_K] != k)
      continue;
    if (!begins_shape(row) || !runs_here(kernel) || (target && !same_text(kernel->target, target))) continue;
    best = (const bittern_kernels *)row;
  }
  return best;
}

const bittern_kernels *bittern_find(int64_t n, int64_t k) { return find(NULL, n, k); }

const bittern_kernels *bittern_find_target(const char *target, int64_t n, int64_t k) {
  return target ? find(target, n, k) : NULL;
}

bittern_row bittern_row_of(const bittern_kernels *kernels) {
  const uintptr_t first = (uintptr_t)bt_pack_table.kernels, at = (uintptr_t)kernels;
  if (at < first || at >= (uintptr_t)bittern_table_end() || (at - first) % sizeof(bt_kernel *) != 0) return NULL;
  const bittern_row row = (bittern_row)kernels;
  return begins_shape(row) && runs_here(*row) ? row : NULL;
}

bittern_row bittern_row_end(bittern_row first) {
  bittern_row row = first + 1;
  while (row < bittern_table_end() && same_shape(*first, *row)) ++row;
  return row;
}

const bt_kernel *bittern_row_for(bittern_row first, int64_t m) {
  while ((*first)->m_max < m) ++first;
  return *first;
}

const bt_kernel *bittern_quantiser(bittern_row first) {
  while (bittern_is_product(*first)) --first;
  return *first;
}

static int64_t common_multiple(int64_t a, int64_t b) {
  int64_t x = a, y = b;
  while (y) {
    const int64_t rest = x % y;
    x = y;
    y = rest;
  }
  return a / x * b;
}

int64_t bittern_step_of(bittern_row first) {
  int64_t step = (*first)->layout->row_tile;
  const bittern_row end = bittern_row_end(first);
  for (bittern_row row = first; row < end; ++row) step = common_multiple(step, (*row)->tile);
  return step;
}

bittern_status bittern_check_rows(bittern_row first, int64_t n0, int64_t n1) {
  const int64_t n = (*first)->fixed[BITTERN_SIZE_N], step = bittern_step_of(first);
  if (n0 < 0 || n0 > n1 || n1 > n) return BITTERN_BAD_RANGE;
  if ((n0 % step != 0 && n0 != n) || (n1 % step != 0 && n1 != n)) return BITTERN_BAD_RANGE;
  return BITTERN_OK;
}

int64_t bittern_rows(const bittern_kernels *kernels) {
  const bittern_row row = bittern_row_of(kernels);
  return row ? (*row)->fixed[BITTERN_SIZE_N] : 0;
}

int64_t bittern_columns(const bittern_kernels *kernels) {
  const bittern_row row = bittern_row_of(kernels);
  return row ? (*row)->fixed[BITTERN_SIZE_K] : 0;
}

const char *bittern_target_of(const bittern_kernels *kernels) {
  const bittern_row row = bittern_row_of(kernels);
  return row ? (*row)->target : NULL;
}

const char *bittern_layout(const bittern_kernels *kernels) {
  const bittern_row row = bittern_row_of(kernels);
  return row ? (*row)->layout->name : NULL;
}

const char *bittern_layout_version(const bittern_kernels *kernels) {
  const bittern_row row = bittern_row_of(kernels);
  return row ? (*row)->layout->version : NULL;
}

const char *bittern_schedule(const bittern_kernels *kernels, int64_t m) {
  const bittern_row row = bittern_row_of(kernels);
  return row && m >= 1 ? bittern_row_for(row, m)->schedule : NULL;
}

const char *bittern_proof(const bittern_kernels *kernels, int64_t m) {
  const bittern_row row = bittern_row_of(kernels);
  return row && m >= 1 ? bittern_row_for(row, m)->proof : NULL;
}

int64_t bittern_row_step(const bittern_kernels *kernels) {
  const bittern_row row = bittern_row_of(kernels);
  return row ? bittern_step_of(row) : 0;
}

bittern_status bittern_split(const bittern_kernels *kernels, int64_t part, int64_t parts, int64_t *n0, int64_t *n1) {
  if (!kernels || !n0 || !n1) return BITTERN_NULL_POINTER;
  const bittern_row row = bittern_row_of(kernels);
  if (!row) return BITTERN_BAD_HANDLE;
  if (parts < 1 || part < 0 || part >= parts) return BITTERN_BAD_SIZE;
  const int64_t n = (*row)->fixed[BITTERN_SIZE_N], step = bittern_step_of(row), steps = (n + step - 1) / step;
  /* The first steps % parts parts have one step more. */
  const int64_t each = steps / parts, more = steps % parts;
  const int64_t begin = part * each + (part < more ? part : more), end = begin + each + (part < more ? 1 : 0);
  *n0 = begin * step < n ? begin * step : n;
  *n1 = end * step < n ? end * step : n;
  return BITTERN_OK;
}
