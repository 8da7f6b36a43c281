// llvm.base3: a few tokens past weights of 1.6 bits, whose codes hold the same k of 5 or 10 rows. A unit's digits are
// brought to one byte each and multiplied like 2-bit codes: 32 activations are loaded once for all rows of a unit.
// Worth its extra instructions where memory, not the core, is what decoding waits for.
#include <fmt/format.h>
#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>

#include <algorithm>

#include "codegen/llvm/contraction.h"
#include "codegen/llvm/trit_decode.h"
#include "compiler/error.h"
#include "schedules/ternary_facts.h"

namespace bittern::codegen {

using llvm::Value;

namespace {

constexpr int64_t kBlockRows = 80;                 // rows a tile; a multiple of every step's rows
constexpr int64_t kUnitK = 32;                     // k of a unit
constexpr int64_t kNoWidening = int64_t{1} << 32;  // int32 lanes need no chunks; legality bounds the whole sum

class Base3 {
 public:
  Base3(KernelBuilder &kb, const schedules::ContractionPlan &plan)
      : kb_(kb),
        b_(kb.b),
        plan_(plan),
        isa_(make_isa(kb)),
        layout_(schedules::find_layout(kb.request.schedule.layout)),
        epilogue_(kb, plan),
        rows_per_unit_(layout_.rows_per_unit()),
        interleave_(layout_.row_tile / rows_per_unit_),
        units_(parameter("units")),
        tokens_(parameter("tokens")),
        chunk_(schedules::ternary_facts(kb.target).int16_products == 0 ? kNoWidening : parameter("chunk")),
        prefetch_(parameter("prefetch")),
        hint_(parameter("hint") != 0),
        sums_(kb, tokens_, kBlockRows) {
    if (!is_tall(layout_)) throw Error(fmt::format("llvm.base3 cannot read layout {}", layout_.name));
  }

  void emit() {
    kb_.descriptor.tile_size_index = plan_.n_size;
    kb_.descriptor.tile = kBlockRows;
    kb_.hot_products = units_ * rows_per_unit_ * tokens_ * kUnitK;
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

  struct Step {
    Values units;  // where the first unit of each group of rows lies
    TokenRows rows;
  };

  void sum_block(size_t index, Value *n0, Value *n1, Value *m0) {
    const schedules::Contraction &c = plan_.sums[index];
    Step step;
    step.rows = token_rows(kb_, epilogue_, c, m0, tokens_);
    Value *depth = kb_.size_expression(c.depth);
    Value *depth_units = b_.CreateUDiv(kb_.round_up(depth, kUnitK), kb_.i64(kUnitK));
    kb_.loop(n0, n1, units_ * rows_per_unit_, [&](Value *n) {
      step.units = units_of(c, n, depth_units);
      Value *row = b_.CreateSub(n, n0);
      if (!c.group) return store_sums(index, sum_units(step, kb_.i64(0), depth_units), step, row, nullptr);
      Value *extent = kb_.size_expression(c.extent), *units = b_.CreateUDiv(extent, kb_.i64(kUnitK));
      kb_.loop(kb_.i64(0), b_.CreateUDiv(depth, extent), 1, [&](Value *group) {
        Value *first = b_.CreateMul(group, units);
        store_sums(index, sum_units(step, first, b_.CreateAdd(first, units)), step, row, group);
      });
    });
  }

  // First units of the rows from n on: a part of a tile's units, or several tiles side by side.
  Values units_of(const schedules::Contraction &c, Value *n, Value *depth_units) {
    Value *row_tile = kb_.i64(layout_.row_tile);
    Value *tiles = b_.CreateUDiv(kb_.round_up(kb_.size_expression(c.rows), layout_.row_tile), row_tile);
    Value *last_tile = b_.CreateSub(tiles, kb_.i64(1));
    Value *tile_bytes = b_.CreateMul(depth_units, kb_.i64(interleave_ * layout_.unit_bytes));
    Value *tile = b_.CreateUDiv(n, row_tile), *first = kb_.i64(0);
    if (units_ < interleave_) first = b_.CreateUDiv(b_.CreateURem(n, row_tile), kb_.i64(rows_per_unit_));
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

  size_t slot(int64_t u, int64_t r, int64_t t) const {
    return static_cast<size_t>((u * rows_per_unit_ + r) * tokens_ + t);
  }

  // int32 sums of the units [first, last), `chunk` units at a time in int16 where products are summed so.
  Values sum_units(const Step &step, Value *first, Value *last) {
    const Values zero(slot(units_, 0, 0), llvm::Constant::getNullValue(isa_->partial()));
    const Values totals(zero.size(), llvm::Constant::getNullValue(isa_->words()));
    const auto add = [&](Value *unit, const Values &partial) { return add_unit(step, unit, partial); };
    if (chunk_ == kNoWidening) return kb_.loop(first, last, 1, totals, add);
    return kb_.loop(first, last, chunk_, totals, [&](Value *begin, const Values &sums) {
      Value *end = kb_.minimum(b_.CreateAdd(begin, kb_.i64(chunk_)), last);
      const Values partial = kb_.loop(begin, end, 1, zero, add);
      Values next;
      for (size_t i = 0; i < sums.size(); ++i) next.push_back(b_.CreateAdd(sums[i], isa_->widen(partial[i])));
      return next;
    });
  }

  Values add_unit(const Step &step, Value *unit, const Values &partial) {
    Values next = partial, activations;
    Value *k = b_.CreateMul(unit, kb_.i64(kUnitK), "", false, true);
    Value *offset = b_.CreateMul(unit, kb_.i64(interleave_ * layout_.unit_bytes), "", false, true);
    for (int64_t t = 0; t < tokens_; ++t)
      activations.push_back(b_.CreateAlignedLoad(
          isa_->bytes(), b_.CreateGEP(b_.getInt8Ty(), step.rows.activations[static_cast<size_t>(t)], k),
          llvm::Align(1)));
    for (int64_t u = 0; u < units_; ++u) {
      Value *address = b_.CreateGEP(b_.getInt8Ty(), step.units[static_cast<size_t>(u)], offset);
      if (prefetch_ != 0 && u % interleave_ * layout_.unit_bytes % 64 == 0)
        kb_.prefetch(b_.CreateGEP(b_.getInt8Ty(), address, kb_.i64(prefetch_)), hint_ ? 3 : 0);
      const Values codes = decode_tall(kb_, *isa_, layout_, address);
      for (int64_t r = 0; r < rows_per_unit_; ++r)
        for (int64_t t = 0; t < tokens_; ++t) {
          Value *&sum = next[slot(u, r, t)];
          sum = isa_->accumulate(sum, codes[static_cast<size_t>(r)], activations[static_cast<size_t>(t)]);
        }
    }
    return next;
  }

  // The sums of this step's rows, less the offset that codes carry, into the block.
  void store_sums(size_t index, const Values &sums, const Step &step, Value *row, Value *group) {
    const int64_t rows = units_ * rows_per_unit_;
    for (int64_t t = 0; t < tokens_; ++t) {
      Value *offset = epilogue_.activation_sum(index, step.rows.tokens[static_cast<size_t>(t)], group);
      for (int64_t r = 0; r < rows;) {
        int64_t lanes = 8;
        while (lanes > rows - r) lanes /= 2;
        Values own;
        for (int64_t i = 0; i < lanes; ++i) own.push_back(sums[static_cast<size_t>((r + i) * tokens_ + t)]);
        Value *sum = isa_->sums_of(own);
        Value *less = lanes == 1 ? offset : b_.CreateVectorSplat(static_cast<unsigned>(lanes), offset);
        b_.CreateAlignedStore(b_.CreateSub(sum, less),
                              sums_.place(index, b_.CreateAdd(row, kb_.i64(r)), kb_.i64(t), group), llvm::Align(4));
        r += lanes;
      }
    }
  }

  KernelBuilder &kb_;
  llvm::IRBuilder<> &b_;
  const schedules::ContractionPlan &plan_;
  std::unique_ptr<Isa> isa_;
  const schedules::Layout &layout_;
  ContractionEpilogue epilogue_;
  const int64_t rows_per_unit_, interleave_, units_, tokens_, chunk_, prefetch_;
  const bool hint_;
  SumBlocks sums_;
};

}  // namespace

void emit_base3(KernelBuilder &kb) {
  const schedules::ContractionPlan plan = contraction_plan(kb);
  Base3(kb, plan).emit();
}

}  // namespace bittern::codegen
