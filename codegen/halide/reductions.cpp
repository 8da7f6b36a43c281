// Reductions as Halide Funcs: 16 partial sums (index mod 16), combined pairwise. Two strategies, by how the shared
// analysis finds the terms to lie in memory: lanes (contiguous along the reduction; int8 products two to a
// multiply-add), and one term at a time, either for a vector of results or because terms are reductions themselves.
#include <fmt/format.h>

#include <limits>

#include "codegen/analysis.h"
#include "codegen/halide/lowering.h"
#include "compiler/error.h"
#include "compiler/expr.h"

namespace bittern::codegen::halide {

using compiler::ExprPtr;
using compiler::Op;
using compiler::Type;
using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::TailStrategy;
using Halide::Var;

namespace {

constexpr int kWays = kPartials;

Expr neutral(const ExprPtr &node) {
  if (node->type == Type::F32) {
    const float infinity = std::numeric_limits<float>::infinity();
    return node->op == Op::Sum ? 0.0f : node->op == Op::MaxOf ? -infinity : infinity;
  }
  if (node->op == Op::Sum) return 0;
  return node->op == Op::MaxOf ? std::numeric_limits<int32_t>::min() : std::numeric_limits<int32_t>::max();
}

Expr combine(const ExprPtr &node, const Expr &a, const Expr &b) {
  if (node->op == Op::Sum) return node->type == Type::F32 ? Halide::strict_float(a + b) : a + b;
  if (node->type == Type::I32) return node->op == Op::MaxOf ? Halide::max(a, b) : Halide::min(a, b);
  // `b` is the new term: a NaN is never greater or less.
  return Halide::strict_float(Halide::select(node->op == Op::MaxOf ? b > a : b < a, b, a));
}

// The last step: of equal zeros any may have been kept, so a zero is made +0.
Expr finish(const ExprPtr &node, const Expr &best) {
  return node->op == Op::Sum || node->type == Type::I32 ? best : Halide::strict_float(best + 0.0f);
}

Scope with_index(const Scope &body, const std::string &name, const Expr &value) {
  Scope scope = body;
  Binding binding;
  binding.local = value;
  scope.vars[name] = binding;
  return scope;
}

// Pairwise: i with i + 8, then + 4, + 2, + 1.
Expr tree(const ExprPtr &node, std::vector<Expr> values) {
  for (size_t half = values.size() / 2; half >= 1; half /= 2)
    for (size_t i = 0; i < half; ++i) values[i] = combine(node, values[i], values[i + half]);
  return finish(node, values[0]);
}

// Unrolls the tiled dimensions of a stage that is computed inside a tile.
void unroll_tiles(const Helper &helper, Halide::Stage stage, const Place &place) {
  if (place.root) return;
  for (const Var &dim : helper.tiled()) stage.unroll(dim);
}

}  // namespace

Vars Helper::tiled() const {
  Vars together;
  for (size_t i = 0; i < dims.size(); ++i)
    if (tiles[i] > 1) together.push_back(dims[i]);
  return together;
}

Expr Lowering::reduce(const ExprPtr &node, const Scope &scope) {
  Needs &needs = *scope.needs;
  for (const auto &known : needs.helpers)
    if (known->node == node) return known->value;
  auto helper = std::make_unique<Helper>();
  helper->node = node;
  Scope body;
  body.needs = &helper->inner;
  const auto visit = [&](const ExprPtr &e) {
    if (e->op != Op::Var || body.vars.count(e->name)) return;
    const auto found = scope.vars.find(e->name);
    if (found == scope.vars.end()) return;  // bound by this reduction or one inside
    Binding binding = found->second;
    if (!binding.constant) {
      const auto *variable = binding.local.as<Halide::Internal::Variable>();
      if (variable && variable->name == needs.vector_var) helper->vector_dim = static_cast<int>(helper->dims.size());
      const Var dim(fmt::format("r{}", helper->dims.size()));
      helper->arguments.push_back(binding.local);
      helper->dims.push_back(dim);
      helper->tiles.push_back(binding.tile);
      helper->counts.push_back(binding.count);
      helper->cut |= binding.base.defined();
      binding.local = dim;
      binding.clamp = binding.tile > 1;
    }
    body.vars[e->name] = binding;
  };
  for (const ExprPtr &arg : node->args) compiler::walk(arg, visit);

  const auto contraction =
      request_.schedule.template_name == "loops" ? std::nullopt : schedules::match_contraction(spec_, node);
  bool varies = false;
  wanted_extent(node->args[0], body, varies);
  if (contraction) {
    define_contraction(*helper, body, *contraction);
    helper->value = helper->value - translate(contraction->activation_sum, scope);
  } else if (varies || !outer_reductions(node->args[1]).empty()) {
    define_terms(*helper, body, false);
  } else if (needs.column && helper->vector_dim >= 0) {
    define_terms(*helper, body, true);
  } else {
    define_lanes(*helper, body);
  }
  needs.helpers.push_back(std::move(helper));
  return needs.helpers.back()->value;
}

// The number of terms. `varies` tells whether it depends on a dimension of the helper, which Halide's reduction domains
// cannot: then it is an upper bound, and the terms behind the true extent must be left out one by one.
Expr Lowering::wanted_extent(const ExprPtr &extent, const Scope &body, bool &varies) {
  varies = false;
  compiler::walk(extent, [&](const ExprPtr &e) { varies |= e->op == Op::Var && !body.vars.at(e->name).constant; });
  if (!varies) return translate_extent(extent, body);
  const Linear most = bound(extent);
  Expr value = static_cast<int32_t>(most.constant);
  for (const auto &[size, coefficient] : most.sizes)
    value = value + static_cast<int32_t>(coefficient) * sizes_.at(size);
  return value;
}

// Computes a helper Func of `lanes` times its dimensions at the level.
void Lowering::compute(const Helper &helper, Func func, const Place &place, int64_t lanes) {
  func.compute_at(place.level);
  if (place.root) return store(func, lanes, helper.counts, helper.cut, 7);  // a tile is 8 at most
  for (size_t i = 0; i < helper.dims.size(); ++i) {
    lanes *= helper.tiles[i];
    if (helper.tiles[i] > 1) func.bound_extent(helper.dims[i], static_cast<int>(helper.tiles[i]));
  }
  store(func, lanes, {});
}

// A vector of partial sums, which is halved level by level, each a vector Func.
void Lowering::define_lanes(Helper &helper, const Scope &body) {
  const ExprPtr node = helper.node, &terms = node->args[1];
  const bool pairs = node->op == Op::Sum && is_i8_product(terms);
  const int together = pairs ? 2 : 1, step = together * kWays;
  const Var l("l");
  const Vars vars = join<Var>(Vars{l}, helper.dims);
  bool varies = false;
  const Expr extent = wanted_extent(node->args[0], body, varies);
  const auto term = [&](const Expr &k) {
    const Scope here = with_index(body, node->name, k);
    if (!pairs) return translate(terms, here);
    const auto factor = [&](size_t i) { return Halide::cast<int16_t>(translate(terms->args[i]->args[0], here)); };
    return Halide::widening_mul(factor(0), factor(1));
  };
  Func sums("partial");
  sums(vars) = neutral(node);
  const RDom block(0, together, 0, Halide::Internal::simplify(extent / step));
  sums(vars) = combine(node, sums(vars), term(block.y * step + together * l + block.x));
  const Expr rest = Halide::Internal::simplify(extent % step);
  const bool tail = !Halide::Internal::is_const_zero(rest);
  const RDom last(0, tail ? rest : Expr(1));
  if (tail) {
    const Exprs lane = at({last.x % kWays}, helper.dims);
    sums(lane) = combine(node, sums(lane), term(extent / step * step + last.x));
  }
  std::vector<Func> levels = {sums};
  for (int half = kWays / 2; half >= 1; half /= 2) {
    Func narrow(fmt::format("half{:02}", half));
    narrow(vars) = combine(node, levels.back()(vars), levels.back()(at({l + half}, helper.dims)));
    levels.push_back(narrow);
  }
  helper.value = finish(node, levels.back()(join<Expr>(Exprs{0}, helper.arguments)));
  Helper *self = &helper;
  helper.schedule = [=, this](const Place &place) mutable {
    int lanes = kWays;
    for (Func &func : levels) {
      compute(*self, func, place, lanes);
      func.bound(l, 0, lanes);
      if (lanes > 1) func.vectorize(l, lanes);
      unroll_tiles(*self, Halide::Stage(func), place);
      lanes /= 2;
    }
    Halide::Stage main = sums.update(0);
    main.reorder(loops({block.x, l}, self->dims, {block.y}));
    if (pairs) main.atomic().vectorize(block.x);
    main.vectorize(l, kWays);
    unroll_tiles(*self, main, place);
    if (!tail) return;
    sums.update(1).reorder(loops({}, self->dims, {last.x}));
    unroll_tiles(*self, sums.update(1), place);
  };
}

// One term at a time. With `column` the terms of a vector of results, which lie along the result's innermost dimension;
// every 16th term goes into the same row of partials.
void Lowering::define_terms(Helper &helper, const Scope &body, bool column) {
  const ExprPtr node = helper.node;
  Vars dims = helper.dims;
  Exprs arguments = helper.arguments;
  if (column) {
    std::swap(dims[0], dims[static_cast<size_t>(helper.vector_dim)]);
    std::swap(arguments[0], arguments[static_cast<size_t>(helper.vector_dim)]);
  }
  const Vars across = column ? Vars{dims[0]} : Vars{};
  const Vars rest(dims.begin() + static_cast<std::ptrdiff_t>(across.size()), dims.end());
  const auto partial = [=](const auto &lane, const auto &where) {
    Exprs all(where.begin(), where.end());
    all.insert(all.begin() + static_cast<std::ptrdiff_t>(across.size()), Expr(lane));
    return all;
  };
  const Var l("l");
  Func sums("partial");
  sums(join<Var>(join<Var>(across, Vars{l}), rest)) = neutral(node);
  bool varies = false;
  const Expr most = wanted_extent(node->args[0], body, varies);
  const Expr extent = varies ? translate(node->args[0], body) : most;
  // What is read for a term that is left out is read at the last.
  RDom k(0, (most + (kWays - 1)) / kWays, 0, kWays);
  const Expr index = k.x * kWays + k.y;
  k.where(index < extent);
  const Exprs lane = partial(k.y, dims);
  sums(lane) =
      combine(node, sums(lane),
              translate(node->args[1], with_index(body, node->name, Halide::min(index, Halide::max(extent - 1, 0)))));
  Exprs partials;
  for (int i = 0; i < kWays; ++i) partials.push_back(sums(partial(i, arguments)));
  helper.value = tree(node, partials);
  Helper *self = &helper;
  const ExprPtr columns = column ? helper.counts[static_cast<size_t>(helper.vector_dim)] : nullptr;
  helper.schedule = [=, this](const Place &place) mutable {
    Halide::Stage update = sums.update(0);
    sums.bound(l, 0, kWays);
    if (column) {
      sums.compute_at(place.level).vectorize(across[0], 8, TailStrategy::GuardWithIf);
      store(sums, kWays, place.root ? self->counts : std::vector<ExprPtr>{columns}, self->cut);
      const Var outer("co"), inner("ci");
      update.split(across[0], outer, inner, column_width(columns), TailStrategy::GuardWithIf)
          .reorder(loops({inner, k.x, k.y, outer}, rest))
          .vectorize(inner);
    } else {
      compute(*self, sums, place, kWays);
      sums.vectorize(l, kWays);
      unroll_tiles(*self, Halide::Stage(sums), place);
      update.reorder(loops({}, dims, {k.y, k.x}));
      unroll_tiles(*self, update, place);
    }
    for (const auto &inner : self->inner.helpers) inner->schedule(column ? Place() : Place(sums, k.y));
  };
}

// The widest step that divides the number of columns, when that is known.
int Lowering::column_width(const ExprPtr &count) const {
  const Linear columns = bound(count);
  return !columns.sizes.empty() ? 8 : columns.constant % 32 == 0 ? 32 : columns.constant % 16 == 0 ? 16 : 8;
}

}  // namespace bittern::codegen::halide
