// llvm.gemm: many tokens share the work of unpacking. For a block of rows and a chunk of k, codes are unpacked once
// into scratch, one byte each, arranged so that a vector holds 4 k of 8 rows; then register tiles of nr vectors of rows
// by mt tokens run over the chunk, a multiply and an add per vector, and add to int32 sums in scratch.
#include <fmt/format.h>
#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>

#include <algorithm>

#include "codegen/llvm/contraction.h"
#include "codegen/llvm/contraction_unpack.h"
#include "compiler/error.h"
#include "schedules/layout.h"
#include "schedules/ternary_facts.h"

namespace bittern::codegen {

using llvm::Value;
using Values = KernelBuilder::Values;

namespace {

constexpr int64_t kRows = kUnpackedRows, kQuad = kUnpackedK;  // in a vector of codes

class Gemm {
 public:
  Gemm(KernelBuilder &kb, const schedules::ContractionPlan &plan)
      : kb_(kb),
        b_(kb.b),
        plan_(plan),
        isa_(make_isa(kb)),
        wide_(make_isa(kb, kb.target.vector_bytes == 64 && parameter("nr") % 2 == 0 ? 64 : 32)),
        k_per_unit_(schedules::find_layout(kb.request.schedule.layout).k_tile),
        epilogue_(kb, plan),
        nr_(parameter("nr")),
        mt_(parameter("mt")),
        block_rows_(parameter("nb")),
        block_tokens_(parameter("mb")),
        block_k_(parameter("kb")),
        unroll_(parameter("unroll")),
        sums_(kb, slots(), block_rows_) {}

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
        sums_.emit_outputs(epilogue_, n0, n1, m0, count);
      });
    });
  }

 private:
  int64_t parameter(const char *name) const { return schedule_parameter(kb_, name); }

  // Slots of tokens in the block of sums: register tiles may run over the block's end.
  int64_t slots() const { return (block_tokens_ + mt_ - 1) / mt_ * mt_; }

  // Scratch: the unpacked codes of one chunk, shared by all contractions, and a block of sums for each.
  void take_blocks() {
    int64_t code_bytes = 0;
    std::map<int, int64_t> code_bytes_per;
    for (const schedules::Contraction &c : plan_.sums) {
      if (!c.group) {
        // Units that do not divide a chunk reach over both of its ends.
        code_bytes = std::max(code_bytes, block_rows_ * (block_k_ + (k_per_unit_ % 16 == 0 ? 0 : 128)));
      } else if (c.extent->op == compiler::Op::IntConst) {
        code_bytes = std::max(code_bytes, block_rows_ * (c.extent->ival + 128));
      } else {
        code_bytes = std::max(code_bytes, block_rows_ * 128);
        code_bytes_per[size_index(kb_, c.extent)] = block_rows_;
      }
    }
    codes_ = take_scratch(kb_, code_bytes, code_bytes_per);
    for (const schedules::Contraction &c : plan_.sums) {
      const int64_t bytes = slots() * block_rows_ * 4;
      // Groups are at least 64 long, so depth / 64 bounds their number.
      sums_.add(c.group ? take_scratch(kb_, 0, {{size_index(kb_, c.depth), bytes / 64}}) : take_scratch(kb_, bytes));
    }
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
        b_.CreateAlignedStore(start, sums_.place(index, kb_.i64(row), token, group), llvm::Align(4));
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
    Value *first_unit = b_.CreateUDiv(k0, kb_.i64(k_per_unit_));
    Value *last_unit = b_.CreateUDiv(kb_.round_up(k1, k_per_unit_), kb_.i64(k_per_unit_));
    Value *unit_base = b_.CreateMul(first_unit, kb_.i64(k_per_unit_));
    Value *tile_quads = b_.CreateMul(b_.CreateSub(last_unit, first_unit), kb_.i64(k_per_unit_ / kQuad));
    unpack_block(kb_, *isa_, plan_, c, {n0, block_rows_, first_unit, last_unit},
                 [&](Value *codes, Value *vector, Value *quad) {
                   b_.CreateAlignedStore(codes, code_place(vector, quad, tile_quads), llvm::Align(32));
                 });
    // Groups of 64 may begin in the middle of a unit of 128.
    Value *from = b_.CreateUDiv(b_.CreateSub(k0, unit_base), kb_.i64(kQuad));
    Value *to = b_.CreateUDiv(b_.CreateSub(round_up(k1, 16), unit_base), kb_.i64(kQuad));
    kb_.loop(kb_.i64(0), count, mt_, [&](Value *t0) {
      Values activations = token_rows(kb_, epilogue_, c, b_.CreateAdd(m0, t0), mt_).activations;
      for (Value *&row : activations) row = b_.CreateGEP(b_.getInt8Ty(), row, unit_base);
      kb_.loop(kb_.i64(0), kb_.i64(block_rows_ / kRows), nr_, [&](Value *vector) {
        Value *codes = code_place(vector, kb_.i64(0), tile_quads);
        tile(codes, activations, from, to, sums_.place(index, b_.CreateMul(vector, kb_.i64(kRows)), t0, group));
      });
    });
  }

  // The register tile: quads [from, to) of nr vectors of codes by mt activation rows, added to the sums at `sums`.
  void tile(Value *codes, const Values &activations, Value *from, Value *to, Value *sums) {
    // int16 lanes: 128 products of at least 2 * -128 are -2^15, proven by the schedule's legality. int32 lanes hold any
    // chunk of k.
    const int products = schedules::ternary_facts(kb_.target).int16_products;
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

  KernelBuilder &kb_;
  llvm::IRBuilder<> &b_;
  const schedules::ContractionPlan &plan_;
  std::unique_ptr<Isa> isa_;   // unpacks units
  std::unique_ptr<Isa> wide_;  // multiplies: two vectors of 8 rows at once where the target has vectors of 64 bytes
  const int64_t k_per_unit_;
  ContractionEpilogue epilogue_;
  const int64_t nr_, mt_, block_rows_, block_tokens_, block_k_, unroll_;
  Value *codes_ = nullptr;
  SumBlocks sums_;
};

}  // namespace

void emit_gemm(KernelBuilder &kb) {
  const schedules::ContractionPlan plan = contraction_plan(kb);
  Gemm(kb, plan).emit();
}

}  // namespace bittern::codegen
