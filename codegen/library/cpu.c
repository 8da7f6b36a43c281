/* The processor's instruction sets, asked once. */
#include "codegen/library/internal.h"
#include "runtime/isa/isa.h"

uint32_t bittern_cpu_isa(void) {
  /* Threads that come here together find the same answer. Bit 31 says that it is there. */
  static uint32_t known;
  uint32_t isa = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (!isa) {
    isa = bt_processor_isa() | 1u << 31;
    __atomic_store_n(&known, isa, __ATOMIC_RELAXED);
  }
  return isa;
}
