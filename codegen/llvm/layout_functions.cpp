// Loops over the layout's digits, most significant outermost, walk the packed bytes in order. The lowest digit are the
// four fields of a byte, the next one, when it steps through k, becomes a vector: four vectors of trits are shifted
// together into one vector of bytes, or taken apart.
#include "codegen/llvm/layout_functions.h"

#include <fmt/format.h>
#include <llvm/IR/Constants.h>

#include "codegen/llvm/function_builder.h"
#include "compiler/error.h"

namespace bittern::codegen {
namespace {

using llvm::Value;
using schedules::Layout;
using schedules::Target;

enum class Direction { Pack, Unpack };

class LayoutEmitter {
 public:
  LayoutEmitter(llvm::Module &module, const Target &target, const Layout &layout, const std::string &name,
                llvm::FunctionType *type, Direction direction)
      : f_(module, target, name, type, llvm::GlobalValue::InternalLinkage),
        b_(f_.b),
        layout_(layout),
        direction_(direction) {
    const auto &digits = layout.fields_low_to_high;
    if (digits.empty() || digits[0].radix != 4)
      throw Error(fmt::format("layout {}: a byte is not filled by one digit of radix 4", layout.name));
    const bool vector = digits.size() > 1 && digits[1].dimension == 'k' && digits[1].divisor == 1 && digits[1].radix;
    lanes_ = vector ? static_cast<unsigned>(digits[1].radix) : 1;
    first_digit_ = vector ? 2 : 1;
  }

  llvm::Function *emit() {
    llvm::Function *function = f_.function;
    const bool pack = direction_ == Direction::Pack;
    // (trits, row_stride, row0, rows, n, k, packed) or (packed, row0, rows, n, k, trits, row_stride)
    trits_ = function->getArg(pack ? 0 : 5);
    row_stride_ = function->getArg(pack ? 1 : 6);
    row0_ = function->getArg(pack ? 2 : 1);
    Value *rows = function->getArg(pack ? 3 : 2);
    Value *n = function->getArg(pack ? 4 : 3);
    k_ = function->getArg(pack ? 5 : 4);
    packed_ = function->getArg(pack ? 6 : 0);
    row_end_ = f_.minimum(b_.CreateAdd(row0_, rows), n);
    padded_n_ = f_.round_up(n, layout_.row_tile);
    padded_k_ = f_.round_up(k_, layout_.k_tile);
    // Bytes that each step of a digit advances.
    Value *weight = f_.i64(lanes_);
    for (size_t d = first_digit_; d < layout_.fields_low_to_high.size(); ++d) {
      weights_.push_back(weight);
      weight = b_.CreateMul(weight, extent(layout_.fields_low_to_high[d]));
    }
    digits(layout_.fields_low_to_high.size(), f_.i64(0), f_.i64(0), f_.i64(0));
    b_.CreateRetVoid();
    return function;
  }

 private:
  Value *extent(const Layout::Digit &digit) {
    if (digit.radix) return f_.i64(digit.radix);
    return b_.CreateUDiv(digit.dimension == 'n' ? padded_n_ : padded_k_, f_.i64(digit.divisor));
  }

  void digits(size_t above, Value *row, Value *column, Value *byte) {
    if (above == first_digit_) return step(row, column, byte);
    const Layout::Digit &digit = layout_.fields_low_to_high[above - 1];
    Value *first = f_.i64(0), *last = extent(digit);
    if (digit.dimension == 'n' && digit.radix == 0) {  // the digit that the rows of this call restrict
      first = b_.CreateUDiv(row0_, f_.i64(digit.divisor));
      last = b_.CreateUDiv(f_.round_up(row_end_, digit.divisor), f_.i64(digit.divisor));
    }
    f_.loop(first, last, 1, [&](Value *i) {
      Value *moved = b_.CreateMul(i, f_.i64(digit.divisor));
      Value *at = b_.CreateAdd(byte, b_.CreateMul(i, weights_[above - 1 - first_digit_]));
      if (digit.dimension == 'n') {
        digits(above - 1, b_.CreateAdd(row, moved), column, at);
      } else {
        digits(above - 1, row, b_.CreateAdd(column, moved), at);
      }
    });
  }

  // Row and column of field q of lane `lane` of a step.
  std::pair<Value *, Value *> position(Value *row, Value *column, int64_t q, Value *lane) {
    const Layout::Digit &fields = layout_.fields_low_to_high[0];
    Value *moved = f_.i64(q * fields.divisor);
    if (fields.dimension == 'n') return {b_.CreateAdd(row, moved), b_.CreateAdd(column, lane)};
    return {row, b_.CreateAdd(b_.CreateAdd(column, moved), lane)};
  }

  Value *trit_address(const std::pair<Value *, Value *> &at) {
    Value *start = b_.CreateMul(b_.CreateSub(at.first, row0_), row_stride_);
    return b_.CreateGEP(b_.getInt8Ty(), trits_, b_.CreateAdd(start, at.second));
  }

  Value *inside(const std::pair<Value *, Value *> &at) {
    return b_.CreateAnd(b_.CreateICmpSLT(at.first, row_end_), b_.CreateICmpSLT(at.second, k_));
  }

  // One vector of bytes. Where all of it lies inside the matrix it goes at once, else trit by trit.
  void step(Value *row, Value *column, Value *byte) {
    llvm::Type *type = lanes_ > 1 ? f_.vector(b_.getInt8Ty(), lanes_) : b_.getInt8Ty();
    Value *address = b_.CreateGEP(b_.getInt8Ty(), packed_, byte);
    const auto constant = [&](uint64_t value) { return llvm::ConstantInt::get(type, value); };
    const auto whole = [&] {
      Value *bytes = direction_ == Direction::Pack ? constant(0) : load(type, address);
      for (int64_t q = 0; q < 4; ++q) {
        Value *trits = trit_address(position(row, column, q, f_.i64(0)));
        Value *shift = constant(static_cast<uint64_t>(2 * q));
        if (direction_ == Direction::Pack) {
          bytes = b_.CreateOr(bytes, b_.CreateShl(b_.CreateAdd(load(type, trits), constant(1)), shift));
        } else {
          store(b_.CreateSub(b_.CreateAnd(b_.CreateLShr(bytes, shift), constant(3)), constant(1)), trits);
        }
      }
      if (direction_ == Direction::Pack) store(bytes, address);
    };
    const auto one_by_one = [&] {
      f_.loop(f_.i64(0), f_.i64(lanes_), 1, [&](Value *lane) { single(row, column, lane, address); });
    };
    f_.when(inside(position(row, column, 3, f_.i64(lanes_ - 1))), whole, one_by_one);
  }

  void single(Value *row, Value *column, Value *lane, Value *step_address) {
    llvm::Type *i8 = b_.getInt8Ty();
    Value *address = b_.CreateGEP(i8, step_address, lane);
    Value *bytes = b_.getInt8(0);
    for (int64_t q = 0; q < 4; ++q) {
      const auto at = position(row, column, q, lane);
      Value *shift = b_.getInt8(static_cast<uint8_t>(2 * q));
      if (direction_ == Direction::Unpack) {
        f_.when(inside(at), [&] {
          Value *code = b_.CreateAnd(b_.CreateLShr(load(i8, address), shift), b_.getInt8(3));
          store(b_.CreateSub(code, b_.getInt8(1)), trit_address(at));
        });
        continue;
      }
      // Outside the matrix stands trit 0; the read goes to a place that is always there.
      Value *zero = f_.local_array(i8, 1);
      store(b_.getInt8(0), zero);
      Value *trit = load(i8, b_.CreateSelect(inside(at), trit_address(at), zero));
      bytes = b_.CreateOr(bytes, b_.CreateShl(b_.CreateAdd(trit, b_.getInt8(1)), shift));
    }
    if (direction_ == Direction::Pack) store(bytes, address);
  }

  Value *load(llvm::Type *type, Value *address) { return b_.CreateAlignedLoad(type, address, llvm::Align(1)); }
  void store(Value *value, Value *address) { b_.CreateAlignedStore(value, address, llvm::Align(1)); }

  FunctionBuilder f_;
  llvm::IRBuilder<> &b_;
  const Layout &layout_;
  Direction direction_;
  unsigned lanes_ = 1;
  size_t first_digit_ = 1;
  Value *trits_ = nullptr, *packed_ = nullptr, *row_stride_ = nullptr, *row0_ = nullptr, *k_ = nullptr;
  Value *row_end_ = nullptr, *padded_n_ = nullptr, *padded_k_ = nullptr;
  std::vector<Value *> weights_;
};

llvm::Function *emit_packed_bytes(llvm::Module &module, const Target &target, const Layout &layout,
                                  const std::string &name) {
  llvm::Type *i64 = llvm::Type::getInt64Ty(module.getContext());
  FunctionBuilder f(module, target, name, llvm::FunctionType::get(i64, {i64, i64}, false),
                    llvm::GlobalValue::InternalLinkage);
  Value *fields = f.b.CreateMul(f.round_up(f.function->getArg(0), layout.row_tile),
                                f.round_up(f.function->getArg(1), layout.k_tile));
  f.b.CreateRet(f.b.CreateUDiv(fields, f.i64(4)));
  return f.function;
}

}  // namespace

LayoutFunctions emit_layout_functions(llvm::Module &module, const Target &target, const Layout &layout,
                                      const std::string &prefix) {
  llvm::LLVMContext &context = module.getContext();
  llvm::Type *i64 = llvm::Type::getInt64Ty(context), *pointer = llvm::PointerType::get(context, 0);
  llvm::Type *none = llvm::Type::getVoidTy(context);
  auto *pack = llvm::FunctionType::get(none, {pointer, i64, i64, i64, i64, i64, pointer}, false);
  auto *unpack = llvm::FunctionType::get(none, {pointer, i64, i64, i64, i64, pointer, i64}, false);
  return {emit_packed_bytes(module, target, layout, prefix + ".packed_bytes"),
          LayoutEmitter(module, target, layout, prefix + ".pack", pack, Direction::Pack).emit(),
          LayoutEmitter(module, target, layout, prefix + ".unpack", unpack, Direction::Unpack).emit()};
}

std::string layout_version(const Layout &layout) {
  std::string version = "1";
  for (const Layout::Digit &digit : layout.fields_low_to_high)
    version += fmt::format(".{}{}x{}", digit.dimension, digit.divisor, digit.radix);
  return version;
}

}  // namespace bittern::codegen
