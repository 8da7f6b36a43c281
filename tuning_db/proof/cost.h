// What a call of a kernel must do at least, counted from its text.
#pragma once
#include "compiler/ir.h"

namespace bittern::tuning {

// Multiply-adds of one call (the products under its sums), and the bytes a call must read and write at least once;
// a ternary weight counts a quarter of a byte.
double multiply_adds(const compiler::KernelSpec &spec, const compiler::Sizes &sizes);
double touched_bytes(const compiler::KernelSpec &spec, const compiler::Sizes &sizes);
// Bytes of the operands that do not grow with the number of tokens, vectors left out when there are matrices: what GB/s
// counts.
double weight_bytes(const compiler::KernelSpec &spec, const compiler::Sizes &sizes);

}  // namespace bittern::tuning
