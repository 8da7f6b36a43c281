/* Which instruction sets the processor has and the operating system lets programs use: BT_ISA_* bits. One C file for
 * each architecture (isa_x86_64.c, isa_aarch64.c), without a C library's headers: the runtime is built from them, and
 * so are the libraries that bitnet-emit writes. */
#ifndef BITTERN_ISA_H
#define BITTERN_ISA_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

uint32_t bt_processor_isa(void);

#ifdef __cplusplus
}
#endif
#endif
