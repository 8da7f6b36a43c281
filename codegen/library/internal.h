/* What the parts of the emitted library share. They are plain C without a C library's headers, since clang compiles
 * them to LLVM bitcode for every architecture when Bittern is built; bitnet-emit links them with the kernels. */
#ifndef BITTERN_LIBRARY_INTERNAL_H
#define BITTERN_LIBRARY_INTERNAL_H

#define BITTERN_KERNELS_BUILD
#include "codegen/library/bittern_kernels.h"
#include "runtime/abi/kernel_abi.h"

/* The table of kernels, sorted by target (preferred last); of a target first the quantiser, then each shape's kernels
 * in order of M, their ranges covering every M. A handle is the address of a shape's first entry. */
extern const bt_pack bt_pack_table;

/* BT_ISA_* bits that this processor and operating system run. */
uint32_t bittern_cpu_isa(void);

/* The C library's; no header of it is there when this is compiled. */
void *malloc(size_t size);
void free(void *memory);

typedef const bt_kernel *const *bittern_row;

/* One past the last entry of the whole table. */
static inline bittern_row bittern_table_end(void) { return bt_pack_table.kernels + bt_pack_table.count; }

/* Order of the size parameters: M, N, K of the product, M, K of the quantiser. */
enum { BITTERN_SIZE_M = 0, BITTERN_SIZE_N = 1, BITTERN_SIZE_K = 2 };

static inline int bittern_is_product(const bt_kernel *kernel) { return kernel->layout != NULL; }

/* The entry that a handle stands for, or NULL when it is none. */
bittern_row bittern_row_of(const bittern_kernels *kernels);
/* The entry after the last one of this shape and target. */
bittern_row bittern_row_end(bittern_row first);
/* The entry for M tokens. */
const bt_kernel *bittern_row_for(bittern_row first, int64_t m);
/* The quantiser of the same target. */
const bt_kernel *bittern_quantiser(bittern_row first);
/* Whether [n0, n1) are rows that work may be cut at. */
bittern_status bittern_check_rows(bittern_row first, int64_t n0, int64_t n1);
int64_t bittern_step_of(bittern_row first);

#endif
