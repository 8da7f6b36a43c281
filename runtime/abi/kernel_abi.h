/* The C ABI between generated kernels and everything that calls them. Plain C, includes only <stdint.h>.
 *
 * A kernel is one single-threaded function over a range of tiles; whoever calls it owns the threads, the
 * memory and the proof. A kernel touches only the memory its arguments describe, calls nothing but
 * memcpy/memset, allocates nothing and keeps no state. */
#ifndef BITTERN_KERNEL_ABI_H
#define BITTERN_KERNEL_ABI_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define BT_ABI_VERSION 2u
#define BT_MAX_RANK 4
#define BT_MAX_SIZES 8
/* Activation rows (tensors declared `pad 64`) have a stride that is a multiple of this many elements,
 * and every element between the row's end and the next multiple is zero. */
#define BT_ROW_PAD 64

/* One tensor of a call. `data` may be unaligned unless the kernel's owner allocated it so. Strides count
 * elements; the innermost stride is always 1. A ternary tensor is its layout's packed bytes (strides unused). */
typedef struct bt_tensor {
  void *data;
  int64_t stride[BT_MAX_RANK];
} bt_tensor;

/* One call. The order of tensors, sizes and scalars is the order in which the kernel text declares them. */
typedef struct bt_args {
  const bt_tensor *tensors;
  const int64_t *sizes;
  const float *scalars;
  int64_t tile_begin; /* tiles [tile_begin, tile_end) of ceil(sizes[tile_size_index] / tile) */
  int64_t tile_end;
  void *scratch; /* bt_scratch_bytes() bytes, 64-byte aligned, private to this call; NULL when 0 */
} bt_args;

typedef void (*bt_kernel_fn)(const bt_args *);

/* How ternary weights lie in memory. Canonical input and output are trits (-1, 0, 1), one int8 each, row-major.
 * pack/unpack work on rows [row0, row0 + rows), row0 a multiple of row_tile; N is padded to row_tile and K to
 * whatever the layout needs with trit 0. `packed` always points to the whole matrix's first byte. */
typedef struct bt_layout {
  const char *name;    /* printed form, unique, for example "i2r4" */
  const char *version; /* changes whenever the bytes that `pack` writes change */
  int64_t row_tile;
  int64_t (*packed_bytes)(int64_t n, int64_t k);
  void (*pack)(const int8_t *trits, int64_t row_stride, int64_t row0, int64_t rows, int64_t n, int64_t k,
               uint8_t *packed);
  void (*unpack)(const uint8_t *packed, int64_t row0, int64_t rows, int64_t n, int64_t k, int8_t *trits,
                 int64_t row_stride);
} bt_layout;

/* Instruction-set needs, as bits; runtime/machine says which of them a processor has. */
enum {
  BT_ISA_BASELINE = 0,   /* x86-64 with SSE2 */
  BT_ISA_SSE41 = 1 << 0, /* with SSSE3 */
  BT_ISA_AVX2 = 1 << 1,  /* AVX2 + F16C + FMA + BMI, x86-64-v3 */
  BT_ISA_AVXVNNI = 1 << 2,
  BT_ISA_AVX512 = 1 << 3, /* F, BW, CD, DQ, VL: x86-64-v4 */
  BT_ISA_AVX512VNNI = 1 << 4,
  BT_ISA_AVX512VBMI = 1 << 5,
  BT_ISA_NEON = 1 << 8, /* every aarch64 processor */
  BT_ISA_DOTPROD = 1 << 9,
  BT_ISA_I8MM = 1 << 10,
  BT_ISA_SVE2 = 1 << 11
};

#define BT_NOT_EXECUTED ", not executed"

/* Everything a caller knows about a kernel. */
typedef struct bt_kernel {
  uint32_t abi_version;
  uint32_t isa_needs;
  const char *spec;      /* the kernel's name in its text, for example "w2a8_matmul" */
  const char *spec_hash; /* SHA-256 (hex) of the canonical kernel text */
  const char *schedule;  /* printed schedule, for example "llvm.gemv{layout=i2r4,prefetch=2048,rows=4}" */
  const char *backend;   /* "halide", "llvm", "scalar" */
  const char *target;    /* "x86-64", "x86-64-avx2", ... */
  /* Id of the proof record; a kernel with an empty one is refused by the runtime. It ends in BT_NOT_EXECUTED where the
   * proof ran the schedule by its instructions' meanings, on a machine that lacks them. */
  const char *proof;
  int64_t fixed[BT_MAX_SIZES]; /* per size parameter: the only value it accepts, or -1 for any */
  int64_t m_min, m_max;        /* range of the size that counts tokens (1, INT64_MAX when any) */
  int32_t threads;             /* thread count it was tuned for, 0 when it was not tuned */
  int32_t size_count, tensor_count, scalar_count;
  int32_t tile_size_index; /* which size parameter the tiles divide */
  int64_t tile;            /* how many of it one tile covers */
  int64_t scratch_base;    /* scratch bytes = base + sum of scratch_per[i] * sizes[i] */
  int64_t scratch_per[BT_MAX_SIZES];
  const bt_layout *layout; /* layout of its ternary operands; NULL when it has none */
  double roof_pct;         /* measured % of roof when tuned, else 0 */
  double instructions;     /* of the hot loop, for one product of a weight and an activation; 0 when not counted */
  bt_kernel_fn fn;
} bt_kernel;

/* The table a pack exports under the symbol `bt_pack_table`. The built-in packs are linked under names of
 * their own. */
typedef struct bt_pack {
  uint32_t abi_version;
  uint32_t count;
  const char *generator; /* "bittern 0.2.0", must equal the runtime's to load */
  const bt_kernel *const *kernels;
} bt_pack;

static inline int64_t bt_scratch_bytes(const bt_kernel *k, const int64_t *sizes) {
  int64_t bytes = k->scratch_base;
  for (int i = 0; i < k->size_count; ++i) bytes += k->scratch_per[i] * sizes[i];
  return bytes;
}
static inline int64_t bt_tile_count(const bt_kernel *k, const int64_t *sizes) {
  return (sizes[k->tile_size_index] + k->tile - 1) / k->tile;
}

#ifdef __cplusplus
}
#endif
#endif
