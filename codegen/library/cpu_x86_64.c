/* Instruction sets of an x86-64 processor, from CPUID; one counts only when the system saves its registers too. */
#include <cpuid.h>

#include "codegen/library/internal.h"

enum { EAX1_ECX, EAX7_EBX, EAX7_ECX, EAX7S1_EAX, EXT1_ECX, WORDS };

/* Every CPUID bit that an instruction-set level of kernel_abi.h stands for; runtime/machine has the same list. */
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
};

static uint32_t cpuid_word(uint32_t leaf, uint32_t subleaf, int which) {
  uint32_t words[4] = {0, 0, 0, 0};
  if (__get_cpuid_max(leaf & 0x80000000u, NULL) < leaf) return 0;
  __cpuid_count(leaf, subleaf, words[0], words[1], words[2], words[3]);
  return words[which];
}

static uint32_t read_isa(void) {
  const uint32_t words[WORDS] = {cpuid_word(1, 0, 2), cpuid_word(7, 0, 1), cpuid_word(7, 0, 2), cpuid_word(7, 1, 0),
                                 cpuid_word(0x80000001u, 0, 2)};
  uint32_t isa = BT_ISA_SSE41 | BT_ISA_AVX2 | BT_ISA_AVXVNNI | BT_ISA_AVX512 | BT_ISA_AVX512VNNI;
  for (unsigned i = 0; i < sizeof bits / sizeof *bits; ++i)
    if (!(words[bits[i].word] >> bits[i].bit & 1)) isa &= ~bits[i].isa;
  uint32_t state = 0, high;
  if (words[EAX1_ECX] >> 27 & 1) __asm__ volatile("xgetbv" : "=a"(state), "=d"(high) : "c"(0)); /* OSXSAVE */
  if ((state & 0x6) != 0x6) isa &= BT_ISA_SSE41;                                                /* no YMM */
  if ((state & 0xe6) != 0xe6) isa &= BT_ISA_SSE41 | BT_ISA_AVX2 | BT_ISA_AVXVNNI;               /* no ZMM */
  if (!(isa & BT_ISA_AVX2)) isa &= BT_ISA_SSE41;
  if (!(isa & BT_ISA_AVX512)) isa &= ~(uint32_t)BT_ISA_AVX512VNNI;
  return isa;
}

uint32_t bittern_cpu_isa(void) {
  /* Threads that come here together find the same answer. Bit 31 says that it is there. */
  static uint32_t known;
  uint32_t isa = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (!isa) {
    isa = read_isa() | 1u << 31;
    __atomic_store_n(&known, isa, __ATOMIC_RELAXED);
  }
  return isa;
}
