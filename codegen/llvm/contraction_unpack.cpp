// One unpacker a family of layouts.
#include "codegen/llvm/contraction_unpack.h"

#include <fmt/format.h>
#include <llvm/IR/Constants.h>

#include "codegen/llvm/trit_decode.h"
#include "compiler/error.h"

namespace bittern::codegen {

using llvm::Value;
using schedules::Layout;

namespace {

class Unpacker {
 public:
  Unpacker(KernelBuilder &kb, Isa &isa, const schedules::ContractionPlan &plan, const schedules::Contraction &c,
           const UnpackBlock &block, const StoreCodes &store)
      : kb_(kb),
        b_(kb.b),
        isa_(isa),
        plan_(plan),
        contraction_(c),
        block_(block),
        store_(store),
        layout_(schedules::find_layout(kb.request.schedule.layout)) {}

  void unpack() {
    if (is_tall(layout_)) return unpack_tall();
    if (is_lanes(layout_)) return unpack_lanes();
    const PackedWalk walk(layout_.name);
    locate(walk.rows_per_unit);
    if (walk.quads) return unpack_quads();
    unpack_rows();
  }

 private:
  // Where rows lie: `rows_per_unit` of them a unit.
  void locate(int64_t rows_per_unit) {
    rows_per_unit_ = rows_per_unit;
    interleave_ = layout_.row_tile / rows_per_unit;
    gathered_ = !schedules::rows_in_order(plan_, kb_.spec, contraction_);
    if (gathered_ && rows_per_unit != 1)
      throw Error(fmt::format("llvm.gemm: layout {} keeps {} rows together, and {} is read row by row", layout_.name,
                              rows_per_unit, contraction_.weights));
    Value *depth_units =
        b_.CreateUDiv(kb_.round_up(kb_.size_expression(contraction_.depth), layout_.k_tile), kb_.i64(layout_.k_tile));
    tile_bytes_ = b_.CreateMul(depth_units, kb_.i64(interleave_ * layout_.unit_bytes));
    // The last row of n that has a row of W: a list ends with n, in order the padding of W's last tile may be read.
    Value *rows = kb_.size(kb_.spec.sizes[static_cast<size_t>(plan_.n_size)]);
    if (!gathered_) rows = kb_.round_up(rows, layout_.row_tile);
    last_row_ = b_.CreateSub(rows, kb_.i64(1));
  }

  // First unit of a row (of the unit's rows). Rows past the last one repeat it.
  Value *row_units(Value *row) {
    row = weight_row(kb_, plan_, contraction_, kb_.minimum(row, last_row_));
    Value *row_tile = kb_.i64(layout_.row_tile);
    Value *tile = b_.CreateUDiv(row, row_tile);
    Value *within = b_.CreateUDiv(b_.CreateURem(row, row_tile), kb_.i64(rows_per_unit_));
    Value *offset = b_.CreateAdd(b_.CreateMul(tile, tile_bytes_), b_.CreateMul(within, kb_.i64(layout_.unit_bytes)));
    return b_.CreateGEP(b_.getInt8Ty(), kb_.data(contraction_.weights), offset);
  }

  // A unit's place. Fetches the one that the next chunk has in its place: cold weights arrive while tiles compute.
  Value *unit_place(Value *units, Value *unit) {
    const int64_t step = interleave_ * layout_.unit_bytes;
    Value *offset = b_.CreateMul(unit, kb_.i64(step), "", false, true);
    Value *chunk = b_.CreateMul(b_.CreateSub(block_.last, block_.first), kb_.i64(step), "", false, true);
    for (int64_t line = 0; line < layout_.unit_bytes; line += 64)
      kb_.prefetch(b_.CreateGEP(b_.getInt8Ty(), units, b_.CreateAdd(b_.CreateAdd(offset, chunk), kb_.i64(line))));
    return b_.CreateGEP(b_.getInt8Ty(), units, offset);
  }
  Value *load_unit(Value *units, Value *unit) {
    return b_.CreateAlignedLoad(isa_.bytes(), unit_place(units, unit), llvm::Align(1));
  }

  // The quad of k that a unit begins with.
  Value *first_quad(Value *unit) {
    return b_.CreateMul(b_.CreateSub(unit, block_.first), kb_.i64(layout_.k_tile / kUnpackedK));
  }

  void each_vector(const std::function<void(Value *)> &body) {
    kb_.loop(kb_.i64(0), kb_.i64(block_.rows / kUnpackedRows), 1, body);
  }

  // i2q: a unit holds four quads of 8 rows, one a field.
  void unpack_quads() {
    each_vector([&](Value *vector) {
      Value *units = row_units(b_.CreateAdd(block_.row, b_.CreateMul(vector, kb_.i64(kUnpackedRows))));
      kb_.loop(block_.first, block_.last, 1, [&](Value *unit) {
        Value *codes = load_unit(units, unit), *quad = first_quad(unit);
        for (int field = 0; field < 4; ++field)
          store_(isa_.field(codes, 2 * field), vector, b_.CreateAdd(quad, kb_.i64(field)));
      });
    });
  }

  // i2r: units of 8 rows are turned from rows of 32 k to quads of 8 rows, still packed, then their fields are stored.
  void unpack_rows() {
    each_vector([&](Value *vector) {
      Values units;
      for (int64_t row = 0; row < kUnpackedRows; ++row)
        units.push_back(row_units(
            b_.CreateAdd(b_.CreateAdd(block_.row, b_.CreateMul(vector, kb_.i64(kUnpackedRows))), kb_.i64(row))));
      kb_.loop(block_.first, block_.last, 1, [&](Value *unit) {
        Values rows;
        for (Value *own : units) rows.push_back(b_.CreateBitCast(load_unit(own, unit), isa_.words()));
        rows = transpose(rows);
        Value *quad = first_quad(unit);
        for (int64_t i = 0; i < 8; ++i) {
          Value *codes = b_.CreateBitCast(rows[static_cast<size_t>(i)], isa_.bytes());
          for (int field = 0; field < 4; ++field)
            store_(isa_.field(codes, 2 * field), vector, b_.CreateAdd(quad, kb_.i64(8 * field + i)));
        }
      });
    });
  }

  // t5, u16x10: the block need not begin with a unit's first row, so the units that cover it are decoded row by row
  // into a small array first; from there 8 rows of 32 k at a time are turned to quads.
  void unpack_tall() {
    locate(layout_.rows_per_unit());
    const int64_t covering = (block_.rows + 2 * rows_per_unit_ - 2) / rows_per_unit_;
    Value *array = kb_.local_array(b_.getInt8Ty(), static_cast<uint64_t>(covering * rows_per_unit_ * 32));
    Value *rows = kb_.i64(rows_per_unit_);
    Value *first = b_.CreateUDiv(block_.row, rows), *skipped = b_.CreateURem(block_.row, rows);
    const auto place = [&](Value *row) { return b_.CreateGEP(b_.getInt8Ty(), array, b_.CreateMul(row, kb_.i64(32))); };
    kb_.loop(block_.first, block_.last, 1, [&](Value *unit) {
      kb_.loop(kb_.i64(0), kb_.i64(covering), 1, [&](Value *cover) {
        Value *row = b_.CreateMul(cover, rows);
        Value *units = row_units(b_.CreateAdd(b_.CreateMul(first, rows), row));
        const Values codes = decode_tall(kb_, isa_, layout_, unit_place(units, unit));
        for (size_t r = 0; r < codes.size(); ++r)
          b_.CreateAlignedStore(codes[r], place(b_.CreateAdd(row, kb_.i64(static_cast<int64_t>(r)))), llvm::Align(32));
      });
      Value *quad = first_quad(unit);
      each_vector([&](Value *vector) {
        Value *from = b_.CreateAdd(skipped, b_.CreateMul(vector, kb_.i64(kUnpackedRows)));
        Values eight;
        for (int64_t r = 0; r < kUnpackedRows; ++r)
          eight.push_back(b_.CreateAlignedLoad(isa_.words(), place(b_.CreateAdd(from, kb_.i64(r))), llvm::Align(32)));
        eight = transpose(eight);
        for (int64_t i = 0; i < 8; ++i)
          store_(b_.CreateBitCast(eight[static_cast<size_t>(i)], isa_.bytes()), vector, b_.CreateAdd(quad, kb_.i64(i)));
      });
    });
  }

  // tl1, tl2: a unit's codes are vectors of 32 rows, one for each k; four of them interleaved are four vectors.
  void unpack_lanes() {
    locate(32);
    kb_.loop(kb_.i64(0), kb_.i64(block_.rows / rows_per_unit_), 1, [&](Value *tile) {
      Value *units = row_units(b_.CreateAdd(block_.row, b_.CreateMul(tile, kb_.i64(rows_per_unit_))));
      Value *vector = b_.CreateMul(tile, kb_.i64(rows_per_unit_ / kUnpackedRows));
      kb_.loop(block_.first, block_.last, 1, [&](Value *unit) {
        const Values codes = decode_lanes(kb_, isa_, layout_, unit_place(units, unit));
        Value *quad = first_quad(unit);
        for (size_t k = 0; k < codes.size(); k += 4)
          for (int64_t part = 0; part < 4; ++part)
            store_(quads_of(codes, k, static_cast<int>(part)), b_.CreateAdd(vector, kb_.i64(part)),
                   b_.CreateAdd(quad, kb_.i64(static_cast<int64_t>(k / 4))));
      });
    });
  }

  // Rows 8 part .. 8 part + 7 of codes[k .. k + 3], four bytes a row.
  Value *quads_of(const Values &codes, size_t k, int part) {
    std::vector<int> bytes, halves;
    for (int row = 0; row < 8; ++row) {
      bytes.insert(bytes.end(), {8 * part + row, 32 + 8 * part + row});
      halves.insert(halves.end(), {row, 8 + row});
    }
    llvm::Type *pairs = kb_.vector(b_.getInt16Ty(), 8);
    Value *low = b_.CreateBitCast(b_.CreateShuffleVector(codes[k], codes[k + 1], bytes), pairs);
    Value *high = b_.CreateBitCast(b_.CreateShuffleVector(codes[k + 2], codes[k + 3], bytes), pairs);
    return b_.CreateBitCast(b_.CreateShuffleVector(low, high, halves), isa_.bytes());
  }

  // 8 x 8 words in three rounds of exchanges: within 64-bit pairs, within 128-bit halves, between halves.
  Values transpose(Values v) {
    const auto round = [&](size_t distance, const std::vector<int> &low, const std::vector<int> &high) {
      Values out(8);
      for (size_t i = 0; i < 8; ++i) {
        if (i & distance) continue;
        out[i] = b_.CreateShuffleVector(v[i], v[i + distance], low);
        out[i + distance] = b_.CreateShuffleVector(v[i], v[i + distance], high);
      }
      v = out;
    };
    round(1, {0, 8, 2, 10, 4, 12, 6, 14}, {1, 9, 3, 11, 5, 13, 7, 15});
    round(2, {0, 1, 8, 9, 4, 5, 12, 13}, {2, 3, 10, 11, 6, 7, 14, 15});
    round(4, {0, 1, 2, 3, 8, 9, 10, 11}, {4, 5, 6, 7, 12, 13, 14, 15});
    return v;
  }

  KernelBuilder &kb_;
  llvm::IRBuilder<> &b_;
  Isa &isa_;
  const schedules::ContractionPlan &plan_;
  const schedules::Contraction &contraction_;
  const UnpackBlock &block_;
  const StoreCodes &store_;
  const Layout &layout_;
  int64_t rows_per_unit_ = 1, interleave_ = 1;
  bool gathered_ = false;
  Value *tile_bytes_ = nullptr, *last_row_ = nullptr;
};

}  // namespace

void unpack_block(KernelBuilder &kb, Isa &isa, const schedules::ContractionPlan &plan,
                  const schedules::Contraction &contraction, const UnpackBlock &block, const StoreCodes &store) {
  Unpacker(kb, isa, plan, contraction, block, store).unpack();
}

}  // namespace bittern::codegen
