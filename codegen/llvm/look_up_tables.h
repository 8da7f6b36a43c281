// The tables of look-up kernels: for every 2 or 3 activations, the sums that trits can give them, built in vectors from
// the int8 activations at the start of a call, cut into bytes that are looked up.
#pragma once
#include "codegen/llvm/kernel_builder.h"
#include "schedules/layout.h"
#include "schedules/look_up_bounds.h"

namespace bittern::codegen {

enum class TableForm {
  Bytes,   // the low bytes of 16 sums, then their high bytes
  Split,   // the low five bits of 16 sums, then the rest plus kSplitBias
  Signed,  // as Bytes, of 32 sums: the second 16 are the negatives of the first
};
constexpr int64_t table_bytes(TableForm form) { return form == TableForm::Signed ? 64 : 32; }

// Builds `look_ups` tables at `tables` for the activations at `row`, of which `depth` may be read: the others are 0.
void build_tables(KernelBuilder &kb, const schedules::Layout &layout, TableForm form, llvm::Value *row,
                  llvm::Value *depth, llvm::Value *look_ups, llvm::Value *tables);

}  // namespace bittern::codegen
