// The roof's loops on AArch64: smmla, sdot or, on the baseline, smlal.
#include "runtime/abi/kernel_abi.h"
#include "runtime/machine/machine.h"
#include "runtime/roof/roof_loops.h"

namespace bittern::runtime {
namespace {

// Twelve independent sums, so that latency does not bound them; three of these an iteration.
// clang-format off
#define BT_TWELVE(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
// clang-format on
#define BT_SUMS "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11"
#define BT_SMMLA(c) "smmla v" #c ".4s, v30.16b, v31.16b\n\t"
#define BT_SDOT(c) "sdot v" #c ".4s, v30.16b, v31.16b\n\t"
#define BT_SMLAL(c) "smlal v" #c ".8h, v30.8b, v31.8b\n\t"

// One row a form of multiply-add, the best first.
struct Form {
  uint32_t needs;
  double products;  // of one instruction
  const char *name;
  void (*run)(int64_t iterations);
};
constexpr Form kForms[] = {
    {BT_ISA_I8MM, 32, "smmla, 128 bits",
     [](int64_t iterations) {
       for (int64_t i = 0; i < iterations; ++i)
         asm volatile(".arch armv8.2-a+dotprod+i8mm\n\t" BT_TWELVE(BT_SMMLA) BT_TWELVE(BT_SMMLA) BT_TWELVE(BT_SMMLA)::
                          : BT_SUMS);
     }},
    {BT_ISA_DOTPROD, 16, "sdot, 128 bits",
     [](int64_t iterations) {
       for (int64_t i = 0; i < iterations; ++i)
         asm volatile(".arch armv8.2-a+dotprod+i8mm\n\t" BT_TWELVE(BT_SDOT) BT_TWELVE(BT_SDOT) BT_TWELVE(BT_SDOT)::
                          : BT_SUMS);
     }},
    {0, 8, "smlal, 128 bits", [](int64_t iterations) {
       for (int64_t i = 0; i < iterations; ++i)
         asm volatile(BT_TWELVE(BT_SMLAL) BT_TWELVE(BT_SMLAL) BT_TWELVE(BT_SMLAL)::: BT_SUMS);
     }}};
constexpr int kInstructionsPerIteration = 36;

const Form &form() {
  const Form *row = kForms;
  while ((row->needs & ~machine_isa()) != 0) ++row;
  return *row;
}

}  // namespace

uint64_t roof_read(const uint8_t *p, size_t bytes, int streams, size_t ahead) {
  return roof_read_portable(p, bytes, streams, ahead);
}

double roof_multiply(int64_t iterations) {
  form().run(iterations);
  return kInstructionsPerIteration * 2.0 * form().products;
}

const char *roof_multiply_form() { return form().name; }

}  // namespace bittern::runtime
