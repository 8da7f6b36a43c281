// llvm.gemv: streams packed weights once past a few tokens. Each step sums `rows` units of packed codes for `tokens`
// activation rows in int16 lanes, widens every `chunk` units, and leaves int32 sums in a block that the epilogue turns
// into outputs. Weights far ahead are prefetched: cold weights are what decoding reads.
#include <fmt/format.h>
#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>

#include <algorithm>
#include <numeric>

#include "codegen/llvm/contraction.h"
#include "compiler/error.h"
#include "schedules/ternary_facts.h"

namespace bittern::codegen {

using llvm::Value;
using Values = KernelBuilder::Values;

namespace {

constexpr int64_t kNoWidening = int64_t{1} << 32;  // int32 lanes need no chunks; legality bounds the whole sum
constexpr int64_t kBlockRows = 64;                 // rows a tile; a multiple of every step's rows

class Gemv {
 public:
  Gemv(KernelBuilder &kb, const schedules::ContractionPlan &plan)
      : kb_(kb),
        b_(kb.b),
        plan_(plan),
        walk_(kb.request.schedule.layout),
        epilogue_(kb, plan),
        units_(parameter("rows")),
        units_per_vector_(kb.target.vector_bytes == 64 && units_ % 2 == 0 ? 2 : 1),
        isa_(make_isa(kb, static_cast<unsigned>(32 * units_per_vector_))),
        tokens_(parameter("tokens")),
        chunk_(parameter("chunk")),
        unroll_(parameter("unroll")),
        prefetch_(parameter("prefetch")),
        hint_(parameter("hint") != 0),
        scaled_(parameter("scaled") != 0),
        sums_(kb, tokens_, kBlockRows) {}

  void emit() {
    kb_.descriptor.tile_size_index = plan_.n_size;
    kb_.descriptor.tile = kBlockRows;
    kb_.hot_products = units_ * tokens_ * unroll_ * 128;
    epilogue_.prepare();
    for (const schedules::Contraction &c : plan_.sums) sums_.add(take_sums(kb_, c, tokens_ * kBlockRows));
    const std::pair<Value *, Value *> range = kb_.tile_range();
    kb_.loop(range.first, range.second, kBlockRows, [&](Value *n0) {
      Value *n1 = kb_.minimum(b_.CreateAdd(n0, kb_.i64(kBlockRows)), range.second);
      kb_.loop(kb_.i64(0), epilogue_.tokens(), tokens_, [&](Value *m0) {
        for (size_t index = 0; index < plan_.sums.size(); ++index) sum_block(index, n0, n1, m0);
        Value *end = kb_.minimum(kb_.i64(tokens_), b_.CreateSub(epilogue_.tokens(), m0));
        sums_.emit_outputs(epilogue_, n0, n1, m0, end);
      });
    });
  }

 private:
  int64_t parameter(const char *name) const { return schedule_parameter(kb_, name); }

  // What one step of rows needs: where its units and activation rows begin.
  struct Step {
    Values units;        // per vector of rows: its first unit
    Values activations;  // per token
    bool in_order = true;
  };

  void sum_block(size_t index, Value *n0, Value *n1, Value *m0) {
    const schedules::Contraction &c = plan_.sums[index];
    const int64_t step_rows = units_ * walk_.rows_per_unit;
    Step step;
    const TokenRows rows = token_rows(kb_, epilogue_, c, m0, tokens_);
    step.activations = rows.activations;
    Value *depth = kb_.size_expression(c.depth);
    Value *padded_depth = round_up(depth, walk_.k_per_unit);
    Value *tile_bytes = b_.CreateMul(b_.CreateUDiv(padded_depth, kb_.i64(4)), kb_.i64(walk_.row_tile()));
    kb_.loop(n0, n1, step_rows, [&](Value *n) {
      step.in_order = schedules::rows_in_order(plan_, kb_.spec, c);
      step.units = step.in_order ? units_in_order(c, n, tile_bytes) : gathered_units(c, n, n1, tile_bytes);
      Value *row = b_.CreateSub(n, n0);
      if (!c.group) {
        const Values sums = sum_depth(step, kb_.i64(0), depth);
        for (int64_t t = 0; t < tokens_; ++t) store_sums(index, sums, t, rows.tokens, row, nullptr);
        return;
      }
      Value *extent = kb_.size_expression(c.extent);
      kb_.loop(kb_.i64(0), b_.CreateUDiv(depth, extent), 1, [&](Value *group) {
        Value *begin = b_.CreateMul(group, extent);
        const Values sums = sum_group(step, begin, extent);
        for (int64_t t = 0; t < tokens_; ++t) store_sums(index, sums, t, rows.tokens, row, group);
      });
    });
  }

  // First units of the rows from n on: a part of a tile's units, or several tiles side by side.
  Values units_in_order(const schedules::Contraction &c, Value *n, Value *tile_bytes) {
    Value *row_tile = kb_.i64(walk_.row_tile());
    Value *rows = kb_.size_expression(c.rows);
    Value *last_tile = b_.CreateSub(b_.CreateUDiv(round_up(rows, walk_.row_tile()), row_tile), kb_.i64(1));
    Value *tile = b_.CreateUDiv(n, row_tile);
    Value *first_unit = kb_.i64(0);
    if (units_ < walk_.interleave) first_unit = b_.CreateUDiv(b_.CreateURem(n, row_tile), kb_.i64(walk_.rows_per_unit));
    Values units;
    for (int64_t r = 0; r < units_; ++r) {
      // Tiles past the last one repeat it; their sums fall outside of the block's rows.
      Value *own =
          r / walk_.interleave == 0 ? tile : kb_.minimum(b_.CreateAdd(tile, kb_.i64(r / walk_.interleave)), last_tile);
      Value *unit = b_.CreateAdd(first_unit, kb_.i64(r % walk_.interleave));
      Value *offset = b_.CreateAdd(b_.CreateMul(own, tile_bytes), b_.CreateMul(unit, kb_.i64(32)));
      units.push_back(b_.CreateGEP(b_.getInt8Ty(), kb_.data(c.weights), offset));
    }
    return units;
  }

  // The same for rows picked one by one: only where a unit holds one row.
  Values gathered_units(const schedules::Contraction &c, Value *n, Value *n1, Value *tile_bytes) {
    if (walk_.quads)
      throw Error(fmt::format("llvm.gemv: layout {} keeps 8 rows together, and {} is read row by row",
                              kb_.request.schedule.layout, c.weights));
    Value *row_tile = kb_.i64(walk_.row_tile());
    Value *last = b_.CreateSub(n1, kb_.i64(1));
    Values units;
    for (int64_t r = 0; r < units_; ++r) {
      Value *row = weight_row(kb_, plan_, c, kb_.minimum(b_.CreateAdd(n, kb_.i64(r)), last));
      Value *offset = b_.CreateAdd(b_.CreateMul(b_.CreateUDiv(row, row_tile), tile_bytes),
                                   b_.CreateMul(b_.CreateURem(row, row_tile), kb_.i64(32)));
      units.push_back(b_.CreateGEP(b_.getInt8Ty(), kb_.data(c.weights), offset));
    }
    return units;
  }

  Value *round_up(Value *x, int64_t multiple) {
    return b_.CreateAnd(b_.CreateAdd(x, kb_.i64(multiple - 1)), kb_.i64(-multiple));
  }

  // Sums over [0, depth), whose activations are zero up to the next multiple of 64.
  Values sum_depth(const Step &step, Value *begin, Value *depth) {
    Values sums(static_cast<size_t>(vectors() * tokens_), llvm::Constant::getNullValue(isa_->words()));
    if (walk_.quads) {
      Value *units = b_.CreateUDiv(round_up(depth, 16), kb_.i64(16));
      return sum_units(step, begin, units, sums);
    }
    Value *halves = b_.CreateUDiv(round_up(depth, 64), kb_.i64(64));
    Value *units = b_.CreateUDiv(halves, kb_.i64(2));
    sums = sum_units(step, begin, units, sums);
    return sum_half_units(step, b_.CreateMul(units, kb_.i64(2)), halves, sums);
  }

  // Sums over [begin, begin + extent), both multiples of 64.
  Values sum_group(const Step &step, Value *begin, Value *extent) {
    Values sums(static_cast<size_t>(vectors() * tokens_), llvm::Constant::getNullValue(isa_->words()));
    const auto *known = llvm::dyn_cast<llvm::ConstantInt>(extent);
    if (walk_.quads || (known && known->getSExtValue() % walk_.k_per_unit == 0)) {
      Value *first = b_.CreateUDiv(begin, kb_.i64(walk_.k_per_unit));
      return sum_units(step, first, b_.CreateAdd(first, b_.CreateUDiv(extent, kb_.i64(walk_.k_per_unit))), sums);
    }
    Value *first = b_.CreateUDiv(begin, kb_.i64(64));
    return sum_half_units(step, first, b_.CreateAdd(first, b_.CreateUDiv(extent, kb_.i64(64))), sums);
  }

  // Adds the units [first, last) to int32 sums, `chunk` units at a time in int16.
  Values sum_units(const Step &step, Value *first, Value *last, const Values &sums) {
    return sum_chunks(
        first, last, chunk_, unroll_, sums,
        [&](Value *unit, const Values &partial) { return add_unit(step, unit, partial); }, scaled_);
  }

  Values sum_half_units(const Step &step, Value *first, Value *last, const Values &sums) {
    const auto *from = llvm::dyn_cast<llvm::ConstantInt>(first), *to = llvm::dyn_cast<llvm::ConstantInt>(last);
    if (from && to && from->getSExtValue() >= to->getSExtValue()) return sums;
    return sum_chunks(
        first, last, 2 * std::min<int64_t>(chunk_, 8), 1, sums,
        [&](Value *half, const Values &partial) { return add_half_unit(step, half, partial); }, false);
  }

  using AddStep = std::function<Values(Value *, const Values &)>;
  Values sum_chunks(Value *first, Value *last, int64_t chunk, int64_t unroll, const Values &sums, const AddStep &add,
                    bool scaled) {
    const size_t count = sums.size();
    if (schedules::ternary_facts(kb_.target).int16_products == 0) chunk = kNoWidening;
    const Values zero(scaled ? 2 * count : count, llvm::Constant::getNullValue(isa_->partial()));
    return kb_.loop(first, last, chunk, sums, [&](Value *begin, const Values &totals) {
      Value *end = kb_.minimum(b_.CreateAdd(begin, kb_.i64(chunk)), last);
      Values partial = zero;
      Value *rest = begin;
      if (unroll > 1) {
        rest = b_.CreateAdd(begin, b_.CreateAnd(b_.CreateSub(end, begin), kb_.i64(-unroll)));
        partial = kb_.loop(begin, rest, unroll, partial, [&](Value *at, const Values &carried) {
          Values next = carried;
          for (int64_t u = 0; u < unroll; ++u) next = add(b_.CreateAdd(at, kb_.i64(u)), next);
          return next;
        });
      }
      if (!divides(unroll, chunk, first, last)) partial = kb_.loop(rest, end, 1, partial, add);
      Values widened;
      for (size_t i = 0; i < count; ++i) {
        Value *sum = b_.CreateAdd(totals[i], isa_->widen(partial[i]));
        // The second half holds fields at four times their value; pairs of them stay multiples of four.
        if (scaled) sum = b_.CreateAdd(sum, b_.CreateAShr(isa_->widen(partial[count + i]), uint64_t{2}));
        widened.push_back(sum);
      }
      return widened;
    });
  }

  // Whether unrolled steps surely cover every chunk of [first, last).
  static bool divides(int64_t unroll, int64_t chunk, Value *first, Value *last) {
    if (unroll == 1) return false;
    const auto *from = llvm::dyn_cast<llvm::ConstantInt>(first), *to = llvm::dyn_cast<llvm::ConstantInt>(last);
    return from && to && chunk % unroll == 0 && (to->getSExtValue() - from->getSExtValue()) % unroll == 0;
  }

  int64_t vectors() const { return units_ / units_per_vector_; }

  // The units of vector v. Units of neighbouring rows lie side by side when the layout interleaves an even number of
  // them and rows are taken in order; else they are put together here.
  Value *load_codes(const Step &step, int64_t v, Value *unit) {
    Value *offset = b_.CreateMul(unit, kb_.i64(walk_.interleave * 32), "", false, true);
    const auto load = [&](llvm::Type *type, int64_t r) {
      Value *place = b_.CreateGEP(b_.getInt8Ty(), step.units[static_cast<size_t>(r)], offset);
      return b_.CreateAlignedLoad(type, place, llvm::Align(1));
    };
    if (units_per_vector_ == 1 || (step.in_order && walk_.interleave % 2 == 0))
      return load(isa_->bytes(), v * units_per_vector_);
    llvm::Type *half = kb_.vector(b_.getInt8Ty(), 32);
    return twice(load(half, 2 * v), load(half, 2 * v + 1));
  }

  // Two vectors of 32 bytes as one.
  Value *twice(Value *low, Value *high) {
    std::vector<int> lanes(64);
    std::iota(lanes.begin(), lanes.end(), 0);
    return b_.CreateShuffleVector(low, high, lanes);
  }

  // The activations that meet the field which begins at k: 32 of them, or 4 for each of 8 rows.
  Value *load_activations(const Step &step, int64_t t, Value *k) {
    Value *place = b_.CreateGEP(b_.getInt8Ty(), step.activations[static_cast<size_t>(t)], k);
    if (!walk_.quads) {
      Value *own = b_.CreateAlignedLoad(kb_.vector(b_.getInt8Ty(), 32), place, llvm::Align(1));
      return units_per_vector_ == 1 ? own : twice(own, own);
    }
    return b_.CreateBitCast(
        b_.CreateVectorSplat(isa_->lanes() / 4, b_.CreateAlignedLoad(b_.getInt32Ty(), place, llvm::Align(1))),
        isa_->bytes());
  }

  void prefetch_units(const Step &step, Value *unit) {
    if (prefetch_ == 0) return;
    for (int64_t r = 0; r < units_; ++r) {
      if (r % walk_.interleave % 2 != 0) continue;  // two units share a cache line
      Value *offset = b_.CreateAdd(b_.CreateMul(unit, kb_.i64(walk_.interleave * 32)), kb_.i64(prefetch_));
      Value *place = b_.CreateGEP(b_.getInt8Ty(), step.units[static_cast<size_t>(r)], offset);
      kb_.call(llvm::Intrinsic::prefetch, {b_.getPtrTy()},
               {place, b_.getInt32(0), b_.getInt32(hint_ ? 3 : 0), b_.getInt32(1)});
    }
  }

  Values add_unit(const Step &step, Value *unit, const Values &partial) {
    prefetch_units(step, unit);
    const size_t count = static_cast<size_t>(vectors() * tokens_);
    Values packed, next = partial;
    for (int64_t r = 0; r < vectors(); ++r) packed.push_back(load_codes(step, r, unit));
    Value *k = b_.CreateMul(unit, kb_.i64(walk_.k_per_unit), "", false, true);
    for (int field = 0; field < 4; ++field) {
      // Scaled: fields 1 and 3 keep their place at bits 2 and 3, so that only one shift is needed for a unit.
      const bool high = scaled_ && field % 2 == 1;
      Values codes;
      for (Value *unit_codes : packed)
        codes.push_back(scaled_ ? isa_->masked(unit_codes, field / 2 * 4, high ? 12 : 3)
                                : isa_->field(unit_codes, 2 * field));
      for (int64_t t = 0; t < tokens_; ++t) {
        Value *activations = load_activations(step, t, b_.CreateAdd(k, kb_.i64(field * walk_.k_per_vector())));
        for (int64_t r = 0; r < vectors(); ++r) {
          Value *&sum = next[static_cast<size_t>(r * tokens_ + t) + (high ? count : 0)];
          sum = isa_->accumulate(sum, codes[static_cast<size_t>(r)], activations);
        }
      }
    }
    return next;
  }

  // Half a unit of the i2r family: fields 0 and 1, or 2 and 3, which are 64 consecutive k.
  Values add_half_unit(const Step &step, Value *half, const Values &partial) {
    Value *unit = b_.CreateLShr(half, uint64_t{1});
    Value *low = b_.CreateShl(b_.CreateAnd(half, kb_.i64(1)), uint64_t{2});
    Values packed, next = partial;
    for (int64_t r = 0; r < vectors(); ++r) packed.push_back(load_codes(step, r, unit));
    for (int field = 0; field < 2; ++field) {
      Value *k = b_.CreateAdd(b_.CreateMul(half, kb_.i64(64)), kb_.i64(32 * field));
      Values codes;
      for (Value *unit_codes : packed) codes.push_back(isa_->field(unit_codes, b_.CreateAdd(low, kb_.i64(2 * field))));
      for (int64_t t = 0; t < tokens_; ++t) {
        Value *activations = load_activations(step, t, k);
        for (int64_t r = 0; r < vectors(); ++r) {
          Value *&sum = next[static_cast<size_t>(r * tokens_ + t)];
          sum = isa_->accumulate(sum, codes[static_cast<size_t>(r)], activations);
        }
      }
    }
    return next;
  }

  // Lanes 8 unit .. 8 unit + 7.
  Value *part(Value *sum, int64_t unit) {
    std::vector<int> lanes(8);
    std::iota(lanes.begin(), lanes.end(), static_cast<int>(8 * unit));
    return b_.CreateShuffleVector(sum, lanes);
  }

  // Token t's sums of this step, less the offset that codes carry, into the block.
  void store_sums(size_t index, const Values &sums, int64_t t, const Values &token_index, Value *row, Value *group) {
    Value *offset = epilogue_.activation_sum(index, token_index[static_cast<size_t>(t)], group);
    const auto put = [&](Value *vector, int64_t first_row, unsigned lanes) {
      Value *result = b_.CreateSub(vector, lanes == 1 ? offset : b_.CreateVectorSplat(lanes, offset));
      b_.CreateAlignedStore(result, sums_.place(index, b_.CreateAdd(row, kb_.i64(first_row)), kb_.i64(t), group),
                            llvm::Align(4));
    };
    Values own;  // a vector for each unit of rows
    for (int64_t v = 0; v < vectors(); ++v) {
      Value *sum = sums[static_cast<size_t>(v * tokens_ + t)];
      for (int64_t unit = 0; unit < units_per_vector_; ++unit)
        own.push_back(units_per_vector_ == 1 ? sum : part(sum, unit));
    }
    if (walk_.quads) {
      for (int64_t r = 0; r < units_; ++r) put(own[static_cast<size_t>(r)], 8 * r, 8);
      return;
    }
    put(isa_->sums_of(own), 0, static_cast<unsigned>(units_));
  }

  KernelBuilder &kb_;
  llvm::IRBuilder<> &b_;
  const schedules::ContractionPlan &plan_;
  PackedWalk walk_;
  ContractionEpilogue epilogue_;
  const int64_t units_;
  const int64_t units_per_vector_;  // units of rows in one vector: two where the target has vectors of 64 bytes
  std::unique_ptr<Isa> isa_;
  const int64_t tokens_, chunk_, unroll_, prefetch_;
  const bool hint_, scaled_;
  SumBlocks sums_;
};

}  // namespace

void emit_gemv(KernelBuilder &kb) {
  const schedules::ContractionPlan plan = contraction_plan(kb);
  Gemv(kb, plan).emit();
}

}  // namespace bittern::codegen
