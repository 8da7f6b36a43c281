// From int32 sums to outputs. Everything here follows the IR: scales, bias, clamps, sums over K groups in the defined
// order. Reductions that depend on the token alone are computed once a call.
#include <fmt/format.h>
#include <llvm/IR/Constants.h>

#include <algorithm>
#include <limits>

#include "codegen/analysis.h"
#include "codegen/llvm/contraction.h"
#include "codegen/llvm/float_ops.h"
#include "compiler/error.h"
#include "compiler/expr.h"

namespace bittern::codegen {

using compiler::ExprPtr;
using compiler::Op;
using compiler::Type;
using llvm::Value;

namespace {

constexpr unsigned kLanes = 8;  // rows an epilogue step

// What a reduction over nothing gives, and its step.
llvm::Constant *neutral(KernelBuilder &kb, const compiler::Expr &reduction) {
  const bool real = reduction.type == Type::F32;
  if (reduction.op == Op::Sum)
    return real ? llvm::ConstantFP::get(kb.b.getFloatTy(), 0.0) : llvm::cast<llvm::Constant>(kb.b.getInt32(0));
  if (real) return llvm::ConstantFP::getInfinity(kb.b.getFloatTy(), reduction.op == Op::MaxOf);
  return kb.b.getInt32(static_cast<uint32_t>(reduction.op == Op::MaxOf ? std::numeric_limits<int32_t>::min()
                                                                       : std::numeric_limits<int32_t>::max()));
}

Value *step(KernelBuilder &kb, const compiler::Expr &reduction, Value *x, Value *y) {
  const bool real = reduction.type == Type::F32;
  if (reduction.op == Op::Sum) return real ? kb.b.CreateFAdd(x, y) : kb.b.CreateAdd(x, y);
  return extremum(kb.b, reduction.op == Op::MaxOf, y, x);
}

Value *splat(KernelBuilder &kb, Value *x, unsigned lanes) {
  return lanes == 1 || x->getType()->isVectorTy() ? x : kb.b.CreateVectorSplat(lanes, x);
}

}  // namespace

Value *take_scratch(KernelBuilder &kb, int64_t bytes, const std::map<int, int64_t> &per_size) {
  Descriptor &d = kb.descriptor;
  Value *offset = kb.i64(d.scratch_base);
  for (size_t i = 0; i < kb.spec.sizes.size(); ++i)
    if (d.scratch_per[i] != 0)
      offset = kb.b.CreateAdd(offset, kb.b.CreateMul(kb.size(kb.spec.sizes[i]), kb.i64(d.scratch_per[i])));
  offset = kb.b.CreateAnd(kb.b.CreateAdd(offset, kb.i64(63)), kb.i64(-64));
  d.scratch_base += bytes + 64;  // 64: for the rounding up of whatever lies before
  for (const auto &[size, per] : per_size) d.scratch_per[size] += per;
  return kb.b.CreateGEP(kb.b.getInt8Ty(), kb.scratch(), offset);
}

Value *weight_row(KernelBuilder &kb, const schedules::ContractionPlan &plan, const schedules::Contraction &contraction,
                  Value *n) {
  if (schedules::rows_in_order(plan, kb.spec, contraction)) return n;
  Bindings bindings;
  bindings.vars[plan.n] = n;
  return ExprEmitter(kb).index(contraction.row, bindings);
}

ContractionEpilogue::ContractionEpilogue(KernelBuilder &kb, const schedules::ContractionPlan &plan, Offsets offsets)
    : kb_(kb), plan_(plan), emitter_(kb) {
  if (offsets == Offsets::None) return;
  for (const schedules::Contraction &c : plan.sums) activation_sums_.push_back(c.activation_sum);
}

Value *ContractionEpilogue::tokens() const {
  return plan_.m_size < 0 ? kb_.i64(1) : kb_.size(kb_.spec.sizes[static_cast<size_t>(plan_.m_size)]);
}

Bindings ContractionEpilogue::token_bindings(Value *m) const {
  Bindings bindings;
  if (plan_.m_size >= 0) bindings.vars[plan_.m] = m;
  return bindings;
}

// Reductions whose value depends on no variable but m. Those inside n-dependent reductions count too.
void ContractionEpilogue::collect_hoisted(const ExprPtr &e) {
  if (compiler::is_reduction(e->op)) {
    const bool contraction =
        std::any_of(plan_.sums.begin(), plan_.sums.end(), [&](const schedules::Contraction &c) { return c.sum == e; });
    if (contraction) return;
    // Free variables: every variable that occurs and is not bound by a reduction inside.
    std::vector<std::string> bound, free;
    compiler::walk(e, [&](const ExprPtr &node) {
      if (compiler::is_reduction(node->op)) bound.push_back(node->name);
      if (node->op == Op::Var) free.push_back(node->name);
    });
    const bool token_only = std::all_of(free.begin(), free.end(), [&](const std::string &name) {
      return name == plan_.m || std::find(bound.begin(), bound.end(), name) != bound.end();
    });
    if (token_only) {
      if (!hoisted(e)) hoisted_.push_back({e});
      return;
    }
  }
  for (const ExprPtr &arg : e->args) collect_hoisted(arg);
}

const ContractionEpilogue::Hoisted *ContractionEpilogue::hoisted(const ExprPtr &e) const {
  for (const Hoisted &candidate : hoisted_)
    if (compiler::equal(candidate.reduction, e)) return &candidate;
  return nullptr;
}

void ContractionEpilogue::prepare() {
  for (const schedules::PlannedOutput &output : plan_.outputs) collect_hoisted(output.value);
  for (const ExprPtr &sum : activation_sums_) collect_hoisted(sum);
  for (Hoisted &entry : hoisted_)
    entry.array = plan_.m_size < 0 ? take_scratch(kb_, 4) : take_scratch(kb_, 0, {{plan_.m_size, 4}});
  if (hoisted_.empty()) return;
  kb_.loop(kb_.i64(0), tokens(), 1, [&](Value *m) {
    for (const Hoisted &entry : hoisted_) {
      Value *result = reduce(entry.reduction, token_bindings(m), nullptr, nullptr);
      kb_.b.CreateAlignedStore(result, kb_.b.CreateGEP(kb_.b.getInt32Ty(), entry.array, m), llvm::Align(4));
    }
  });
}

Value *ContractionEpilogue::activation_sum(size_t index, Value *m, Value *group) {
  Bindings bindings = token_bindings(m);
  const schedules::Contraction &c = plan_.sums[index];
  if (c.group) bindings.vars[c.group->name] = group;
  return value(activation_sums_[index], bindings, nullptr, nullptr);
}

Value *ContractionEpilogue::value(const ExprPtr &e, const Bindings &bindings, Value *token, const LoadSum *load_sum) {
  Bindings complete = bindings;
  for (const ExprPtr &reduction : outer_reductions(e)) {
    if (const Hoisted *entry = hoisted(reduction); entry && entry->array) {
      Value *m = plan_.m_size < 0 ? kb_.i64(0) : bindings.vars.at(plan_.m);
      complete.known[reduction.get()] = kb_.b.CreateAlignedLoad(
          emitter_.value_type(reduction->type), kb_.b.CreateGEP(kb_.b.getInt32Ty(), entry->array, m), llvm::Align(4));
      continue;
    }
    size_t index = 0;
    while (index < plan_.sums.size() && plan_.sums[index].sum != reduction) ++index;
    if (index < plan_.sums.size() && load_sum) {
      const schedules::Contraction &c = plan_.sums[index];
      Value *group = c.group ? emitter_.index(c.group, bindings) : nullptr;
      complete.known[reduction.get()] = (*load_sum)(index, bindings.vars.at(plan_.n), token, group, bindings.lanes);
    } else {
      complete.known[reduction.get()] = reduce(reduction, bindings, token, load_sum);
    }
  }
  return emitter_.emit(e, complete);
}

Value *ContractionEpilogue::reduce(const ExprPtr &reduction, const Bindings &bindings, Value *token,
                                   const LoadSum *load_sum) {
  llvm::IRBuilder<> &b = kb_.b;
  const ExprPtr &body = reduction->args[1];
  const std::string &k = reduction->name;
  Value *extent = emitter_.index(reduction->args[0], bindings);
  const bool ordered = reduction->op == Op::Sum && reduction->type == Type::F32;
  const unsigned lanes = bindings.lanes;
  llvm::Type *type = emitter_.value_type(reduction->type, lanes);
  Value *start = splat(kb_, neutral(kb_, *reduction), lanes);

  if (!ordered && (lanes > 1 || compiler::has_reduction(body))) {
    const auto all = kb_.loop(kb_.i64(0), extent, 1, {start}, [&](Value *i, const KernelBuilder::Values &carried) {
      Value *term = splat(kb_, value(body, bindings.with(k, i), token, load_sum), lanes);
      return KernelBuilder::Values{step(kb_, *reduction, carried[0], term)};
    });
    return finish_extremum(b, *reduction, all[0]);
  }

  // Sixteen interleaved partials, each scalar or a vector of the bindings' lanes.
  Value *partials = kb_.local_array(type, kPartials);
  const auto slot = [&](Value *i) { return b.CreateGEP(type, partials, i); };
  const llvm::Align aligned(4);
  const auto add_one = [&](Value *i) {
    Value *place = slot(b.CreateAnd(i, kb_.i64(kPartials - 1)));
    Value *term = splat(kb_, value(body, bindings.with(k, i), token, load_sum), lanes);
    b.CreateAlignedStore(step(kb_, *reduction, b.CreateAlignedLoad(type, place, aligned), term), place, aligned);
  };
  if (lanes == 1 && !compiler::has_reduction(body)) {
    // A vector along k is the sixteen partials at once.
    Value *whole = b.CreateAnd(extent, kb_.i64(-static_cast<int64_t>(kPartials)));
    Value *sixteen = kb_.loop(kb_.i64(0), whole, kPartials, {splat(kb_, start, kPartials)},
                              [&](Value *i, const KernelBuilder::Values &carried) {
                                Value *terms =
                                    splat(kb_, emitter_.emit(body, bindings.along(k, i, kPartials)), kPartials);
                                return KernelBuilder::Values{step(kb_, *reduction, carried[0], terms)};
                              })[0];
    b.CreateAlignedStore(sixteen, partials, aligned);
    kb_.loop(whole, extent, 1, add_one);
  } else {
    for (unsigned i = 0; i < kPartials; ++i) b.CreateAlignedStore(start, slot(kb_.i64(i)), aligned);
    kb_.loop(kb_.i64(0), extent, 1, add_one);
  }
  std::vector<Value *> p;
  for (unsigned i = 0; i < kPartials; ++i) p.push_back(b.CreateAlignedLoad(type, slot(kb_.i64(i)), aligned));
  for (size_t half = kPartials / 2; half > 0; half /= 2)
    for (size_t i = 0; i < half; ++i) p[i] = step(kb_, *reduction, p[i], p[i + half]);
  return finish_extremum(b, *reduction, p[0]);
}

void ContractionEpilogue::emit(Value *first, Value *last, Value *m, Value *token, const LoadSum &load_sum) {
  const Bindings bindings = token_bindings(m);
  const auto rows = [&](Value *n, unsigned lanes) {
    const Bindings here = bindings.along(plan_.n, n, lanes);
    for (const schedules::PlannedOutput &output : plan_.outputs) {
      Value *result = splat(kb_, value(output.value, here, token, &load_sum), lanes);
      std::vector<ExprPtr> indices;
      if (plan_.m_size >= 0) indices.push_back(compiler::named(Op::Var, Type::I32, plan_.m));
      indices.push_back(compiler::named(Op::Var, Type::I32, plan_.n));
      emitter_.store(result, emitter_.address(output.tensor, indices, here));
    }
  };
  Value *count = kb_.b.CreateSub(last, first);
  Value *whole = kb_.b.CreateAdd(first, kb_.b.CreateAnd(count, kb_.i64(-static_cast<int64_t>(kLanes))));
  kb_.loop(first, whole, kLanes, [&](Value *n) { rows(n, kLanes); });
  kb_.loop(whole, last, 1, [&](Value *n) { rows(n, 1); });
}

}  // namespace bittern::codegen
