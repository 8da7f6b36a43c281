// A table is a vector of 16 int16 sums, the activations times constants of -1, 0, 1, cut into bytes by one shuffle.
#include "codegen/llvm/look_up_tables.h"

#include <llvm/IR/Constants.h>

namespace bittern::codegen {

using llvm::Value;
using schedules::Layout;

namespace {

constexpr unsigned kEntries = 16;

// Per trit of a cell: what each table entry multiplies its activation by. A table of magnitudes begins at the code of
// zeros; entries past the last code are 0.
std::vector<llvm::Constant *> factors(KernelBuilder &kb, const Layout &layout) {
  const bool magnitudes = layout.family == schedules::LayoutFamily::Triples;
  const int64_t first = magnitudes ? layout.cell.middle() : 0, last = 2 * layout.cell.middle();
  std::vector<llvm::Constant *> all;
  for (const int64_t weight : layout.cell.weights) {
    std::vector<llvm::Constant *> lanes;
    for (unsigned i = 0; i < kEntries; ++i) {
      const int64_t code = first + i;
      lanes.push_back(llvm::ConstantInt::getSigned(kb.b.getInt16Ty(), code <= last ? code / weight % 3 - 1 : 0));
    }
    all.push_back(llvm::ConstantVector::get(lanes));
  }
  return all;
}

}  // namespace

void build_tables(KernelBuilder &kb, const Layout &layout, TableForm form, Value *row, Value *depth, Value *look_ups,
                  Value *tables) {
  llvm::IRBuilder<> &b = kb.b;
  const std::vector<llvm::Constant *> factor = factors(kb, layout);
  const int64_t trits = layout.cell.trits();
  const auto bytes_of_table = static_cast<unsigned>(table_bytes(form));
  llvm::Type *bytes = kb.vector(b.getInt8Ty(), bytes_of_table);
  const auto build = [&](Value *look_up, bool guarded) {
    const auto term = [&](int64_t t) {
      Value *k = b.CreateAdd(b.CreateMul(look_up, kb.i64(trits)), kb.i64(t)), *at = k, *inside = nullptr;
      if (guarded) {
        inside = b.CreateICmpSLT(k, depth);
        at = b.CreateSelect(inside, k, kb.i64(0));
      }
      Value *activation = b.CreateSExt(
          b.CreateAlignedLoad(b.getInt8Ty(), b.CreateGEP(b.getInt8Ty(), row, at), llvm::Align(1)), b.getInt16Ty());
      if (guarded) activation = b.CreateSelect(inside, activation, b.getInt16(0));
      return b.CreateMul(b.CreateVectorSplat(kEntries, activation), factor[static_cast<size_t>(t)]);
    };
    Value *sums = term(0);
    for (int64_t t = 1; t < trits; ++t) sums = b.CreateAdd(sums, term(t));
    if (form == TableForm::Signed) {
      std::vector<int> both;
      for (int i = 0; i < static_cast<int>(2 * kEntries); ++i) both.push_back(i);
      sums = b.CreateShuffleVector(sums, b.CreateNeg(sums), both);
    }
    const auto constant = [&](int64_t value) {
      return llvm::ConstantInt::get(sums->getType(), static_cast<uint64_t>(value));
    };
    Value *low = sums, *high = b.CreateLShr(sums, constant(8));
    if (form == TableForm::Split) {
      low = b.CreateAnd(sums, constant((1 << schedules::kSplitBits) - 1));
      high = b.CreateAdd(b.CreateAShr(sums, constant(schedules::kSplitBits)), constant(schedules::kSplitBias));
    }
    std::vector<int> even;
    for (int i = 0; i < static_cast<int>(bytes_of_table); ++i) even.push_back(2 * i);
    Value *table = b.CreateShuffleVector(b.CreateBitCast(low, bytes), b.CreateBitCast(high, bytes), even);
    b.CreateAlignedStore(table, b.CreateGEP(bytes, tables, look_up), llvm::Align(bytes_of_table));
  };
  Value *whole = kb.minimum(b.CreateUDiv(depth, kb.i64(trits)), look_ups);
  kb.loop(kb.i64(0), whole, 1, [&](Value *look_up) { build(look_up, false); });
  kb.loop(whole, look_ups, 1, [&](Value *look_up) { build(look_up, true); });
}

}  // namespace bittern::codegen
