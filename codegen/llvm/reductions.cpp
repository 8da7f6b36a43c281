// The order of float sums is fixed (16 interleaved partials, combined pairwise), and it is made for vectors: a dot
// reduction keeps the 16 partials in the lanes of one vector type, which LLVM splits into what the target has.
#include "codegen/llvm/reductions.h"

#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "codegen/analysis.h"
#include "codegen/llvm/float_ops.h"
#include "codegen/llvm/isa/isa.h"
#include "compiler/expr.h"

namespace bittern::codegen {

using compiler::Expr;
using compiler::ExprPtr;
using compiler::Op;
using llvm::Value;
using IrType = compiler::Type;

namespace {

// A row is read once: fetched into the smallest cache it would only push out what is read again.
constexpr unsigned kSecondLevel = 2;

std::vector<int> counting(unsigned from, unsigned count) {
  std::vector<int> lanes(count);
  std::iota(lanes.begin(), lanes.end(), static_cast<int>(from));
  return lanes;
}

// Whether an index of the load is itself loaded.
bool is_picked(const Expr &load) {
  bool nested = false;
  for (const ExprPtr &index : load.args)
    compiler::walk(index, [&](const ExprPtr &part) { nested = nested || part->op == Op::Load; });
  return nested;
}

}  // namespace

bool ReductionEmitter::may_overrun(const ExprPtr &e, const std::string &var) const {
  if (!moves(e, var)) return true;
  if (e->op == Op::Load) return padded.count(e->name) != 0 && load_motion(*e, var) == Motion::UnitStride;
  // Integer division by what lies past the end could trap.
  if ((e->op == Op::Div || e->op == Op::Mod) && e->type == IrType::I32) return false;
  if (compiler::is_reduction(e->op)) return false;
  return std::all_of(e->args.begin(), e->args.end(), [&](const ExprPtr &arg) { return may_overrun(arg, var); });
}

Values ReductionEmitter::evaluate(const ExprPtr &e, const std::vector<Bindings> &all) {
  Values values;
  for (const Bindings &bindings : with_reductions(e, all)) values.push_back(expressions_.emit(e, bindings));
  return values;
}

std::vector<Bindings> ReductionEmitter::with_reductions(const ExprPtr &e, std::vector<Bindings> all) {
  for (const ExprPtr &reduction : outer_reductions(e)) {
    const Values results = reduce(reduction, all);
    for (size_t i = 0; i < all.size(); ++i) all[i].known[reduction.get()] = results[i];
  }
  return all;
}

Values ReductionEmitter::reduce(const ExprPtr &reduction, const std::vector<Bindings> &all) {
  const Bindings &first = all.front();
  if (first.lanes > 1) {
    if (moves(reduction, first.lane_var)) return {outer(*reduction, first)};
    Bindings scalar = first;
    scalar.lanes = 1;
    scalar.lane_var.clear();
    std::erase_if(scalar.known, [](const auto &entry) { return entry.second->getType()->isVectorTy(); });
    return reduce(reduction, {scalar});
  }
  if (!has_dot_form(reduction)) return one_by_one(*reduction, all);
  if (reduction->op == Op::Sum && is_i8_product(reduction->args[1])) return dot_i8(*reduction, all);
  return dot(*reduction, all);
}

Value *ReductionEmitter::extent(const Expr &reduction, const Bindings &bindings) {
  return expressions_.index(reduction.args[0], bindings);
}

Value *ReductionEmitter::identity(const Expr &reduction, unsigned lanes) {
  llvm::Type *type = expressions_.value_type(reduction.type, lanes);
  if (reduction.op == Op::Sum) return llvm::Constant::getNullValue(type);
  const bool greatest = reduction.op == Op::MaxOf;
  if (reduction.type == IrType::F32)
    return llvm::ConstantFP::get(
        type, greatest ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity());
  return llvm::ConstantInt::getSigned(
      type, greatest ? std::numeric_limits<int32_t>::min() : std::numeric_limits<int32_t>::max());
}

Value *ReductionEmitter::accumulate(const Expr &reduction, Value *sum, Value *term) {
  const bool real = reduction.type == IrType::F32;
  if (reduction.op == Op::Sum) return real ? b_.CreateFAdd(sum, term) : b_.CreateAdd(sum, term);
  return extremum(b_, reduction.op == Op::MaxOf, term, sum);
}

// The 16 partials to one: i with i + 8, then + 4, + 2, + 1.
Value *ReductionEmitter::combine(const Expr &reduction, Value *partials) {
  for (unsigned half = kPartials / 2; half > 0; half /= 2)
    partials = accumulate(reduction, b_.CreateShuffleVector(partials, counting(0, half)),
                          b_.CreateShuffleVector(partials, counting(half, half)));
  return finish_extremum(b_, reduction, b_.CreateExtractElement(partials, uint64_t{0}));
}

// A step long enough for one prefetch a cache line.
int64_t ReductionEmitter::main_step(const Expr &reduction, int64_t least) const {
  int64_t line = least;
  if (choices.prefetch > 0) {
    compiler::walk(reduction.args[1], [&](const ExprPtr &e) {
      if (e->op == Op::Load && load_motion(*e, reduction.name) == Motion::UnitStride)
        line = std::max<int64_t>(line, 64 / std::max(1, compiler::type_bytes(builder_.spec.find(e->name)->type)));
    });
  }
  return std::max(line, least * choices.unroll);
}

// Fetches ahead in every row that moves with the row index; past a row's end, in the same row of the next block.
void ReductionEmitter::prefetch_rows(const Expr &reduction, const std::vector<Bindings> &all, Value *position,
                                     Value *row_extent) {
  if (choices.prefetch == 0 || choices.row_var.empty()) return;
  std::vector<const Expr *> rows;
  compiler::walk(reduction.args[1], [&](const ExprPtr &e) {
    if (e->op == Op::Load && !is_picked(*e) && load_motion(*e, reduction.name) == Motion::UnitStride &&
        moves(e, choices.row_var) && builder_.spec.find(e->name)->type != IrType::Ternary)
      rows.push_back(e.get());
  });
  if (choices.row_end) prefetch_picked(reduction, all.front(), position);
  for (const Expr *row : rows) {
    const int64_t bytes = compiler::type_bytes(builder_.spec.find(row->name)->type);
    std::vector<const Bindings *> distinct;
    std::set<Value *> done;
    for (const Bindings &bindings : all)
      if (done.insert(bindings.vars.at(choices.row_var)).second) distinct.push_back(&bindings);
    const auto count = static_cast<int64_t>(distinct.size());
    Bindings next = distinct.front()->with(reduction.name, builder_.i64(0));
    next.vars[choices.row_var] = b_.CreateAdd(next.vars[choices.row_var], builder_.i64(count));
    Value *next_block = expressions_.address(row->name, row->args, next);
    if (count > 1) {
      Value *line = b_.CreateMul(position, builder_.i64(count * bytes));
      for (int64_t i = 0; i < count; ++i)
        builder_.prefetch(b_.CreateGEP(b_.getInt8Ty(), next_block, b_.CreateAdd(line, builder_.i64(64 * i))),
                          kSecondLevel);
      continue;
    }
    Value *ahead = b_.CreateMul(b_.CreateAdd(position, builder_.i64(choices.prefetch / bytes)), builder_.i64(bytes));
    Value *row_bytes = b_.CreateMul(row_extent, builder_.i64(bytes));
    const Bindings here = distinct.front()->with(reduction.name, builder_.i64(0));
    Value *this_row = expressions_.address(row->name, row->args, here);
    Value *wrapped = b_.CreateGEP(b_.getInt8Ty(), next_block, b_.CreateSub(ahead, row_bytes));
    builder_.prefetch(
        b_.CreateSelect(b_.CreateICmpSLT(ahead, row_bytes), b_.CreateGEP(b_.getInt8Ty(), this_row, ahead), wrapped),
        kSecondLevel);
  }
}

// Rows that are picked by other loads (a page table): where the row lies that comes some rows later is known by reading
// its indices, which is allowed up to the last row.
void ReductionEmitter::prefetch_picked(const Expr &reduction, const Bindings &bindings, Value *position) {
  Bindings later = bindings.with(reduction.name, position);
  Value *&row = later.vars[choices.row_var];
  row =
      builder_.minimum(b_.CreateAdd(row, builder_.i64(picked_ahead())), b_.CreateSub(choices.row_end, builder_.i64(1)));
  compiler::walk(reduction.args[1], [&](const ExprPtr &e) {
    if (e->op == Op::Load && load_motion(*e, reduction.name) == Motion::UnitStride && moves(e, choices.row_var) &&
        is_picked(*e) && builder_.spec.find(e->name)->type != IrType::Ternary)
      builder_.prefetch(expressions_.address(e->name, e->args, later), kSecondLevel);
  });
}

// The same for vectors along an index of the result, whose terms are the rows.
void ReductionEmitter::prefetch_terms(const Expr &reduction, const Bindings &bindings, Value *term, Value *count) {
  if (choices.prefetch == 0) return;
  Bindings later = bindings.with(reduction.name, builder_.minimum(b_.CreateAdd(term, builder_.i64(picked_ahead())),
                                                                  b_.CreateSub(count, builder_.i64(1))));
  compiler::walk(reduction.args[1], [&](const ExprPtr &e) {
    if (e->op != Op::Load || load_motion(*e, bindings.lane_var) != Motion::UnitStride || !moves(e, reduction.name) ||
        !is_picked(*e) || builder_.spec.find(e->name)->type == IrType::Ternary)
      return;
    Value *row = expressions_.address(e->name, e->args, later);
    const int64_t bytes = int64_t{bindings.lanes} * compiler::type_bytes(builder_.spec.find(e->name)->type);
    for (int64_t line = 0; line < bytes; line += 64)
      builder_.prefetch(b_.CreateGEP(b_.getInt8Ty(), row, builder_.i64(line)), kSecondLevel);
  });
}

Values ReductionEmitter::dot(const Expr &reduction, const std::vector<Bindings> &outside) {
  const ExprPtr &body = reduction.args[1];
  // Reductions inside the terms are the same for all of them.
  const std::vector<Bindings> all = with_reductions(body, outside);
  const std::string &var = reduction.name;
  Value *count = extent(reduction, all.front());
  Value *whole = b_.CreateAnd(count, builder_.i64(-int64_t{kPartials}));
  const int64_t step = main_step(reduction, kPartials);
  const auto add_terms = [&](Values sums, Value *k) {
    for (size_t i = 0; i < all.size(); ++i)
      sums[i] = accumulate(reduction, sums[i], expressions_.emit_lanes(body, all[i].along(var, k, kPartials)));
    return sums;
  };
  Values sums(all.size(), identity(reduction, kPartials));
  Value *done = builder_.i64(0);
  if (step > kPartials) {
    Value *main_end = b_.CreateMul(b_.CreateUDiv(whole, builder_.i64(step)), builder_.i64(step));
    sums = builder_.loop(done, main_end, step, sums, [&](Value *k, const Values &carried) {
      prefetch_rows(reduction, all, k, count);
      Values next = carried;
      for (int64_t part = 0; part < step; part += kPartials)
        next = add_terms(next, b_.CreateAdd(k, builder_.i64(part), "", false, true));
      return next;
    });
    done = main_end;
  }
  sums = builder_.loop(done, whole, kPartials, sums, [&](Value *k, const Values &carried) {
    if (step == kPartials) prefetch_rows(reduction, all, k, count);
    return add_terms(carried, k);
  });

  // The last 0 .. 15 terms go to the partials they belong to. Adding +0 to the others changes nothing: a sum that
  // started at +0 is never -0.
  Values tails;
  if (may_overrun(body, var)) {
    std::vector<llvm::Constant *> lanes;
    for (unsigned lane = 0; lane < kPartials; ++lane) lanes.push_back(b_.getInt64(lane));
    Value *inside =
        b_.CreateICmpSLT(llvm::ConstantVector::get(lanes), b_.CreateVectorSplat(kPartials, b_.CreateSub(count, whole)));
    for (const Bindings &bindings : all)
      tails.push_back(b_.CreateSelect(inside, expressions_.emit_lanes(body, bindings.along(var, whole, kPartials)),
                                      identity(reduction, kPartials)));
  } else {
    llvm::Type *element = expressions_.value_type(reduction.type);
    Values buffers;
    for (size_t i = 0; i < all.size(); ++i) {
      buffers.push_back(builder_.local_array(element, kPartials));
      b_.CreateAlignedStore(identity(reduction, kPartials), buffers[i], llvm::Align(64));
    }
    builder_.loop(whole, count, 1, [&](Value *k) {
      for (size_t i = 0; i < all.size(); ++i)
        expressions_.store(expressions_.emit(body, all[i].with(var, k)),
                           b_.CreateGEP(element, buffers[i], b_.CreateSub(k, whole)));
    });
    for (Value *buffer : buffers)
      tails.push_back(
          b_.CreateAlignedLoad(expressions_.value_type(reduction.type, kPartials), buffer, llvm::Align(64)));
  }
  Values results;
  for (size_t i = 0; i < all.size(); ++i)
    results.push_back(combine(reduction, accumulate(reduction, sums[i], tails[i])));
  return results;
}

// Sums of i8 products, exact in any order: pairs of 16-bit products by multiply-add instructions.
Values ReductionEmitter::dot_i8(const Expr &reduction, const std::vector<Bindings> &all) {
  constexpr unsigned kLanes = 32;
  const std::unique_ptr<Isa> isa = make_isa(builder_);
  const ExprPtr &product = reduction.args[1];
  const std::string &var = reduction.name;
  Value *count = extent(reduction, all.front());
  Value *whole = b_.CreateAnd(count, builder_.i64(-int64_t{kLanes}));
  constexpr unsigned part = 16;
  llvm::Type *words = builder_.vector(b_.getInt16Ty(), kLanes);
  const unsigned parts = kLanes / part;

  // The sums of one binding are `parts` vectors; all bindings' vectors travel in one list.
  const auto add_terms = [&](Values sums, Value *k) {
    for (size_t i = 0; i < all.size(); ++i) {
      const Bindings lanes = all[i].along(var, k, kLanes);
      Value *x = b_.CreateSExt(expressions_.emit_lanes(product->args[0]->args[0], lanes), words);
      Value *y = b_.CreateSExt(expressions_.emit_lanes(product->args[1]->args[0], lanes), words);
      for (unsigned p = 0; p < parts; ++p) {
        Value *pairs = isa->multiply_add_halves(b_.CreateShuffleVector(x, counting(p * part, part)),
                                                b_.CreateShuffleVector(y, counting(p * part, part)));
        sums[i * parts + p] = b_.CreateAdd(sums[i * parts + p], pairs);
      }
    }
    return sums;
  };
  Values sums(all.size() * parts, llvm::Constant::getNullValue(builder_.vector(b_.getInt32Ty(), part / 2)));
  const int64_t step = main_step(reduction, kLanes);
  Value *done = builder_.i64(0);
  if (step > kLanes) {
    Value *main_end = b_.CreateMul(b_.CreateUDiv(whole, builder_.i64(step)), builder_.i64(step));
    sums = builder_.loop(done, main_end, step, sums, [&](Value *k, const Values &carried) {
      prefetch_rows(reduction, all, k, count);
      Values next = carried;
      for (int64_t offset = 0; offset < step; offset += kLanes)
        next = add_terms(next, b_.CreateAdd(k, builder_.i64(offset), "", false, true));
      return next;
    });
    done = main_end;
  }
  sums = builder_.loop(done, whole, kLanes, sums, [&](Value *k, const Values &carried) {
    if (step == kLanes) prefetch_rows(reduction, all, k, count);
    return add_terms(carried, k);
  });
  Values totals;
  for (size_t i = 0; i < all.size(); ++i) {
    Value *sum = sums[i * parts];
    for (unsigned p = 1; p < parts; ++p) sum = b_.CreateAdd(sum, sums[i * parts + p]);
    totals.push_back(b_.CreateAddReduce(sum));
  }
  return builder_.loop(whole, count, 1, totals, [&](Value *k, const Values &carried) {
    Values next;
    for (size_t i = 0; i < all.size(); ++i)
      next.push_back(b_.CreateAdd(carried[i], expressions_.emit(product, all[i].with(var, k))));
    return next;
  });
}

Values ReductionEmitter::one_by_one(const Expr &reduction, const std::vector<Bindings> &all) {
  const ExprPtr &body = reduction.args[1];
  const std::string &var = reduction.name;
  Value *count = extent(reduction, all.front());
  // Reductions inside the body advance by their own indices; they need not know of the rows round this one.
  const auto terms = [&](Value *k) {
    std::vector<Bindings> inner;
    for (const Bindings &bindings : all) inner.push_back(bindings.with(var, k));
    return evaluate(body, inner);
  };
  if (reduction.op != Op::Sum || reduction.type != IrType::F32) {
    const Values initial(all.size(), identity(reduction, 1));
    Values results = builder_.loop(builder_.i64(0), count, 1, initial, [&](Value *k, const Values &carried) {
      Values next = terms(k);
      for (size_t i = 0; i < all.size(); ++i) next[i] = accumulate(reduction, carried[i], next[i]);
      return next;
    });
    for (Value *&result : results) result = finish_extremum(b_, reduction, result);
    return results;
  }
  Values buffers;
  for (size_t i = 0; i < all.size(); ++i) {
    buffers.push_back(builder_.local_array(b_.getFloatTy(), kPartials));
    b_.CreateAlignedStore(identity(reduction, kPartials), buffers[i], llvm::Align(64));
  }
  builder_.loop(builder_.i64(0), count, 1, [&](Value *k) {
    const Values next = terms(k);
    Value *lane = b_.CreateAnd(k, builder_.i64(kPartials - 1));
    for (size_t i = 0; i < all.size(); ++i) {
      Value *slot = b_.CreateGEP(b_.getFloatTy(), buffers[i], lane);
      expressions_.store(b_.CreateFAdd(b_.CreateLoad(b_.getFloatTy(), slot), next[i]), slot);
    }
  });
  Values results;
  for (Value *buffer : buffers)
    results.push_back(combine(
        reduction, b_.CreateAlignedLoad(expressions_.value_type(IrType::F32, kPartials), buffer, llvm::Align(64))));
  return results;
}

// One partial of every lane at a time, so that all lanes stay in registers; the 16 results meet in memory.
Value *ReductionEmitter::outer(const Expr &reduction, const Bindings &bindings) {
  const ExprPtr &body = reduction.args[1];
  const std::string &var = reduction.name;
  Value *count = extent(reduction, bindings);
  Value *start = identity(reduction, bindings.lanes);
  const auto widened = [&](Value *value) {
    return value->getType()->isVectorTy() ? value : b_.CreateVectorSplat(bindings.lanes, value);
  };
  const auto chain = [&](Value *first, int64_t step) {
    return builder_.loop(first, count, step, {start}, [&](Value *k, const Values &carried) {
      Value *term = widened(evaluate(body, {bindings.with(var, k)}).front());
      return Values{accumulate(reduction, carried[0], term)};
    })[0];
  };
  if (reduction.op != Op::Sum || reduction.type != IrType::F32)
    return finish_extremum(b_, reduction, chain(builder_.i64(0), 1));
  // The terms come in order, so that memory is walked in order too (in attention a term is a row of the cache); each
  // goes to the vector of its partial sum, which two terms share while it is in registers.
  llvm::Type *row = start->getType();
  Value *partials = builder_.local_array(row, kPartials);
  const auto partial = [&](Value *index) { return b_.CreateGEP(row, partials, index); };
  builder_.loop(builder_.i64(0), builder_.i64(kPartials), 1,
                [&](Value *i) { b_.CreateAlignedStore(start, partial(i), llvm::Align(64)); });
  const auto add = [&](Value *first, Value *last, int64_t terms) {
    const int64_t block = terms * kPartials;
    builder_.loop(first, last, block, [&](Value *base) {
      Value *here = builder_.minimum(builder_.i64(kPartials), b_.CreateSub(last, base));
      builder_.loop(builder_.i64(0), here, 1, [&](Value *i) {
        prefetch_terms(reduction, bindings, b_.CreateAdd(base, i, "", false, true), count);
        Value *sum = b_.CreateAlignedLoad(row, partial(i), llvm::Align(64));
        for (int64_t t = 0; t < terms; ++t) {
          Value *k = b_.CreateAdd(b_.CreateAdd(base, i), builder_.i64(t * kPartials), "", false, true);
          sum = accumulate(reduction, sum, widened(evaluate(body, {bindings.with(var, k)}).front()));
        }
        b_.CreateAlignedStore(sum, partial(i), llvm::Align(64));
      });
    });
  };
  constexpr int64_t kTerms = 2;
  Value *whole = b_.CreateAnd(count, builder_.i64(-kTerms * int64_t{kPartials}));
  add(builder_.i64(0), whole, kTerms);
  add(whole, count, 1);

  // Combined 16 lanes at a time, which is what registers hold.
  const unsigned lanes = std::min(bindings.lanes, kPartials);
  llvm::Type *part = expressions_.value_type(reduction.type, lanes);
  builder_.loop(builder_.i64(0), builder_.i64(bindings.lanes), lanes, [&](Value *lane) {
    Values sums;
    const auto at = [&](unsigned i) {
      return b_.CreateGEP(start->getType()->getScalarType(), partial(builder_.i64(i)), lane);
    };
    for (unsigned i = 0; i < kPartials; ++i) sums.push_back(b_.CreateLoad(part, at(i)));
    for (size_t half = kPartials / 2; half > 0; half /= 2)
      for (size_t i = 0; i < half; ++i) sums[i] = b_.CreateFAdd(sums[i], sums[i + half]);
    b_.CreateStore(sums[0], at(0));
  });
  return b_.CreateAlignedLoad(row, partial(builder_.i64(0)), llvm::Align(64));
}

}  // namespace bittern::codegen
