// llvm.lut: a few tokens past weights whose codes index tables of sums (tl1: of two activations, tl2: of three and a
// sign), so that a byte shuffle takes the place of multiplications. A vector is 32 rows, or 64, at one place of k.
// Every call builds the tables of its tokens once and then streams its rows past them.
//
// Sums are exact. Either the low and high bytes of int16 sums are looked up, interleaved and added in int16, `chunk`
// look-ups at a time; or ("split") sums are cut into five low bits and a biased rest, which are added as bytes, eight
// at a time, before they are widened: fewer shuffles. Negative sums of tl2 are added as -s - 1 (an exclusive or) and
// their number, kept in bytes, is added back; where one instruction looks up in 64 bytes they stand in the table.
#include <fmt/format.h>
#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>

#include <algorithm>
#include <numeric>

#include "codegen/llvm/contraction.h"
#include "codegen/llvm/look_up_tables.h"
#include "codegen/llvm/trit_decode.h"
#include "compiler/error.h"

namespace bittern::codegen {

using llvm::Value;

namespace {

constexpr int64_t kRows = 32;  // of a unit: the lanes of a vector of bytes

class Lut {
 public:
  Lut(KernelBuilder &kb, const schedules::ContractionPlan &plan)
      : kb_(kb),
        b_(kb.b),
        plan_(plan),
        layout_(schedules::find_layout(kb.request.schedule.layout)),
        epilogue_(kb, plan, ContractionEpilogue::Offsets::None),
        interleave_(layout_.row_tile / kRows),
        units_(parameter("units")),
        rows_(schedules::look_up_rows(kb.target, layout_, units_)),
        isa_(make_isa(kb, static_cast<unsigned>(rows_))),
        tokens_(parameter("tokens")),
        split_(parameter("split") != 0),
        signed_(schedules::signed_tables(kb.target, layout_, units_)),
        form_(split_    ? TableForm::Split
              : signed_ ? TableForm::Signed
                        : TableForm::Bytes),
        prefetch_(parameter("prefetch")),
        hint_(parameter("hint") != 0),
        block_rows_(std::max<int64_t>(64, units_ * kRows)),
        look_ups_(schedules::unit_look_ups(layout_)),
        sums_(kb, tokens_, block_rows_) {
    if (!is_lanes(layout_)) throw Error(fmt::format("llvm.lut cannot read layout {}", layout_.name));
    // Units between widenings.
    chunk_ = std::max<int64_t>(1, (split_ ? schedules::kSplitChunk : parameter("chunk")) / look_ups_);
    group_ = std::max<int64_t>(1, schedules::kSplitLookUps / look_ups_);
  }

  void emit() {
    kb_.descriptor.tile_size_index = plan_.n_size;
    kb_.descriptor.tile = block_rows_;
    kb_.hot_products = (split_ ? group_ : 1) * units_ * kRows * layout_.k_tile * tokens_;
    epilogue_.prepare();
    for (const schedules::Contraction &c : plan_.sums) {
      sums_.add(take_sums(kb_, c, tokens_ * block_rows_));
      // A table for every cell of a row, and for those of its last unit.
      const int64_t trits = layout_.cell.trits(), bytes = table_bytes(form_);
      tables_.push_back(take_scratch(kb_, tokens_ * look_ups_ * bytes,
                                     {{size_index(kb_, c.depth), tokens_ * ((bytes + trits - 1) / trits)}}));
    }
    const std::pair<Value *, Value *> range = kb_.tile_range();
    kb_.loop(kb_.i64(0), epilogue_.tokens(), tokens_, [&](Value *m0) {
      for (size_t index = 0; index < plan_.sums.size(); ++index) fill_tables(index, m0);
      kb_.loop(range.first, range.second, block_rows_, [&](Value *n0) {
        Value *n1 = kb_.minimum(b_.CreateAdd(n0, kb_.i64(block_rows_)), range.second);
        for (size_t index = 0; index < plan_.sums.size(); ++index) sum_block(index, n0, n1);
        Value *end = kb_.minimum(kb_.i64(tokens_), b_.CreateSub(epilogue_.tokens(), m0));
        sums_.emit_outputs(epilogue_, n0, n1, m0, end);
      });
    });
  }

 private:
  int64_t parameter(const char *name) const { return schedule_parameter(kb_, name); }

  Value *depth_units(const schedules::Contraction &c) {
    return b_.CreateUDiv(kb_.round_up(kb_.size_expression(c.depth), layout_.k_tile), kb_.i64(layout_.k_tile));
  }

  // Tables lie as [token][look-up][bytes].
  Value *tables_of(size_t index, int64_t t) {
    Value *bytes = b_.CreateMul(depth_units(plan_.sums[index]), kb_.i64(look_ups_ * table_bytes(form_)));
    return b_.CreateGEP(b_.getInt8Ty(), tables_[index], b_.CreateMul(bytes, kb_.i64(t)));
  }

  void fill_tables(size_t index, Value *m0) {
    const schedules::Contraction &c = plan_.sums[index];
    const TokenRows rows = token_rows(kb_, epilogue_, c, m0, tokens_);
    for (int64_t t = 0; t < tokens_; ++t)
      build_tables(kb_, layout_, form_, rows.activations[static_cast<size_t>(t)], kb_.size_expression(c.depth),
                   b_.CreateMul(depth_units(c), kb_.i64(look_ups_)), tables_of(index, t));
  }

  struct Step {
    Values units;   // where the first unit of each 32 rows lies
    Values tables;  // per token
  };

  void sum_block(size_t index, Value *n0, Value *n1) {
    const schedules::Contraction &c = plan_.sums[index];
    Value *depth = kb_.size_expression(c.depth);
    Step step;
    for (int64_t t = 0; t < tokens_; ++t) step.tables.push_back(tables_of(index, t));
    kb_.loop(n0, n1, units_ * kRows, [&](Value *n) {
      step.units = units_of(c, n);
      Value *row = b_.CreateSub(n, n0);
      if (!c.group) return store_sums(index, sum_units(step, kb_.i64(0), depth_units(c)), row, nullptr);
      Value *extent = kb_.size_expression(c.extent), *units = b_.CreateUDiv(extent, kb_.i64(layout_.k_tile));
      kb_.loop(kb_.i64(0), b_.CreateUDiv(depth, extent), 1, [&](Value *group) {
        Value *first = b_.CreateMul(group, units);
        store_sums(index, sum_units(step, first, b_.CreateAdd(first, units)), row, group);
      });
    });
  }

  // First units of the rows from n on: a part of a tile's units, or several tiles side by side.
  Values units_of(const schedules::Contraction &c, Value *n) {
    Value *row_tile = kb_.i64(layout_.row_tile);
    Value *tiles = b_.CreateUDiv(kb_.round_up(kb_.size_expression(c.rows), layout_.row_tile), row_tile);
    Value *last_tile = b_.CreateSub(tiles, kb_.i64(1));
    Value *tile_bytes = b_.CreateMul(depth_units(c), kb_.i64(interleave_ * layout_.unit_bytes));
    Value *tile = b_.CreateUDiv(n, row_tile), *first = kb_.i64(0);
    if (units_ < interleave_) first = b_.CreateUDiv(b_.CreateURem(n, row_tile), kb_.i64(kRows));
    Values units;
    for (int64_t u = 0; u < units_; ++u) {
      // Tiles past the last one repeat it; their sums fall outside of the block's rows.
      Value *own = u / interleave_ == 0 ? tile : kb_.minimum(b_.CreateAdd(tile, kb_.i64(u / interleave_)), last_tile);
      Value *unit = b_.CreateAdd(first, kb_.i64(u % interleave_));
      units.push_back(
          b_.CreateGEP(b_.getInt8Ty(), kb_.data(c.weights),
                       b_.CreateAdd(b_.CreateMul(own, tile_bytes), b_.CreateMul(unit, kb_.i64(layout_.unit_bytes)))));
    }
    return units;
  }

  int64_t vectors() const { return units_ * kRows / rows_; }
  unsigned half_rows() const { return static_cast<unsigned>(rows_ / 2); }
  // Sums of one vector's rows for one token: two vectors of int32, in the order that `store_sums` knows.
  size_t total(int64_t v, int64_t t) const { return static_cast<size_t>(2 * (v * tokens_ + t)); }

  Values sum_units(const Step &step, Value *first, Value *last) {
    llvm::Type *words = kb_.vector(b_.getInt32Ty(), half_rows());
    const Values zero(total(vectors(), 0), llvm::Constant::getNullValue(words));
    Values sums = kb_.loop(first, last, chunk_, zero, [&](Value *begin, const Values &totals) {
      Value *end = kb_.minimum(b_.CreateAdd(begin, kb_.i64(chunk_)), last);
      return split_ ? add_split_chunk(step, begin, end, totals) : add_chunk(step, begin, end, totals);
    });
    if (!split_) return sums;
    // What the bias has added.
    Value *count = b_.CreateTrunc(b_.CreateMul(b_.CreateSub(last, first), kb_.i64(look_ups_)), b_.getInt32Ty());
    Value *bias = b_.CreateMul(count, b_.getInt32(schedules::kSplitBias << schedules::kSplitBits));
    for (Value *&sum : sums) sum = b_.CreateSub(sum, b_.CreateVectorSplat(half_rows(), bias));
    return sums;
  }

  Value *unit_place(const Step &step, int64_t u, Value *unit) {
    Value *offset = b_.CreateMul(unit, kb_.i64(interleave_ * layout_.unit_bytes), "", false, true);
    return b_.CreateGEP(b_.getInt8Ty(), step.units[static_cast<size_t>(u)], offset);
  }

  // Fetches the cache lines that begin in this step's part of the stream, far ahead.
  void prefetch(const Values &places) {
    if (prefetch_ == 0) return;
    for (int64_t u = 0; u < units_; ++u)
      for (int64_t byte = 0; byte < layout_.unit_bytes; byte += kRows)
        if ((u % interleave_ * layout_.unit_bytes + byte) % 64 == 0)
          kb_.prefetch(b_.CreateGEP(b_.getInt8Ty(), places[static_cast<size_t>(u)], kb_.i64(prefetch_ + byte)),
                       hint_ ? 3 : 0);
  }

  // Table `look_up` of a token: all of it where its sums have signs, else its `part` (0: low bytes, 1: the rest)
  // repeated for every 16 rows.
  Value *table(const Step &step, int64_t t, Value *look_up, int64_t part) {
    const int64_t bytes = signed_ ? 64 : 16;
    Value *byte = b_.CreateMul(look_up, kb_.i64(table_bytes(form_)), "", false, true);
    if (!signed_) byte = b_.CreateAdd(byte, kb_.i64(16 * part));
    Value *own = b_.CreateAlignedLoad(kb_.vector(b_.getInt8Ty(), static_cast<unsigned>(bytes)),
                                      b_.CreateGEP(b_.getInt8Ty(), step.tables[static_cast<size_t>(t)], byte),
                                      llvm::Align(static_cast<uint64_t>(bytes)));
    if (signed_) return own;
    std::vector<int> repeated;
    for (int i = 0; i < static_cast<int>(rows_); ++i) repeated.push_back(i % 16);
    return b_.CreateShuffleVector(own, repeated);
  }

  // The bytes that indices of a vector of rows find in such a table.
  Value *find(Value *own, Value *indices, int64_t part) {
    if (!signed_) return isa_->look_up(own, indices);
    if (part != 0) indices = b_.CreateOr(indices, llvm::ConstantInt::get(isa_->bytes(), 32));
    return isa_->look_up_64(own, indices);
  }

  // The bytes of vector v's units from an offset on.
  Value *load_rows(const Values &places, int64_t v, int64_t offset) {
    const auto load = [&](llvm::Type *type, int64_t u) {
      return b_.CreateAlignedLoad(type, b_.CreateGEP(b_.getInt8Ty(), places[static_cast<size_t>(u)], kb_.i64(offset)),
                                  llvm::Align(1));
    };
    // Units of 32 bytes lie side by side.
    if (rows_ == kRows || layout_.unit_bytes == kRows) return load(isa_->bytes(), v * rows_ / kRows);
    llvm::Type *half = kb_.vector(b_.getInt8Ty(), static_cast<unsigned>(kRows));
    std::vector<int> both(static_cast<size_t>(rows_));
    std::iota(both.begin(), both.end(), 0);
    return b_.CreateShuffleVector(load(half, 2 * v), load(half, 2 * v + 1), both);
  }

  // Calls `take` for every look-up of the units at `unit`: its tables' number, and per vector of rows indices and
  // signs; no signs where they are bits of the indices.
  using Take = std::function<void(Value *look_up, const Values &indices, const Values &signs)>;
  void look_ups(const Step &step, Value *unit, const Take &take) {
    Values places;
    for (int64_t u = 0; u < units_; ++u) places.push_back(unit_place(step, u, unit));
    prefetch(places);
    for (int64_t i = 0; i < look_ups_; ++i) {
      Values indices, signs;
      for (int64_t v = 0; v < vectors(); ++v) {
        const LoadBytes load = [&](int64_t offset) { return load_rows(places, v, offset); };
        Value *index = table_index(*isa_, load, i), *sign = table_sign(kb_, *isa_, layout_, load, i);
        if (signed_) {
          index = b_.CreateOr(index, b_.CreateAnd(sign, llvm::ConstantInt::get(isa_->bytes(), 16)));
          sign = nullptr;
        }
        indices.push_back(index);
        signs.push_back(sign);
      }
      take(b_.CreateAdd(b_.CreateMul(unit, kb_.i64(look_ups_), "", false, true), kb_.i64(i)), indices, signs);
    }
  }

  // Bytes of low and high as int16: rows 0-7, 16-23 and so on, or 8-15, 24-31 and so on; no byte crosses 16 others.
  Value *interleaved(Value *low, Value *high, int half) {
    std::vector<int> lanes;
    const int rows = static_cast<int>(rows_);
    for (int sixteen = 0; sixteen < rows; sixteen += 16)
      for (int i = 0; i < 8; ++i)
        for (const int vector : {0, rows}) lanes.push_back(vector + sixteen + 8 * half + i);
    return b_.CreateBitCast(b_.CreateShuffleVector(low, high, lanes), isa_->halves());
  }

  Values add_chunk(const Step &step, Value *begin, Value *end, const Values &totals) {
    const bool signs = layout_.family == schedules::LayoutFamily::Triples && !signed_;
    Values zero(totals.size(), llvm::Constant::getNullValue(isa_->halves()));
    // Behind the sums: per vector, how many were negated.
    if (signs) zero.resize(zero.size() + static_cast<size_t>(vectors()), llvm::Constant::getNullValue(isa_->bytes()));
    const Values partial = kb_.loop(begin, end, 1, zero, [&](Value *unit, const Values &carried) {
      Values next = carried;
      look_ups(step, unit, [&](Value *look_up, const Values &indices, const Values &negated) {
        for (int64_t t = 0; t < tokens_; ++t) {
          Value *low_table = table(step, t, look_up, 0), *high_table = table(step, t, look_up, 1);
          for (int64_t v = 0; v < vectors(); ++v) {
            Value *low = find(low_table, indices[static_cast<size_t>(v)], 0);
            Value *high = find(high_table, indices[static_cast<size_t>(v)], 1);
            if (Value *mask = negated[static_cast<size_t>(v)]) {
              low = b_.CreateXor(low, mask);
              high = b_.CreateXor(high, mask);
            }
            for (int half = 0; half < 2; ++half) {
              Value *&sum = next[total(v, t) + static_cast<size_t>(half)];
              sum = b_.CreateAdd(sum, interleaved(low, high, half));
            }
          }
        }
        for (int64_t v = 0; signs && v < vectors(); ++v) {
          Value *&count = next[totals.size() + static_cast<size_t>(v)];
          count = b_.CreateSub(count, negated[static_cast<size_t>(v)]);
        }
      });
      return next;
    });
    Values next;
    for (int64_t v = 0; v < vectors(); ++v)
      for (int64_t t = 0; t < tokens_; ++t)
        for (int half = 0; half < 2; ++half) {
          const size_t i = total(v, t) + static_cast<size_t>(half);
          Value *sum = partial[i];
          if (signs)
            sum = b_.CreateAdd(sum, interleaved(partial[totals.size() + static_cast<size_t>(v)],
                                                llvm::Constant::getNullValue(isa_->bytes()), half));
          next.push_back(b_.CreateAdd(totals[i], b_.CreateSExt(sum, totals[i]->getType())));
        }
    return next;
  }

  // Per vector and token: the 16-bit lanes of the low part, and their odd bytes alone; the same of the high part.
  Values add_split_chunk(const Step &step, Value *begin, Value *end, const Values &totals) {
    const size_t parts = 2 * totals.size();
    const Values zero(parts, llvm::Constant::getNullValue(isa_->halves()));
    const auto group = [&](Value *unit, int64_t units, const Values &carried) {
      Values bytes(totals.size(), nullptr);
      for (int64_t g = 0; g < units; ++g)
        look_ups(step, b_.CreateAdd(unit, kb_.i64(g)), [&](Value *look_up, const Values &indices, const Values &) {
          for (int64_t t = 0; t < tokens_; ++t)
            for (int64_t part = 0; part < 2; ++part) {
              Value *own = table(step, t, look_up, part);
              for (int64_t v = 0; v < vectors(); ++v) {
                Value *found = find(own, indices[static_cast<size_t>(v)], part);
                Value *&sum = bytes[total(v, t) + static_cast<size_t>(part)];
                sum = sum ? b_.CreateAdd(sum, found) : found;
              }
            }
        });
      Values next = carried;
      for (size_t i = 0; i < bytes.size(); ++i) {
        Value *halves = b_.CreateBitCast(bytes[i], isa_->halves());
        next[2 * i] = b_.CreateAdd(next[2 * i], halves);
        next[2 * i + 1] = b_.CreateAdd(next[2 * i + 1], b_.CreateLShr(halves, uint64_t{8}));
      }
      return next;
    };
    Value *whole =
        b_.CreateAdd(begin, b_.CreateMul(b_.CreateUDiv(b_.CreateSub(end, begin), kb_.i64(group_)), kb_.i64(group_)));
    Values partial = kb_.loop(begin, whole, group_, zero,
                              [&](Value *unit, const Values &carried) { return group(unit, group_, carried); });
    partial =
        kb_.loop(whole, end, 1, partial, [&](Value *unit, const Values &carried) { return group(unit, 1, carried); });
    // Even rows, then odd ones: the lanes less 256 times their odd bytes leave the even bytes' sum, exact below 2^16.
    Values next;
    for (size_t i = 0; i < totals.size(); i += 2) {
      Value *rows[2] = {};
      for (size_t part = 0; part < 2; ++part) {
        Value *odd = partial[2 * (i + part) + 1];
        Value *even = b_.CreateSub(partial[2 * (i + part)], b_.CreateShl(odd, uint64_t{8}));
        for (const int parity : {0, 1}) {
          Value *wide = b_.CreateZExt(parity ? odd : even, totals[i]->getType());
          if (part == 1) wide = b_.CreateAdd(rows[parity], b_.CreateShl(wide, uint64_t{schedules::kSplitBits}));
          rows[parity] = wide;
        }
      }
      for (size_t parity = 0; parity < 2; ++parity) next.push_back(b_.CreateAdd(totals[i + parity], rows[parity]));
    }
    return next;
  }

  // Into the block, in the order of rows.
  void store_sums(size_t index, const Values &sums, Value *row, Value *group) {
    const int second = static_cast<int>(half_rows());  // lanes of the first of two vectors of sums
    for (int64_t v = 0; v < vectors(); ++v)
      for (int64_t t = 0; t < tokens_; ++t)
        for (int part = 0; part < static_cast<int>(rows_ / 16); ++part) {
          std::vector<int> lanes;
          for (int i = 0; i < 16; ++i)
            lanes.push_back(split_ ? i % 2 * second + 8 * part + i / 2 : i / 8 * second + 8 * part + i % 8);
          Value *sixteen = b_.CreateShuffleVector(sums[total(v, t)], sums[total(v, t) + 1], lanes);
          b_.CreateAlignedStore(
              sixteen, sums_.place(index, b_.CreateAdd(row, kb_.i64(rows_ * v + 16 * part)), kb_.i64(t), group),
              llvm::Align(4));
        }
  }

  KernelBuilder &kb_;
  llvm::IRBuilder<> &b_;
  const schedules::ContractionPlan &plan_;
  const schedules::Layout &layout_;
  ContractionEpilogue epilogue_;
  const int64_t interleave_, units_;
  const int64_t rows_;  // of a vector of bytes
  std::unique_ptr<Isa> isa_;
  const int64_t tokens_;
  const bool split_, signed_;
  const TableForm form_;
  const int64_t prefetch_;
  const bool hint_;
  const int64_t block_rows_, look_ups_;
  int64_t chunk_ = 1, group_ = 1;
  SumBlocks sums_;
  Values tables_;
};

}  // namespace

void emit_lut(KernelBuilder &kb) {
  const schedules::ContractionPlan plan = contraction_plan(kb);
  Lut(kb, plan).emit();
}

}  // namespace bittern::codegen
