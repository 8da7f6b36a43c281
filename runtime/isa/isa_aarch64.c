/* AArch64 through what Linux tells every program. */
#include "runtime/abi/kernel_abi.h"
#include "runtime/isa/isa.h"

unsigned long getauxval(unsigned long type);

/* Linux's names: AT_HWCAP and AT_HWCAP2, and the bits HWCAP_ASIMD, HWCAP_ASIMDDP, HWCAP2_I8MM, HWCAP2_SVE2. */
enum { HWCAP = 16, HWCAP2 = 26, ASIMD = 1, ASIMDDP = 20, I8MM = 13, SVE2 = 1 };

/* Every bit that one of our instruction-set levels stands for. */
static const struct {
  uint32_t isa;
  unsigned long word;
  int bit;
} bits[] = {{BT_ISA_NEON, HWCAP, ASIMD},
            {BT_ISA_DOTPROD, HWCAP, ASIMDDP},
            {BT_ISA_I8MM, HWCAP2, I8MM},
            {BT_ISA_SVE2, HWCAP2, SVE2}};

uint32_t bt_processor_isa(void) {
  uint32_t isa = 0;
  for (unsigned i = 0; i < sizeof bits / sizeof *bits; ++i)
    if (getauxval(bits[i].word) >> bits[i].bit & 1) isa |= bits[i].isa;
  return isa;
}
