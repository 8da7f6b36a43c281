// Digits by subtraction and minimum, by high multiplication, and by table; no multiplication by a digit anywhere.
#include "codegen/llvm/trit_decode.h"

#include <llvm/IR/Constants.h>

#include "compiler/error.h"

namespace bittern::codegen {

using llvm::Value;
using schedules::Layout;
using schedules::LayoutFamily;

namespace {

constexpr unsigned kBytes = 32;  // lanes of isa.bytes()

Value *splat(llvm::Type *type, int64_t value) { return llvm::ConstantInt::get(type, static_cast<uint64_t>(value)); }

Value *load_bytes(FunctionBuilder &f, Isa &isa, Value *unit, int64_t offset) {
  return f.b.CreateAlignedLoad(isa.bytes(), f.b.CreateGEP(f.b.getInt8Ty(), unit, f.i64(offset)), llvm::Align(1));
}

// Digit i of every state of two or three digits, first digit most significant.
std::vector<int> digits_of_states(int states, int divisor) {
  std::vector<int> table;
  for (int state = 0; state < states; ++state) table.push_back(state / divisor % 3);
  return table;
}

// t5: x - w wraps to something large when x < w, so two minima leave x less its digit times w; the weights are 1 more
// than a multiple of 4, so the difference has the digit in its two lowest bits. The last two digits are looked up.
Values decode_bytes(FunctionBuilder &f, Isa &isa, const Layout &layout, Value *unit) {
  llvm::IRBuilder<> &b = f.b;
  Value *x = load_bytes(f, isa, unit, 0);
  Values codes;
  const std::vector<int64_t> &weights = layout.cell.weights;
  const auto minimum = [&](Value *p, Value *q) { return b.CreateBinaryIntrinsic(llvm::Intrinsic::umin, p, q); };
  for (size_t i = 0; i + 2 < weights.size(); ++i) {
    if (weights[i] % 4 != 1) throw Error("layout " + layout.name + ": a weight is not 1 more than a multiple of 4");
    Value *weight = splat(isa.bytes(), weights[i]);
    Value *once = minimum(x, b.CreateSub(x, weight));
    Value *rest = minimum(once, b.CreateSub(once, weight));
    codes.push_back(b.CreateAnd(b.CreateSub(x, rest), splat(isa.bytes(), 3)));
    x = rest;
  }
  codes.push_back(isa.look_up(byte_table(isa, digits_of_states(9, 3)), x));
  codes.push_back(isa.look_up(byte_table(isa, digits_of_states(9, 1)), x));
  return codes;
}

// u16x10: the word is a fraction of 2^16; times 9 it has two digits above the point and the rest below. Words of two
// vectors become bytes in the order that AVX2 packs them, which is the order of k.
Values decode_words(FunctionBuilder &f, Isa &isa, const Layout &layout, Value *unit) {
  llvm::IRBuilder<> &b = f.b;
  Value *words[2];
  for (int64_t i = 0; i < 2; ++i) words[i] = b.CreateBitCast(load_bytes(f, isa, unit, 32 * i), isa.halves());
  std::vector<int> pack;
  for (const int half : {0, 8})
    for (const int vector : {0, 16})
      for (int lane = 0; lane < 8; ++lane) pack.push_back(2 * (vector + half + lane));
  Values codes;
  int64_t scale = 1;
  for (int64_t pair = 0; pair < layout.cell.trits() / 2; ++pair) {
    Value *high[2];
    for (int i = 0; i < 2; ++i) {
      Value *fraction = pair == 0 ? words[i] : b.CreateMul(words[i], splat(isa.halves(), scale));
      high[i] = b.CreateBitCast(isa.multiply_high(fraction, splat(isa.halves(), 9)), isa.bytes());
    }
    Value *states = b.CreateShuffleVector(high[0], high[1], pack);
    codes.push_back(isa.look_up(byte_table(isa, digits_of_states(9, 3)), states));
    codes.push_back(isa.look_up(byte_table(isa, digits_of_states(9, 1)), states));
    scale *= 9;
  }
  return codes;
}

}  // namespace

bool is_tall(const Layout &layout) {
  return layout.family == LayoutFamily::Base3Bytes || layout.family == LayoutFamily::Base3Words;
}
bool is_lanes(const Layout &layout) {
  return layout.family == LayoutFamily::Pairs || layout.family == LayoutFamily::Triples;
}

llvm::Constant *byte_table(Isa &isa, const std::vector<int> &table) {
  std::vector<llvm::Constant *> lanes;
  llvm::Type *i8 = llvm::cast<llvm::VectorType>(isa.bytes())->getElementType();
  for (unsigned i = 0; i < kBytes; ++i)
    lanes.push_back(llvm::ConstantInt::get(i8, static_cast<uint64_t>(i % 16 < table.size() ? table[i % 16] : 0)));
  return llvm::ConstantVector::get(lanes);
}

Values decode_tall(FunctionBuilder &f, Isa &isa, const Layout &layout, Value *unit) {
  return layout.family == LayoutFamily::Base3Words ? decode_words(f, isa, layout, unit)
                                                   : decode_bytes(f, isa, layout, unit);
}

Value *table_index(Isa &isa, const LoadBytes &load, int64_t look_up) {
  return isa.masked(load(look_up / 2 * kBytes), look_up % 2 == 0 ? 0 : 4, 15);
}

Value *table_sign(FunctionBuilder &f, Isa &isa, const Layout &layout, const LoadBytes &load, int64_t look_up) {
  if (layout.family != LayoutFamily::Triples) return nullptr;
  Value *bit = splat(isa.bytes(), int64_t{1} << look_up);
  Value *signs = f.b.CreateAnd(load(layout.planes[1].offset), bit);
  return f.b.CreateSExt(f.b.CreateICmpEQ(signs, bit), isa.bytes());
}

Values decode_lanes(FunctionBuilder &f, Isa &isa, const Layout &layout, Value *unit) {
  llvm::IRBuilder<> &b = f.b;
  const int64_t trits = layout.cell.trits(), look_ups = layout.k_tile / trits;
  const LoadBytes load = [&](int64_t offset) { return load_bytes(f, isa, unit, offset); };
  Values codes;
  for (int64_t i = 0; i < look_ups; ++i) {
    Value *index = table_index(isa, load, i), *sign = table_sign(f, isa, layout, load, i);
    for (int64_t t = 0; t < trits; ++t) {
      std::vector<int> table;
      for (int state = 0; state < (sign ? 14 : 9); ++state)
        table.push_back((state + (sign ? 13 : 0)) / static_cast<int>(layout.cell.weights[static_cast<size_t>(t)]) % 3);
      Value *code = isa.look_up(byte_table(isa, table), index);
      // The negative of a sum has every digit c as 2 - c.
      if (sign)
        code =
            b.CreateSelect(b.CreateICmpNE(sign, splat(isa.bytes(), 0)), b.CreateSub(splat(isa.bytes(), 2), code), code);
      codes.push_back(code);
    }
  }
  return codes;
}

}  // namespace bittern::codegen
