// Loops over the digits of units and of the fields within them, most significant outermost, walk a plane's packed bytes
// in order. A digit that fills a byte with fields narrower than it comes last; the one before, when it steps through k
// and the cells' trits then lie side by side, becomes a vector: vectors of trits are coded into one vector of bytes or
// words, or taken apart. Layouts of two planes are unpacked cell by cell, since a cell needs both.
#include "codegen/llvm/layout_functions.h"

#include <fmt/format.h>
#include <llvm/IR/Constants.h>

#include "codegen/llvm/cell_code.h"
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
        direction_(direction),
        code_(b_, layout) {}

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
    if (pack || layout_.planes.size() == 1) {
      for (const Layout::Plane &plane : layout_.planes) walk(plane);
    } else {
      unpack_cells();
    }
    b_.CreateRetVoid();
    return function;
  }

 private:
  // A digit of a position and the bytes that a step of it advances.
  struct Step {
    Layout::Digit digit;
    Value *bytes;
  };

  void walk(const Layout::Plane &plane) {
    plane_ = &plane;
    const auto &fields = plane.low_to_high;
    size_t first = 0;
    fields_ = 1;
    if (plane.bits < 8) {
      fields_ = 8 / plane.bits;
      if (fields.empty() || fields[0].radix != fields_)
        throw Error(fmt::format("layout {}: a byte is not filled by one digit of radix {}", layout_.name, fields_));
      field_digit_ = fields[0];
      first = 1;
    }
    // A vector's trits must lie side by side in a row.
    const bool beside = layout_.cell.trits() == 1 || layout_.cell.dimension == 'n';
    const bool vector = beside && first < fields.size() && fields[first].dimension == 'k' && fields[first].divisor == 1;
    lanes_ = vector ? static_cast<unsigned>(fields[first].radix) : 1;
    if (vector) ++first;
    steps_.clear();
    const int64_t element = std::max(plane.bits / 8, 1);
    Value *bytes = f_.i64(element * lanes_);
    for (size_t d = first; d < fields.size(); ++d) {
      steps_.push_back({fields[d], bytes});
      bytes = b_.CreateMul(bytes, f_.i64(fields[d].radix));
    }
    bytes = f_.i64(layout_.unit_bytes);
    for (const Layout::Digit &digit : layout_.units_low_to_high) {
      steps_.push_back({digit, bytes});
      bytes = b_.CreateMul(bytes, extent(digit));
    }
    digits(steps_.size(), f_.i64(0), f_.i64(0), f_.i64(plane.offset));
  }

  Value *extent(const Layout::Digit &digit) {
    if (digit.radix) return f_.i64(digit.radix);
    return b_.CreateUDiv(digit.dimension == 'n' ? padded_n_ : padded_k_, f_.i64(digit.divisor));
  }

  void digits(size_t above, Value *row, Value *column, Value *byte) {
    if (above == 0) return step(row, column, byte);
    const auto &[digit, bytes] = steps_[above - 1];
    Value *first = f_.i64(0), *last = extent(digit);
    if (digit.dimension == 'n' && digit.radix == 0) {  // the digit that the rows of this call restrict
      first = b_.CreateUDiv(row0_, f_.i64(digit.divisor));
      last = b_.CreateUDiv(f_.round_up(row_end_, digit.divisor), f_.i64(digit.divisor));
    }
    f_.loop(first, last, 1, [&](Value *i) {
      Value *moved = b_.CreateMul(i, f_.i64(digit.divisor));
      Value *at = b_.CreateAdd(byte, b_.CreateMul(i, bytes));
      if (digit.dimension == 'n') {
        digits(above - 1, b_.CreateAdd(row, moved), column, at);
      } else {
        digits(above - 1, row, b_.CreateAdd(column, moved), at);
      }
    });
  }

  using Position = std::pair<Value *, Value *>;  // row, column
  Position moved(const Position &at, char dimension, int64_t by) {
    if (by == 0) return at;
    if (dimension == 'n') return {b_.CreateAdd(at.first, f_.i64(by)), at.second};
    return {at.first, b_.CreateAdd(at.second, f_.i64(by))};
  }
  // Of the first trit of field q's cell; then of trit i of a cell.
  Position field_position(const Position &at, int64_t q) {
    return q == 0 ? at : moved(at, field_digit_.dimension, q * field_digit_.divisor);
  }
  Position trit_position(const Position &cell, int64_t i) { return moved(cell, layout_.cell.dimension, i); }

  Value *trit_address(const Position &at) {
    Value *start = b_.CreateMul(b_.CreateSub(at.first, row0_), row_stride_);
    return b_.CreateGEP(b_.getInt8Ty(), trits_, b_.CreateAdd(start, at.second));
  }

  Value *inside(const Position &at) {
    return b_.CreateAnd(b_.CreateICmpSLT(at.first, row_end_), b_.CreateICmpSLT(at.second, k_));
  }

  llvm::Type *stored(unsigned lanes) {
    llvm::Type *scalar = plane_->bits == 16 ? b_.getInt16Ty() : b_.getInt8Ty();
    return lanes > 1 ? f_.vector(scalar, lanes) : scalar;
  }

  // One vector of bytes or words. Where all of it lies inside the matrix it goes at once, else lane by lane.
  void step(Value *row, Value *column, Value *byte) {
    Value *address = b_.CreateGEP(b_.getInt8Ty(), packed_, byte);
    const Position first{row, column};
    const auto whole = [&] {
      const auto trit = [&](const Position &at) { return load(f_.bytes_or_byte(lanes_), trit_address(at)); };
      const auto put = [&](Value *value, const Position &at) { store(value, trit_address(at)); };
      element(first, lanes_, address, trit, put);
    };
    const auto one_by_one = [&] {
      if (lanes_ == 1) return single(first, address);
      f_.loop(f_.i64(0), f_.i64(lanes_), 1,
              [&](Value *lane) { single({row, b_.CreateAdd(column, lane)}, b_.CreateGEP(stored(1), address, lane)); });
    };
    Position last = trit_position(field_position(first, fields_ - 1), layout_.cell.trits() - 1);
    last.second = b_.CreateAdd(last.second, f_.i64(lanes_ - 1));
    f_.when(inside(last), whole, one_by_one);
  }

  void single(const Position &first, Value *address) {
    llvm::Type *i8 = b_.getInt8Ty();
    // Outside the matrix stands trit 0; the read goes to a place that is always there.
    if (!zero_) zero_ = f_.local_array(i8, 1);
    store(b_.getInt8(0), zero_);
    const auto trit = [&](const Position &at) {
      return load(i8, b_.CreateSelect(inside(at), trit_address(at), zero_));
    };
    const auto put = [&](Value *value, const Position &at) {
      f_.when(inside(at), [&] { store(value, trit_address(at)); });
    };
    element(first, 1, address, trit, put);
  }

  // All fields of a byte or word (of `lanes` of them), whose cells begin at `first`.
  template <typename Trit, typename Put>
  void element(const Position &first, unsigned lanes, Value *address, const Trit &trit, const Put &put) {
    llvm::Type *wide = code_.type(lanes), *narrow = stored(lanes), *bytes = f_.bytes_or_byte(lanes);
    const auto constant = [](llvm::Type *type, int64_t v) {
      return llvm::ConstantInt::get(type, static_cast<uint64_t>(v));
    };
    Value *all = direction_ == Direction::Pack ? constant(narrow, 0) : load(narrow, address);
    for (int64_t q = 0; q < fields_; ++q) {
      const Position cell = field_position(first, q);
      Value *shift = constant(narrow, q * plane_->bits);
      if (direction_ == Direction::Pack) {
        std::vector<Value *> digits;
        for (int64_t i = 0; i < layout_.cell.trits(); ++i)
          digits.push_back(b_.CreateZExtOrTrunc(b_.CreateAdd(trit(trit_position(cell, i)), constant(bytes, 1)), wide));
        Value *code = b_.CreateZExtOrTrunc(code_.encode(digits, plane_->part), narrow);
        all = b_.CreateOr(all, b_.CreateShl(code, shift));
        continue;
      }
      Value *code =
          plane_->bits < 8 ? b_.CreateAnd(b_.CreateLShr(all, shift), constant(narrow, (1 << plane_->bits) - 1)) : all;
      const std::vector<Value *> digits = code_.decode(b_.CreateZExtOrTrunc(code, wide));
      for (int64_t i = 0; i < layout_.cell.trits(); ++i)
        put(b_.CreateSub(b_.CreateZExtOrTrunc(digits[static_cast<size_t>(i)], bytes), constant(bytes, 1)),
            trit_position(cell, i));
    }
    if (direction_ == Direction::Pack) store(all, address);
  }

  // Cell by cell, each plane's field found through its digits.
  void unpack_cells() {
    const bool tall = layout_.cell.dimension == 'n';
    const int64_t trits = layout_.cell.trits();
    f_.loop(row0_, row_end_, tall ? trits : 1, [&](Value *row) {
      f_.loop(f_.i64(0), k_, tall ? 1 : trits, [&](Value *column) {
        Value *code = nullptr, *sign = nullptr;
        for (const Layout::Plane &plane : layout_.planes) {
          Value *unit = index_of(layout_.units_low_to_high, row, column);
          Value *bit = b_.CreateMul(index_of(plane.low_to_high, row, column), f_.i64(plane.bits));
          Value *byte = b_.CreateAdd(b_.CreateAdd(b_.CreateMul(unit, f_.i64(layout_.unit_bytes)), f_.i64(plane.offset)),
                                     b_.CreateLShr(bit, uint64_t{3}));
          Value *field = load(b_.getInt8Ty(), b_.CreateGEP(b_.getInt8Ty(), packed_, byte));
          field = b_.CreateLShr(field, b_.CreateTrunc(b_.CreateAnd(bit, f_.i64(7)), b_.getInt8Ty()));
          field = b_.CreateAnd(field, b_.getInt8(static_cast<uint8_t>((1 << plane.bits) - 1)));
          (plane.part == Layout::Part::Sign ? sign : code) = field;
        }
        const std::vector<Value *> digits = code_.decode(code, sign);
        for (int64_t i = 0; i < trits; ++i) {
          const Position at = trit_position({row, column}, i);
          f_.when(inside(at),
                  [&] { store(b_.CreateSub(digits[static_cast<size_t>(i)], b_.getInt8(1)), trit_address(at)); });
        }
      });
    });
  }

  Value *index_of(const std::vector<Layout::Digit> &low_to_high, Value *row, Value *column) {
    Value *index = f_.i64(0), *weight = f_.i64(1);
    for (const Layout::Digit &digit : low_to_high) {
      Value *coordinate = b_.CreateUDiv(digit.dimension == 'n' ? row : column, f_.i64(digit.divisor));
      if (digit.radix) coordinate = b_.CreateURem(coordinate, f_.i64(digit.radix));
      index = b_.CreateAdd(index, b_.CreateMul(coordinate, weight));
      weight = b_.CreateMul(weight, extent(digit));
    }
    return index;
  }

  Value *load(llvm::Type *type, Value *address) { return b_.CreateAlignedLoad(type, address, llvm::Align(1)); }
  void store(Value *value, Value *address) { b_.CreateAlignedStore(value, address, llvm::Align(1)); }

  FunctionBuilder f_;
  llvm::IRBuilder<> &b_;
  const Layout &layout_;
  Direction direction_;
  CellCode code_;
  // Of the plane being walked.
  const Layout::Plane *plane_ = nullptr;
  int64_t fields_ = 1;           // in a byte
  Layout::Digit field_digit_{};  // that numbers them, where there are several
  unsigned lanes_ = 1;
  std::vector<Step> steps_;
  Value *trits_ = nullptr, *packed_ = nullptr, *row_stride_ = nullptr, *row0_ = nullptr, *k_ = nullptr;
  Value *row_end_ = nullptr, *padded_n_ = nullptr, *padded_k_ = nullptr, *zero_ = nullptr;
};

llvm::Function *emit_packed_bytes(llvm::Module &module, const Target &target, const Layout &layout,
                                  const std::string &name) {
  llvm::Type *i64 = llvm::Type::getInt64Ty(module.getContext());
  FunctionBuilder f(module, target, name, llvm::FunctionType::get(i64, {i64, i64}, false),
                    llvm::GlobalValue::InternalLinkage);
  Value *trits = f.b.CreateMul(f.round_up(f.function->getArg(0), layout.row_tile),
                               f.round_up(f.function->getArg(1), layout.k_tile));
  f.b.CreateRet(f.b.CreateMul(f.b.CreateUDiv(trits, f.i64(layout.unit_trits)), f.i64(layout.unit_bytes)));
  return f.function;
}

std::string digits_text(const std::vector<Layout::Digit> &digits) {
  std::string text;
  for (const Layout::Digit &digit : digits)
    text += fmt::format(".{}{}x{}", digit.dimension, digit.divisor, digit.radix);
  return text;
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
  if (layout.two_bit_fields()) return fmt::format("1{}", digits_text(layout.fields_low_to_high()));
  std::string version = fmt::format("1.{}", layout.cell.dimension);
  for (const int64_t weight : layout.cell.weights) version += fmt::format("+{}", weight);
  if (layout.cell.fraction_bits != 0) version += fmt::format("/{}", layout.cell.fraction_bits);
  for (const Layout::Plane &plane : layout.planes)
    version += fmt::format(":{}b{}@{}{}", static_cast<int>(plane.part), plane.bits, plane.offset,
                           digits_text(plane.low_to_high));
  return fmt::format("{}:{}", version, digits_text(layout.units_low_to_high));
}

}  // namespace bittern::codegen
