// llvm.gemm: many tokens share the work of unpacking. For a block of rows and a chunk of k, codes are unpacked once
// into scratch, one byte each, arranged so that a vector holds 4 k of 8 rows; then register tiles of nr vectors of rows
// by mt tokens run over the chunk, a multiply and an add per vector, and add to int32 sums in scratch.
#include <fmt/format.h>
#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>

#include <algorithm>

#include "codegen/llvm/contraction.h"
#include "compiler/error.h"

namespace bittern::codegen {

using llvm::Value;
using Values = KernelBuilder::Values;

namespace {

constexpr int64_t kRows = 8;  // rows in a vector of codes
constexpr int64_t kQuad = 4;  // k in a vector of codes, for each of the rows

class Gemm {
 public:
  Gemm(KernelBuilder &kb, const schedules::ContractionPlan &plan)
      : kb_(kb),
        b_(kb.b),
        plan_(plan),
        isa_(make_isa(kb)),
        wide_(make_isa(kb, kb.target.vector_bytes == 64 && parameter("nr") % 2 == 0 ? 64 : 32)),
        walk_(kb.request.schedule.layout),
        epilogue_(kb, plan),
        nr_(parameter("nr")),
        mt_(parameter("mt")),
        block_rows_(parameter("nb")),
        block_tokens_(parameter("mb")),
        block_k_(parameter("kb")),
        unroll_(parameter("unroll")) {}

  void emit() {
    kb_.descriptor.tile_size_index = plan_.n_size;
    kb_.descriptor.tile = block_rows_;
    kb_.hot_products = nr_ * mt_ * unroll_ * 32;
    epilogue_.prepare();
    take_blocks();
    const std::pair<Value *, Value *> range = kb_.tile_range();
    kb_.loop(range.first, range.second, block_rows_, [&](Value *n0) {
      Value *n1 = kb_.minimum(b_.CreateAdd(n0, kb_.i64(block_rows_)), range.second);
      kb_.loop(kb_.i64(0), epilogue_.tokens(), block_tokens_, [&](Value *m0) {
        Value *count = kb_.minimum(kb_.i64(block_tokens_), b_.CreateSub(epilogue_.tokens(), m0));
        for (size_t index = 0; index < plan_.sums.size(); ++index) sum_block(index, n0, m0, count);
        kb_.loop(kb_.i64(0), count, 1, [&](Value *token) {
          epilogue_.emit(n0, n1, b_.CreateAdd(m0, token), token,
                         [&](size_t index, Value *n, Value *slot, Value *group, unsigned lanes) -> Value * {
                           llvm::Type *type = lanes == 1 ? b_.getInt32Ty() : kb_.vector(b_.getInt32Ty(), lanes);
                           return b_.CreateAlignedLoad(type, sum_place(index, b_.CreateSub(n, n0), slot, group),
                                                       llvm::Align(4));
                         });
        });
      });
    });
  }

 private:
  int64_t parameter(const char *name) const {
    const auto found = kb_.request.schedule.params.find(name);
    if (found == kb_.request.schedule.params.end())
      throw Error(fmt::format("llvm.gemm: parameter {} is missing", name));
    return found->second;
  }

  int size_index(const compiler::ExprPtr &size) const {
    const auto found = std::find(kb_.spec.sizes.begin(), kb_.spec.sizes.end(), size->name);
    return static_cast<int>(found - kb_.spec.sizes.begin());
  }

  // Slots of tokens in the block of sums: register tiles may run over the block's end.
  int64_t slots() const { return (block_tokens_ + mt_ - 1) / mt_ * mt_; }

  // Scratch: the unpacked codes of one chunk, shared by all contractions, and a block of sums for each.
  void take_blocks() {
    int64_t code_bytes = 0;
    std::map<int, int64_t> code_bytes_per;
    for (const schedules::Contraction &c : plan_.sums) {
      if (!c.group) {
        code_bytes = std::max(code_bytes, block_rows_ * block_k_);
      } else if (c.extent->op == compiler::Op::IntConst) {
        code_bytes = std::max(code_bytes, block_rows_ * (c.extent->ival + 128));
      } else {
        code_bytes = std::max(code_bytes, block_rows_ * 128);
        code_bytes_per[size_index(c.extent)] = block_rows_;
      }
    }
    codes_ = take_scratch(kb_, code_bytes, code_bytes_per);
    for (const schedules::Contraction &c : plan_.sums) {
      const int64_t bytes = slots() * block_rows_ * 4;
      // Groups are at least 64 long, so depth / 64 bounds their number.
      sums_.push_back(c.group ? take_scratch(kb_, 0, {{size_index(c.depth), bytes / 64}}) : take_scratch(kb_, bytes));
    }
  }

  // Sums lie as [group][token][row].
  Value *sum_place(size_t index, Value *row, Value *token, Value *group) {
    Value *slot = group ? b_.CreateAdd(b_.CreateMul(group, kb_.i64(slots())), token) : token;
    return b_.CreateGEP(b_.getInt32Ty(), sums_[index], b_.CreateAdd(b_.CreateMul(slot, kb_.i64(block_rows_)), row));
  }

  Value *round_up(Value *x, int64_t multiple) {
    return b_.CreateAnd(b_.CreateAdd(x, kb_.i64(multiple - 1)), kb_.i64(-multiple));
  }

  void sum_block(size_t index, Value *n0, Value *m0, Value *count) {
    const schedules::Contraction &c = plan_.sums[index];
    Value *depth = kb_.size_expression(c.depth);
    if (!c.group) {
      start_sums(index, m0, count, nullptr);
      kb_.loop(kb_.i64(0), depth, block_k_, [&](Value *k0) {
        Value *k1 = kb_.minimum(b_.CreateAdd(k0, kb_.i64(block_k_)), depth);
        add_chunk(index, n0, m0, count, k0, k1, nullptr);
      });
      return;
    }
    Value *extent = kb_.size_expression(c.extent);
    kb_.loop(kb_.i64(0), b_.CreateUDiv(depth, extent), 1, [&](Value *group) {
      start_sums(index, m0, count, group);
      Value *k0 = b_.CreateMul(group, extent);
      add_chunk(index, n0, m0, count, k0, b_.CreateAdd(k0, extent), group);
    });
  }

  // Every sum starts as minus the offset that codes carry.
  void start_sums(size_t index, Value *m0, Value *count, Value *group) {
    kb_.loop(kb_.i64(0), count, 1, [&](Value *token) {
      Value *offset = epilogue_.activation_sum(index, b_.CreateAdd(m0, token), group);
      Value *start = b_.CreateVectorSplat(static_cast<unsigned>(kRows), b_.CreateNeg(offset));
      for (int64_t row = 0; row < block_rows_; row += kRows)
        b_.CreateAlignedStore(start, sum_place(index, kb_.i64(row), token, group), llvm::Align(4));
    });
  }

  // Codes lie as [tile of nr vectors][quad of k][vector][32 bytes]; a tile holds `tile_quads` quads.
  Value *code_place(Value *vector, Value *quad, Value *tile_quads) {
    Value *nr = kb_.i64(nr_);
    Value *tile = b_.CreateUDiv(vector, nr), *within = b_.CreateURem(vector, nr);
    Value *unit = b_.CreateAdd(b_.CreateMul(b_.CreateAdd(b_.CreateMul(tile, tile_quads), quad), nr), within);
    return b_.CreateGEP(b_.getInt8Ty(), codes_, b_.CreateMul(unit, kb_.i64(32)));
  }

  void add_chunk(size_t index, Value *n0, Value *m0, Value *count, Value *k0, Value *k1, Value *group) {
    const schedules::Contraction &c = plan_.sums[index];
    // Whole units are unpacked; activations are zero up to a multiple of 64, so 16 k more are harmless.
    Value *first_unit = b_.CreateUDiv(k0, kb_.i64(walk_.k_a_unit));
    Value *last_unit = b_.CreateUDiv(round_up(k1, walk_.k_a_unit), kb_.i64(walk_.k_a_unit));
    Value *unit_base = b_.CreateMul(first_unit, kb_.i64(walk_.k_a_unit));
    Value *tile_quads = b_.CreateMul(b_.CreateSub(last_unit, first_unit), kb_.i64(walk_.k_a_unit / kQuad));
    if (walk_.quads)
      unpack_quads(c, n0, first_unit, last_unit, tile_quads);
    else
      unpack_rows(c, n0, first_unit, last_unit, tile_quads);
    // Groups of 64 may begin in the middle of a unit of 128.
    Value *from = b_.CreateUDiv(b_.CreateSub(k0, unit_base), kb_.i64(kQuad));
    Value *to = b_.CreateUDiv(b_.CreateSub(round_up(k1, 16), unit_base), kb_.i64(kQuad));
    Value *last_token = b_.CreateSub(epilogue_.tokens(), kb_.i64(1));
    kb_.loop(kb_.i64(0), count, mt_, [&](Value *t0) {
      Values activations;
      for (int64_t t = 0; t < mt_; ++t) {
        // Slots past the last token repeat it; nobody reads their sums.
        Value *m = b_.CreateAdd(b_.CreateAdd(m0, t0), kb_.i64(t));
        if (mt_ > 1) m = kb_.minimum(m, last_token);
        Value *row = kb_.address(c.activations, c.lead.empty() ? Values{kb_.i64(0)} : Values{m, kb_.i64(0)});
        activations.push_back(b_.CreateGEP(b_.getInt8Ty(), row, unit_base));
      }
      kb_.loop(kb_.i64(0), kb_.i64(block_rows_ / kRows), nr_, [&](Value *vector) {
        Value *codes = code_place(vector, kb_.i64(0), tile_quads);
        tile(codes, activations, from, to, sum_place(index, b_.CreateMul(vector, kb_.i64(kRows)), t0, group));
      });
    });
  }

  // The register tile: quads [from, to) of nr vectors of codes by mt activation rows, added to the sums at `sums`.
  void tile(Value *codes, const Values &activations, Value *from, Value *to, Value *sums) {
    // int16 lanes: 128 products of at least 2 * -128 are -2^15, proven by the schedule's legality. int32 lanes hold any
    // chunk of k.
    const int products = kb_.target.int16_products;
    const int64_t quads = products ? 128 / products : int64_t{1} << 32;
    kb_.loop(from, to, quads, [&](Value *begin) {
      Value *end = kb_.minimum(b_.CreateAdd(begin, kb_.i64(quads)), to);
      Values partial(static_cast<size_t>(tile_vectors() * mt_), llvm::Constant::getNullValue(wide_->partial()));
      if (in_pairs()) partial.assign(partial.size() / 2, llvm::Constant::getNullValue(kb_.vector(b_.getInt32Ty(), 16)));
      // Ends are multiples of 4 quads, so steps of 1, 2 or 4 leave no rest.
      const int64_t step = in_pairs() ? std::max<int64_t>(2, unroll_) : unroll_;
      partial = kb_.loop(begin, end, step, partial, [&](Value *at, const Values &carried) {
        Values next = carried;
        for (int64_t u = 0; u < step; u += in_pairs() ? 2 : 1) {
          Value *quad = b_.CreateAdd(at, kb_.i64(u));
          if (in_pairs())
            add_quad_pair(codes, activations, quad, next);
          else
            add_quad(codes, activations, quad, next);
        }
        return next;
      });
      const Values words = widened(partial);
      for (int64_t t = 0; t < mt_; ++t) {
        for (int64_t r = 0; r < tile_vectors(); ++r) {
          Value *place = b_.CreateGEP(b_.getInt32Ty(), sums, kb_.i64(t * block_rows_ + r * wide_->lanes() / 4));
          Value *sum = b_.CreateAlignedLoad(wide_->words(), place, llvm::Align(4));
          b_.CreateAlignedStore(b_.CreateAdd(sum, words[static_cast<size_t>(r * mt_ + t)]), place, llvm::Align(4));
        }
      }
    });
  }

  // Vectors of rows in the register tile.
  int64_t tile_vectors() const { return nr_ * 32 / wide_->lanes(); }

  // Two quads for pairs of tokens, where one instruction takes both: sums lie as the instruction set has them.
  void add_quad_pair(Value *codes, const Values &activations, Value *quad, Values &sums) {
    Values vectors;
    for (int64_t r = 0; r < nr_; ++r) {
      Value *halves[2];
      for (int64_t q = 0; q < 2; ++q) {
        Value *unit = b_.CreateMul(b_.CreateAdd(quad, kb_.i64(q)), kb_.i64(nr_ * 32), "", false, true);
        Value *place = b_.CreateGEP(b_.getInt8Ty(), codes, b_.CreateAdd(unit, kb_.i64(32 * r)));
        halves[q] = b_.CreateAlignedLoad(isa_->words(), place, llvm::Align(32));
      }
      Value *rows =
          b_.CreateShuffleVector(halves[0], halves[1], {0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15});
      vectors.push_back(b_.CreateBitCast(rows, kb_.vector(b_.getInt8Ty(), 64)));
    }
    Value *k = b_.CreateMul(quad, kb_.i64(kQuad), "", false, true);
    for (int64_t t = 0; t < mt_; t += 2) {
      Value *both = llvm::PoisonValue::get(kb_.vector(b_.getInt64Ty(), 2));
      for (int64_t own = 0; own < 2; ++own) {
        Value *place = b_.CreateGEP(b_.getInt8Ty(), activations[static_cast<size_t>(t + own)], k);
        both = b_.CreateInsertElement(both, b_.CreateAlignedLoad(b_.getInt64Ty(), place, llvm::Align(1)),
                                      static_cast<uint64_t>(own));
      }
      both = b_.CreateBitCast(both, kb_.vector(b_.getInt8Ty(), 16));
      for (int64_t r = 0; r < nr_; ++r) {
        Value *&sum = sums[static_cast<size_t>((r * mt_ + t) / 2)];
        sum = isa_->accumulate_pair(sum, vectors[static_cast<size_t>(r)], both);
      }
    }
  }

  // The register tile's sums as words, one vector for every row vector and token.
  Values widened(const Values &partial) {
    Values words;
    for (Value *sum : partial) {
      if (!in_pairs()) {
        words.push_back(wide_->widen(sum));
        continue;
      }
      words.push_back(b_.CreateShuffleVector(sum, {0, 2, 4, 6, 8, 10, 12, 14}));
      words.push_back(b_.CreateShuffleVector(sum, {1, 3, 5, 7, 9, 11, 13, 15}));
    }
    return words;
  }

  bool in_pairs() const { return isa_->has_pairs() && tile_vectors() == nr_ && mt_ % 2 == 0; }

  void add_quad(Value *codes, const Values &activations, Value *quad, Values &sums) {
    Value *unit = b_.CreateGEP(b_.getInt8Ty(), codes, b_.CreateMul(quad, kb_.i64(nr_ * 32), "", false, true));
    Values vectors;
    for (int64_t r = 0; r < tile_vectors(); ++r)
      vectors.push_back(b_.CreateAlignedLoad(
          wide_->bytes(), b_.CreateGEP(b_.getInt8Ty(), unit, kb_.i64(wide_->lanes() * r)), llvm::Align(32)));
    for (int64_t t = 0; t < mt_; ++t) {
      Value *place = b_.CreateGEP(b_.getInt8Ty(), activations[static_cast<size_t>(t)],
                                  b_.CreateMul(quad, kb_.i64(kQuad), "", false, true));
      Value *four = b_.CreateAlignedLoad(b_.getInt32Ty(), place, llvm::Align(1));
      Value *spread = b_.CreateBitCast(b_.CreateVectorSplat(wide_->lanes() / 4, four), wide_->bytes());
      for (int64_t r = 0; r < tile_vectors(); ++r) {
        Value *&sum = sums[static_cast<size_t>(r * mt_ + t)];
        sum = wide_->accumulate(sum, vectors[static_cast<size_t>(r)], spread);
      }
    }
  }

  struct Packed {
    const schedules::Contraction &contraction;
    Value *data, *tile_bytes, *last_row;
  };
  Packed packed(const schedules::Contraction &c) {
    const bool gathered = !schedules::rows_in_order(plan_, kb_.spec, c);
    if (gathered && walk_.quads)
      throw Error(fmt::format("llvm.gemm: layout {} keeps 8 rows together, and {} is read row by row",
                              kb_.request.schedule.layout, c.weights));
    Value *depth = round_up(kb_.size_expression(c.depth), walk_.k_a_unit);
    // The last row of n that has a row of W: a list ends with n, in order the padding of W's last tile may be read.
    Value *rows = kb_.size(kb_.spec.sizes[static_cast<size_t>(plan_.n_size)]);
    if (!gathered) rows = round_up(rows, walk_.row_tile());
    return {c, kb_.data(c.weights), b_.CreateMul(b_.CreateUDiv(depth, kb_.i64(4)), kb_.i64(walk_.row_tile())),
            b_.CreateSub(rows, kb_.i64(1))};
  }

  // First unit of a row (of a unit's 8 rows). Rows past the last one repeat it: nobody reads their sums.
  Value *row_units(const Packed &weights, Value *row) {
    row = weight_row(kb_, plan_, weights.contraction, kb_.minimum(row, weights.last_row));
    Value *tile = b_.CreateUDiv(row, kb_.i64(walk_.row_tile()));
    Value *within = b_.CreateUDiv(b_.CreateURem(row, kb_.i64(walk_.row_tile())), kb_.i64(walk_.rows_a_unit));
    Value *offset = b_.CreateAdd(b_.CreateMul(tile, weights.tile_bytes), b_.CreateMul(within, kb_.i64(32)));
    return b_.CreateGEP(b_.getInt8Ty(), weights.data, offset);
  }

  // Loads a unit and fetches the one that the next chunk has in its place: cold weights arrive while tiles compute.
  Value *load_unit(Value *units, Value *unit, Value *chunk_units) {
    Value *offset = b_.CreateMul(unit, kb_.i64(walk_.interleave * 32), "", false, true);
    Value *ahead = b_.CreateMul(chunk_units, kb_.i64(walk_.interleave * 32), "", false, true);
    kb_.prefetch(b_.CreateGEP(b_.getInt8Ty(), units, b_.CreateAdd(offset, ahead)));
    return b_.CreateAlignedLoad(isa_->bytes(), b_.CreateGEP(b_.getInt8Ty(), units, offset), llvm::Align(1));
  }

  void store_codes(Value *codes, Value *vector, Value *quad, Value *tile_quads) {
    b_.CreateAlignedStore(codes, code_place(vector, quad, tile_quads), llvm::Align(32));
  }

  // i2q: a unit holds four quads of 8 rows, one a field.
  void unpack_quads(const schedules::Contraction &c, Value *n0, Value *first, Value *last, Value *tile_quads) {
    const Packed weights = packed(c);
    kb_.loop(kb_.i64(0), kb_.i64(block_rows_ / kRows), 1, [&](Value *vector) {
      Value *units = row_units(weights, b_.CreateAdd(n0, b_.CreateMul(vector, kb_.i64(kRows))));
      kb_.loop(first, last, 1, [&](Value *unit) {
        Value *codes = load_unit(units, unit, b_.CreateSub(last, first));
        Value *quad = b_.CreateMul(b_.CreateSub(unit, first), kb_.i64(4));
        for (int field = 0; field < 4; ++field)
          store_codes(isa_->field(codes, 2 * field), vector, b_.CreateAdd(quad, kb_.i64(field)), tile_quads);
      });
    });
  }

  // i2r: units of 8 rows are turned from rows of 32 k to quads of 8 rows, still packed, then their fields are stored.
  void unpack_rows(const schedules::Contraction &c, Value *n0, Value *first, Value *last, Value *tile_quads) {
    const Packed weights = packed(c);
    kb_.loop(kb_.i64(0), kb_.i64(block_rows_ / kRows), 1, [&](Value *vector) {
      Values units;
      for (int64_t row = 0; row < kRows; ++row)
        units.push_back(
            row_units(weights, b_.CreateAdd(b_.CreateAdd(n0, b_.CreateMul(vector, kb_.i64(kRows))), kb_.i64(row))));
      kb_.loop(first, last, 1, [&](Value *unit) {
        Values rows;
        for (Value *own : units)
          rows.push_back(b_.CreateBitCast(load_unit(own, unit, b_.CreateSub(last, first)), isa_->words()));
        rows = transpose(rows);
        Value *quad = b_.CreateMul(b_.CreateSub(unit, first), kb_.i64(32));
        for (int64_t i = 0; i < 8; ++i) {
          Value *codes = b_.CreateBitCast(rows[static_cast<size_t>(i)], isa_->bytes());
          for (int field = 0; field < 4; ++field)
            store_codes(isa_->field(codes, 2 * field), vector, b_.CreateAdd(quad, kb_.i64(8 * field + i)), tile_quads);
        }
      });
    });
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
  const schedules::ContractionPlan &plan_;
  std::unique_ptr<Isa> isa_;   // unpacks units
  std::unique_ptr<Isa> wide_;  // multiplies: two vectors of 8 rows at once where the target has vectors of 64 bytes
  PackedWalk walk_;
  ContractionEpilogue epilogue_;
  const int64_t nr_, mt_, block_rows_, block_tokens_, block_k_, unroll_;
  Value *codes_ = nullptr;
  Values sums_;
};

}  // namespace

void emit_gemm(KernelBuilder &kb) {
  std::string why;
  const auto plan = schedules::plan_contractions(kb.spec, &why);
  if (!plan) throw Error(fmt::format("llvm.gemm cannot lower kernel {}: {}", kb.spec.name, why));
  Gemm(kb, *plan).emit();
}

}  // namespace bittern::codegen
