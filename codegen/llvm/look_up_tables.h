// The tables of look-up kernels: for every 2 or 3 activations, the sums that trits can give them, built in vectors from
// the int8 activations at the start of a call. 32 bytes a look-up, so that 16 sums are looked up as bytes.
#pragma once
#include "codegen/llvm/kernel_builder.h"
#include "schedules/layout.h"
#include "schedules/look_up_bounds.h"

namespace bittern::codegen {

// Builds `look_ups` tables at `tables` for the activations at `row`, of which `depth` may be read: the others are 0. A
// table is the sums' low bytes, then their high bytes; or, split, the low five bits and then the rest plus kSplitBias.
void build_tables(KernelBuilder &kb, const schedules::Layout &layout, bool split, llvm::Value *row, llvm::Value *depth,
                  llvm::Value *look_ups, llvm::Value *tables);

}  // namespace bittern::codegen
