/* BitNet b1.58 matrix products, Y = (A * inv) (W * scales)^T, for ternary weights W (-1, 0, 1) and int8 activations A.
 *
 * Written by bitnet-emit for fixed weight shapes. Every kernel was compiled for one N x K, one range of M and one
 * instruction set; which set runs is chosen from the processor at run time. Integer sums are exact: all instruction
 * sets, batch sizes and ways to split the work give the same bits.
 *
 * The library starts no threads, keeps no state and needs nothing but a C library (malloc, free, memcpy, memset).
 * Every function may be called from any thread. Functions that return a bittern_status do nothing but return it when
 * an argument is at fault. Pointers that are not NULL are trusted; only handles are checked.
 *
 *   const bittern_kernels *k = bittern_find(n, k_size);            NULL: no such shape in the library
 *   uint8_t *packed = malloc(bittern_packed_bytes(k));             once per matrix
 *   bittern_pack(k, BITTERN_TRITS, trits, 0, n, packed);
 *   bittern_quantise(k, m, x, k_size, &activations, scratch, size);
 *   bittern_matmul(k, m, packed, scales, &activations, y, n, n0, n1, scratch, size);    one call a thread
 *
 * Sizes: N is the number of rows of W (outputs), K the number of columns (inputs), M the number of tokens. */
#ifndef BITTERN_KERNELS_H
#define BITTERN_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef BITTERN_KERNELS_BUILD /* only these are seen outside of the library */
#pragma GCC visibility push(default)
#endif

/* Raised when a declaration below changes. */
#define BITTERN_KERNELS_API 1

typedef enum bittern_status {
  BITTERN_OK = 0,
  BITTERN_NULL_POINTER = 1, /* a pointer that is needed is NULL */
  BITTERN_BAD_HANDLE = 2,   /* not a handle that bittern_find gave */
  BITTERN_BAD_SIZE = 3,     /* M below 1, a stride shorter than a row or above 2^31 - 1, scratch too small */
  BITTERN_BAD_RANGE = 4,    /* rows outside 0 .. N, or not cut at multiples of bittern_row_step() */
  BITTERN_BAD_FORMAT = 5,   /* no such weight format, or a shape that the format cannot hold */
  BITTERN_NOT_A_TRIT = 6,   /* a weight that is not -1, 0 or 1, or a code that stands for none of them */
  BITTERN_OUT_OF_MEMORY = 7
} bittern_status;

/* English text for a status, never NULL. */
const char *bittern_status_text(bittern_status status);

/* The kernels of one shape for one instruction set: a constant of the library, never freed. */
typedef struct bittern_kernels bittern_kernels;

/* ---- what is in the library ------------------------------------------------------------------------------------ */

/* The generator, for example "bittern 0.1.0". */
const char *bittern_version(void);

/* Instruction sets ("x86-64-avx2") that kernels were made for, the preferred one last; NULL past the end. */
const char *bittern_target(int index);
/* Whether this processor and its operating system run the instruction set: 1 or 0, also 0 for an unknown name. */
int bittern_target_runs(const char *target);
/* The instruction set that bittern_find uses on this machine; NULL when the library has none that runs here. */
const char *bittern_chosen_target(void);

/* Shape number `index`, from 0. Returns 1 and writes N and K, or returns 0 past the end; n and k may be NULL. */
int bittern_shape(int index, int64_t *n, int64_t *k);

/* The kernels for an N x K matrix and this machine's best instruction set, or NULL when there are none. */
const bittern_kernels *bittern_find(int64_t n, int64_t k);
/* The same for a named instruction set; NULL when it is not in the library or does not run here. */
const bittern_kernels *bittern_find_target(const char *target, int64_t n, int64_t k);

/* About a handle: its shape and instruction set, and how W is laid out. NULL or 0 for a bad handle. */
int64_t bittern_rows(const bittern_kernels *kernels);    /* N */
int64_t bittern_columns(const bittern_kernels *kernels); /* K */
const char *bittern_target_of(const bittern_kernels *kernels);
/* Packed weights may be stored and used again where this text is the same. It names the layout and its version, for
 * example "i2q32" and "1.k4x4.k1x4.n1x8.n8x4.k16x0.n32x0"; instruction sets may differ in it. */
const char *bittern_layout(const bittern_kernels *kernels);
const char *bittern_layout_version(const bittern_kernels *kernels);
/* The kernel that runs for M tokens: its schedule ("llvm.gemv{...}") and the id of its proof ("" when the machine that
 * made the library could not execute it). NULL for a bad handle or M below 1. */
const char *bittern_schedule(const bittern_kernels *kernels, int64_t m);
const char *bittern_proof(const bittern_kernels *kernels, int64_t m);

/* ---- weights --------------------------------------------------------------------------------------------------- */

/* Where weights come from. `source` is always the whole matrix. */
typedef enum bittern_format {
  /* int8 of -1, 0, 1; N rows of K, one after the other. */
  BITTERN_TRITS = 0,
  /* Hugging Face transformers (BitNet models): uint8 [N / 4, K]; the byte at (i, j) holds rows i, i + N/4, i + 2N/4 and
   * i + 3N/4 of column j from its lowest two bits up; code = trit + 1. N must be a multiple of 4. */
  BITTERN_TRANSFORMERS = 1,
  /* Two bits a weight, code = trit + 1, N rows of ceil(K / 4) bytes, the first column in the lowest bits. */
  BITTERN_CODES = 2,
  /* bitnet.cpp's I2_S in GGUF files, as x86-64 builds write it: blocks of 128 weights in 32 bytes through the whole
   * matrix, weight i of a block in byte i % 32, the first 32 in the top bits; code = trit + 1. N * K must be a multiple
   * of 128. The float behind the codes is the matrix's scale. */
  BITTERN_I2S_128 = 3,
  /* The same in blocks of 64 weights in 16 bytes, as ARM builds write it. N * K must be a multiple of 64. */
  BITTERN_I2S_64 = 4
} bittern_format;

/* Bytes of the packed matrix, all of which bittern_pack writes; 0 for a bad handle. No alignment is needed, 64 is
 * best. */
size_t bittern_packed_bytes(const bittern_kernels *kernels);

/* Packs rows [n0, n1) of W into `packed`, which points to the whole packed matrix. n0 and n1 are multiples of
 * bittern_row_step(), or n1 = N; different ranges may be packed by different threads. Rows before the first bad weight
 * may have been written when it returns BITTERN_NOT_A_TRIT. Uses malloc for a few rows, unless format is
 * BITTERN_TRITS. */
bittern_status bittern_pack(const bittern_kernels *kernels, bittern_format format, const void *source, int64_t n0,
                            int64_t n1, void *packed);

/* The way back: rows [n0, n1) as int8 of -1, 0, 1, (n1 - n0) x K, one row after the other. n0 and n1 as above. */
bittern_status bittern_unpack(const bittern_kernels *kernels, const void *packed, int64_t n0, int64_t n1,
                              int8_t *trits);

/* ---- activations ----------------------------------------------------------------------------------------------- */

/* M rows of quantised activations, all memory the caller's. */
typedef struct bittern_activations {
  int8_t *values; /* M rows of K, `stride` apart; zeros from K to the next multiple of 64 */
  int64_t stride; /* elements; at least bittern_activation_stride() and a multiple of 64 */
  float *inverse; /* M: what one unit of a row's values is worth, absmax / 127 */
  int32_t *sums;  /* M: the sum of a row's K values, which the kernels subtract for their offset codes */
} bittern_activations;

/* The least stride of a row of values: K rounded up to a multiple of 64. 0 for a bad handle. */
int64_t bittern_activation_stride(const bittern_kernels *kernels);

/* Quantises M rows of x (float, K wide, x_stride elements apart) as BitNet b1.58 does, token by token:
 * values = clamp(round_to_even(x * (127 / absmax)), -128, 127) with absmax at least 1e-5. Writes all that `out` points
 * to, padding included. Rows may be split among threads: advance the pointers of x and of `out`. */
bittern_status bittern_quantise(const bittern_kernels *kernels, int64_t m, const float *x, int64_t x_stride,
                                const bittern_activations *out, void *scratch, size_t scratch_bytes);

/* ---- products -------------------------------------------------------------------------------------------------- */

/* Scratch memory that one call of bittern_quantise or bittern_matmul with up to M tokens needs; may be 0, and is 0 for
 * a bad handle or M below 1. Each thread needs its own. No alignment is needed. */
size_t bittern_scratch_bytes(const bittern_kernels *kernels, int64_t m);

/* Work is cut at multiples of this many rows of W. 0 for a bad handle. */
int64_t bittern_row_step(const bittern_kernels *kernels);

/* The rows [*n0, *n1) of part `part` of `parts` equal parts, 0 <= part < parts; empty (n0 = n1) when there are more
 * parts than steps. */
bittern_status bittern_split(const bittern_kernels *kernels, int64_t part, int64_t parts, int64_t *n0, int64_t *n1);

/* y[m * y_stride + n] = (float(sum over k of values[m][k] * W[n][k]) * inverse[m]) * scales[n], for all M tokens and
 * the rows n in [n0, n1) of W; nothing else of y is written. `packed` and `scales` (N multipliers) belong to the whole
 * matrix, y is M rows of N floats, y_stride elements apart. n0 and n1 are multiples of bittern_row_step(), or n1 = N:
 * threads share a product by taking different ranges. */
bittern_status bittern_matmul(const bittern_kernels *kernels, int64_t m, const void *packed, const float *scales,
                              const bittern_activations *activations, float *y, int64_t y_stride, int64_t n0,
                              int64_t n1, void *scratch, size_t scratch_bytes);

#ifdef BITTERN_KERNELS_BUILD
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
