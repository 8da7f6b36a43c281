/* Weights of other formats to a layout's packed bytes and back. */
#include "codegen/library/internal.h"

/* Codes of two bits, trit + 1: `count` of them, `step` bytes apart from `bytes` on, at `shift`. Returns whether one was
 * 3, which is no trit. */
static unsigned read_codes(const uint8_t *bytes, int shift, int64_t count, int8_t *trits, int64_t trit_step) {
  unsigned bad = 0;
  for (int64_t i = 0; i < count; ++i) {
    const unsigned code = bytes[i] >> shift & 3u;
    bad |= code & code >> 1;
    trits[i * trit_step] = (int8_t)((int)code - 1);
  }
  return bad;
}

/* Rows of each format to trits. Return whether a code was none. */
static unsigned read_transformers(const uint8_t *source, int64_t n, int64_t k, int64_t row, int8_t *trits) {
  const int64_t quarter = n / 4;
  return read_codes(source + row % quarter * k, (int)(2 * (row / quarter)), k, trits, 1);
}

static unsigned read_rows(const uint8_t *source, int64_t n, int64_t k, int64_t row, int8_t *trits) {
  (void)n;
  const uint8_t *bytes = source + row * ((k + 3) / 4);
  unsigned bad = 0;
  for (int field = 0; field < 4; ++field) bad |= read_codes(bytes, 2 * field, (k - field + 3) / 4, trits + field, 4);
  return bad;
}

/* Blocks of four lanes in `lane` bytes, the first lane in the top bits; a block may begin within a row. */
static unsigned read_blocks(const uint8_t *source, int64_t lane, int64_t k, int64_t row, int8_t *trits) {
  unsigned bad = 0;
  for (int64_t column = 0; column < k;) {
    const int64_t element = row * k + column, in_block = element % (4 * lane), rest = lane - in_block % lane;
    const int64_t run = rest < k - column ? rest : k - column;
    bad |= read_codes(source + element / (4 * lane) * lane + in_block % lane, (int)(6 - 2 * (in_block / lane)), run,
                      trits + column, 1);
    column += run;
  }
  return bad;
}

static unsigned read_i2s_128(const uint8_t *source, int64_t n, int64_t k, int64_t row, int8_t *trits) {
  (void)n;
  return read_blocks(source, 32, k, row, trits);
}

static unsigned read_i2s_64(const uint8_t *source, int64_t n, int64_t k, int64_t row, int8_t *trits) {
  (void)n;
  return read_blocks(source, 16, k, row, trits);
}

/* By bittern_format: how a row is read (NULL: it is trits already) and what N and N * K must be multiples of. */
typedef struct {
  unsigned (*read)(const uint8_t *source, int64_t n, int64_t k, int64_t row, int8_t *trits);
  int64_t rows, weights;
} format_row;
static const format_row formats[] = {
    {NULL, 1, 1}, {read_transformers, 4, 1}, {read_rows, 1, 1}, {read_i2s_128, 1, 128}, {read_i2s_64, 1, 64}};

static int all_trits(const int8_t *trits, int64_t count) {
  int bad = 0;
  for (int64_t i = 0; i < count; ++i) bad |= trits[i] < -1 || trits[i] > 1;
  return !bad;
}

size_t bittern_packed_bytes(const bittern_kernels *kernels) {
  const bittern_row row = bittern_row_of(kernels);
  if (!row) return 0;
  return (size_t)(*row)->layout->packed_bytes((*row)->fixed[BITTERN_SIZE_N], (*row)->fixed[BITTERN_SIZE_K]);
}

bittern_status bittern_pack(const bittern_kernels *kernels, bittern_format format, const void *source, int64_t n0,
                            int64_t n1, void *packed) {
  if (!kernels || !source || !packed) return BITTERN_NULL_POINTER;
  const bittern_row row = bittern_row_of(kernels);
  if (!row) return BITTERN_BAD_HANDLE;
  const int64_t n = (*row)->fixed[BITTERN_SIZE_N], k = (*row)->fixed[BITTERN_SIZE_K];
  const unsigned index = (unsigned)format;
  if (index >= sizeof formats / sizeof *formats || n % formats[index].rows != 0 || n * k % formats[index].weights != 0)
    return BITTERN_BAD_FORMAT;
  const bittern_status rows = bittern_check_rows(row, n0, n1);
  if (rows != BITTERN_OK) return rows;

  const bt_layout *layout = (*row)->layout;
  const int64_t tile = layout->row_tile;
  int8_t *buffer = NULL;
  if (formats[index].read && !(buffer = malloc((size_t)(tile * k)))) return BITTERN_OUT_OF_MEMORY;
  bittern_status status = BITTERN_OK;
  for (int64_t first = n0; first < n1 && status == BITTERN_OK; first += tile) {
    const int64_t count = n1 - first < tile ? n1 - first : tile;
    const int8_t *trits = (const int8_t *)source + first * k;
    if (buffer) {
      unsigned bad = 0;
      for (int64_t i = 0; i < count; ++i) bad |= formats[index].read(source, n, k, first + i, buffer + i * k);
      if (bad) status = BITTERN_NOT_A_TRIT;
      trits = buffer;
    } else if (!all_trits(trits, count * k)) {
      status = BITTERN_NOT_A_TRIT;
    }
    if (status == BITTERN_OK) layout->pack(trits, k, first, count, n, k, packed);
  }
  free(buffer);
  return status;
}

bittern_status bittern_unpack(const bittern_kernels *kernels, const void *packed, int64_t n0, int64_t n1,
                              int8_t *trits) {
  if (!kernels || !packed || !trits) return BITTERN_NULL_POINTER;
  const bittern_row row = bittern_row_of(kernels);
  if (!row) return BITTERN_BAD_HANDLE;
  const bittern_status rows = bittern_check_rows(row, n0, n1);
  if (rows != BITTERN_OK || n0 == n1) return rows;
  const int64_t k = (*row)->fixed[BITTERN_SIZE_K];
  (*row)->layout->unpack(packed, n0, n1 - n0, (*row)->fixed[BITTERN_SIZE_N], k, trits, k);
  return BITTERN_OK;
}
