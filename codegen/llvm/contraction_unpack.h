// Unpacking for many tokens: a block of rows and units of packed weights becomes codes, one byte each, in vectors of
// 4 k of 8 rows. Every layout has an unpacker, so that whatever decoding prefers can serve large batches too.
#pragma once
#include <functional>

#include "codegen/llvm/contraction.h"

namespace bittern::codegen {

constexpr int64_t kUnpackedRows = 8;  // rows in a vector of codes
constexpr int64_t kUnpackedK = 4;     // k in a vector of codes, for each of the rows

struct UnpackBlock {
  llvm::Value *row;           // the first, a multiple of `rows`
  int64_t rows;               // a multiple of 32
  llvm::Value *first, *last;  // units of k
};
// Takes vector `vector` of 8 rows at quad `quad` of k, counted from the block's first row and unit.
using StoreCodes = std::function<void(llvm::Value *codes, llvm::Value *vector, llvm::Value *quad)>;

// Rows past the last one repeat it or are padding: nobody reads their sums. Throws Error when the kernel picks rows one
// by one and the layout keeps several together.
void unpack_block(KernelBuilder &kb, Isa &isa, const schedules::ContractionPlan &plan,
                  const schedules::Contraction &contraction, const UnpackBlock &block, const StoreCodes &store);

}  // namespace bittern::codegen
