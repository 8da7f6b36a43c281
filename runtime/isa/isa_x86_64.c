/* x86-64 through CPUID. An instruction set counts only when the system also saves its registers (XGETBV), since a
 * hypervisor or an old kernel may offer the one without the other. */
#include <cpuid.h>

#include "runtime/abi/kernel_abi.h"
#include "runtime/isa/isa.h"

enum { EAX1_ECX, EAX7_EBX, EAX7_ECX, EAX7S1_EAX, EXT1_ECX };

/* Every CPUID bit that one of our instruction-set levels stands for. */
static const struct {
  uint32_t isa;
  int word, bit;
} bits[] = {
    {BT_ISA_SSE41, EAX1_ECX, 9},       /* SSSE3 */
    {BT_ISA_SSE41, EAX1_ECX, 19},      /* SSE4.1 */
    {BT_ISA_AVX2, EAX1_ECX, 12},       /* FMA */
    {BT_ISA_AVX2, EAX1_ECX, 20},       /* SSE4.2 */
    {BT_ISA_AVX2, EAX1_ECX, 22},       /* MOVBE */
    {BT_ISA_AVX2, EAX1_ECX, 23},       /* POPCNT */
    {BT_ISA_AVX2, EAX1_ECX, 28},       /* AVX */
    {BT_ISA_AVX2, EAX1_ECX, 29},       /* F16C */
    {BT_ISA_AVX2, EAX7_EBX, 3},        /* BMI1 */
    {BT_ISA_AVX2, EAX7_EBX, 5},        /* AVX2 */
    {BT_ISA_AVX2, EAX7_EBX, 8},        /* BMI2 */
    {BT_ISA_AVX2, EXT1_ECX, 5},        /* LZCNT */
    {BT_ISA_AVXVNNI, EAX7S1_EAX, 4},   /* AVX-VNNI */
    {BT_ISA_AVX512, EAX7_EBX, 16},     /* F */
    {BT_ISA_AVX512, EAX7_EBX, 17},     /* DQ */
    {BT_ISA_AVX512, EAX7_EBX, 28},     /* CD, part of x86-64-v4 */
    {BT_ISA_AVX512, EAX7_EBX, 30},     /* BW */
    {BT_ISA_AVX512, EAX7_EBX, 31},     /* VL */
    {BT_ISA_AVX512VNNI, EAX7_ECX, 11}, /* AVX512_VNNI */
    {BT_ISA_AVX512VBMI, EAX7_ECX, 1},  /* AVX512_VBMI */
};

typedef struct {
  uint32_t eax, ebx, ecx, edx;
} registers;

static registers cpuid(uint32_t leaf, uint32_t subleaf) {
  registers r = {0, 0, 0, 0};
  if (__get_cpuid_max(leaf & 0x80000000u, 0) >= leaf) __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
  return r;
}

static uint32_t enabled_register_state(void) {
  uint32_t low = 0, high;
  if (cpuid(1, 0).ecx >> 27 & 1) __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0)); /* OSXSAVE */
  return low;
}

uint32_t bt_processor_isa(void) {
  const uint32_t words[] = {cpuid(1, 0).ecx, cpuid(7, 0).ebx, cpuid(7, 0).ecx, cpuid(7, 1).eax,
                            cpuid(0x80000001u, 0).ecx};
  uint32_t isa = 0;
  for (unsigned i = 0; i < sizeof bits / sizeof *bits; ++i) isa |= bits[i].isa;
  for (unsigned i = 0; i < sizeof bits / sizeof *bits; ++i)
    if (!(words[bits[i].word] >> bits[i].bit & 1)) isa &= ~bits[i].isa;
  const uint32_t state = enabled_register_state();
  if ((state & 0x6) != 0x6) isa &= BT_ISA_SSE41;                                  /* no YMM */
  if ((state & 0xe6) != 0xe6) isa &= BT_ISA_SSE41 | BT_ISA_AVX2 | BT_ISA_AVXVNNI; /* no ZMM */
  if (!(isa & BT_ISA_AVX2)) isa &= BT_ISA_SSE41;
  if (!(isa & BT_ISA_AVX512)) isa &= ~(uint32_t)(BT_ISA_AVX512VNNI | BT_ISA_AVX512VBMI);
  return isa;
}
