/* The processor's floating-point control word round work whose results are defined bit for bit: rounding to nearest
 * even, denormals kept (no FTZ, no DAZ), nothing trapped. A caller's own word is kept and set again. Plain C, inline,
 * since the runtime and emitted libraries share it. */
#ifndef BT_FLOAT_CONTROL_H
#define BT_FLOAT_CONTROL_H

#include <stdint.h>

#if defined(__x86_64__)

/* MXCSR: its six lowest bits only record what happened. */
enum { BT_FLOAT_DEFAULT = 0x1f80, BT_FLOAT_FLAGS = 0x3f };

static inline uint64_t bt_float_control(void) { return __builtin_ia32_stmxcsr(); }
static inline void bt_set_float_control(uint64_t word) {
  __asm__ volatile("" ::: "memory");
  __builtin_ia32_ldmxcsr((unsigned)word);
  __asm__ volatile("" ::: "memory");
}

#elif defined(__aarch64__)

/* FPCR has no such bits; what happened stands in FPSR. */
enum { BT_FLOAT_DEFAULT = 0, BT_FLOAT_FLAGS = 0 };

static inline uint64_t bt_float_control(void) {
  uint64_t word;
  __asm__ volatile("mrs %0, fpcr" : "=r"(word)::"memory");
  return word;
}
static inline void bt_set_float_control(uint64_t word) { __asm__ volatile("msr fpcr, %0" ::"r"(word) : "memory"); }

#else
#error "the floating-point control word of this architecture is not known"
#endif

/* Sets the defined word and returns the caller's. Writing it is slow, so it is only written where it differs. */
static inline uint64_t bt_enter_float_control(void) {
  const uint64_t caller = bt_float_control();
  if ((caller & ~(uint64_t)BT_FLOAT_FLAGS) != BT_FLOAT_DEFAULT) bt_set_float_control(BT_FLOAT_DEFAULT);
  return caller;
}

static inline void bt_leave_float_control(uint64_t caller) {
  if ((caller & ~(uint64_t)BT_FLOAT_FLAGS) != BT_FLOAT_DEFAULT) bt_set_float_control(caller);
}

#endif
