// Reading the codes (trit + 1) of units of several trits a code: what the base-3 template multiplies and what the GEMM
// unpacks. Plain IR and the instruction set's table look-up; each layout is a row that names its decoder.
#pragma once
#include <functional>

#include "codegen/llvm/isa/isa.h"
#include "schedules/layout.h"

namespace bittern::codegen {

// Whether a unit of the layout is `cell.trits()` rows of 32 k: the t5 and u16x10 families.
bool is_tall(const schedules::Layout &layout);
// Whether a unit is 32 rows, each of them a lane, of some k: the tl1 and tl2 families.
bool is_lanes(const schedules::Layout &layout);

// Of a tall layout's unit at `unit`: per row, 32 codes in the order of k.
Values decode_tall(FunctionBuilder &f, Isa &isa, const schedules::Layout &layout, llvm::Value *unit);
// Of a lanes layout's unit at `unit`: per k, the codes of its 32 rows.
Values decode_lanes(FunctionBuilder &f, Isa &isa, const schedules::Layout &layout, llvm::Value *unit);

// For lanes layouts: the 4-bit indices of look-up `look_up` of a unit, and whether its sum is negated, as lanes of 0 or
// -1; the latter null where a layout has no signs. `load` gives the unit's bytes from an offset on, 32 of them, or 64
// of two units' rows.
using LoadBytes = std::function<llvm::Value *(int64_t offset)>;
llvm::Value *table_index(Isa &isa, const LoadBytes &load, int64_t look_up);
llvm::Value *table_sign(FunctionBuilder &f, Isa &isa, const schedules::Layout &layout, const LoadBytes &load,
                        int64_t look_up);

// A vector of bytes that repeats `table` (at most 16 entries) for every 16 bytes.
llvm::Constant *byte_table(Isa &isa, const std::vector<int> &table);

}  // namespace bittern::codegen
