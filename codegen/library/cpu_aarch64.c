/* Instruction sets of an ARM processor, as Linux reports them. */
#include "codegen/library/internal.h"

unsigned long getauxval(unsigned long type);

uint32_t bittern_cpu_isa(void) {
  static const struct {
    unsigned long type;
    int bit;
    uint32_t isa;
  } bits[] = {{16, 20, BT_ISA_DOTPROD}, {26, 13, BT_ISA_I8MM}, {26, 1, BT_ISA_SVE2}};
  uint32_t isa = BT_ISA_NEON;
  for (unsigned i = 0; i < sizeof bits / sizeof *bits; ++i)
    if (getauxval(bits[i].type) >> bits[i].bit & 1) isa |= bits[i].isa;
  return isa;
}
