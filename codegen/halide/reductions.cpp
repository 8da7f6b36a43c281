// Reductions as Halide Funcs. Float sums have one defined order: 16 partial sums (index mod 16), combined pairwise;
// integer sums and extrema use the same shape, since their order is free. Four strategies, by how the terms lie in
// memory: lanes (terms contiguous along the reduction), pairs (int8 products, two to a multiply-add), columns (terms
// contiguous along the result), nested (terms that are reductions themselves).
#include <fmt/format.h>

#include <limits>
#include <sstream>

#include "codegen/halide/lowering.h"
#include "compiler/error.h"
#include "compiler/expr.h"

namespace bittern::codegen::halide {

using compiler::ExprPtr;
using compiler::Op;
using compiler::Role;
using compiler::Type;
using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::TailStrategy;
using Halide::Var;

namespace {

constexpr int kPartials = 16;

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

std::vector<Var> prepend(const Var &first, const std::vector<Var> &rest) {
  std::vector<Var> all = {first};
  all.insert(all.end(), rest.begin(), rest.end());
  return all;
}

template <typename T>
std::vector<Expr> indices(const T &first, const std::vector<Var> &rest) {
  std::vector<Expr> all = {Expr(first)};
  all.insert(all.end(), rest.begin(), rest.end());
  return all;
}

std::vector<Expr> indices(const Expr &first, const std::vector<Expr> &rest) {
  std::vector<Expr> all = {first};
  all.insert(all.end(), rest.begin(), rest.end());
  return all;
}

Scope with_index(const Scope &body, const std::string &name, const Expr &value) {
  Scope scope = body;
  Binding binding;
  binding.local = value;
  scope.vars[name] = binding;
  return scope;
}

// Whether the loads of `body` walk along `column` in memory while `k` jumps from row to row.
bool runs_along_columns(const ExprPtr &body, const std::string &k, const std::string &column) {
  bool strided = false, contiguous = false;
  compiler::walk(body, [&](const ExprPtr &e) {
    if (e->op != Op::Load) return;
    for (size_t i = 0; i + 1 < e->args.size(); ++i) strided |= schedules::uses_variable(e->args[i], k);
    contiguous |= schedules::uses_variable(e->args.back(), column);
  });
  return strided && contiguous && !column.empty();
}

bool is_widened_i8(const ExprPtr &e) {
  return e->op == Op::Cast && e->type == Type::I32 && e->args[0]->op == Op::Load && e->args[0]->type == Type::I8;
}

bool is_int8_product(const ExprPtr &node) {
  return node->op == Op::Sum && node->type == Type::I32 && node->args[1]->op == Op::Mul &&
         is_widened_i8(node->args[1]->args[0]) && is_widened_i8(node->args[1]->args[1]);
}

// Pairwise: i with i + 8, then + 4, + 2, + 1.
Expr tree(const ExprPtr &node, std::vector<Expr> values) {
  for (size_t half = values.size() / 2; half >= 1; half /= 2)
    for (size_t i = 0; i < half; ++i) values[i] = combine(node, values[i], values[i + half]);
  return finish(node, values[0]);
}

}  // namespace

Expr Lowering::reduce(const ExprPtr &node, const Scope &scope) {
  auto helper = std::make_unique<Helper>();
  helper->node = node;
  Scope body;
  body.lets = scope.lets;
  body.stage = &helper->inner;
  std::vector<Expr> arguments;
  std::ostringstream key;
  key << node.get();
  std::string column;  // the IR variable that runs along the consumer's innermost dimension
  const auto visit = [&](const ExprPtr &e) {
    if (e->op != Op::Var || e->name == node->name || body.vars.count(e->name)) return;
    const auto found = scope.vars.find(e->name);
    if (found == scope.vars.end()) return;  // bound by a reduction inside
    Binding binding = found->second;
    if (binding.constant()) {
      key << ' ' << e->name << '=' << binding.local;
      body.vars[e->name] = binding;
      return;
    }
    arguments.push_back(binding.local);
    const auto *variable = binding.local.as<Halide::Internal::Variable>();
    Stage &stage = *scope.stage;
    if (stage.has_vector_var && Halide::Internal::expr_uses_var(binding.local, stage.vector_var.name())) {
      helper->follows_vector_var = true;
      helper->vector_dim = helper->dims.size();
      if (variable) column = e->name;
    }
    if (!variable) stage.irregular = true;
    const Var dim(e->name + "_r");
    binding.local = dim;
    binding.clamp = binding.tile > 1;
    helper->dims.push_back(dim);
    helper->tiles.push_back(binding.tile);
    helper->counts.push_back(binding.count);
    body.vars[e->name] = binding;
  };
  for (const ExprPtr &arg : node->args) compiler::walk(arg, visit);
  helper->key = key.str();

  const bool contraction = is_contraction(node);
  Expr offset;
  if (contraction) offset = translate(activation_sums_.at(node.get()), scope);
  for (const auto &known : scope.stage->helpers)
    if (known->key == helper->key) return known->result(arguments) - (contraction ? offset : Expr(0));

  bool varying_extent = false;
  wanted_extent(node->args[0], body, varying_extent);
  if (contraction) {
    define_contraction(*helper, body);
  } else if (varying_extent || expands_to_reduction(spec_, structure_, node->args[1])) {
    define_nested(*helper, body);
  } else if (runs_along_columns(node->args[1], node->name, column)) {
    scope.stage->column = true;
    define_columns(*helper, body, column);
  } else if (is_int8_product(node)) {
    define_pairs(*helper, body);
  } else {
    define_lanes(*helper, body);
  }
  const Expr result = helper->result(arguments);
  scope.stage->helpers.push_back(std::move(helper));
  return contraction ? result - offset : result;
}

// The number of terms. `varies` tells whether it depends on a dimension of the helper, which Halide's reduction domains
// cannot: then it is an upper bound, and the terms behind the true extent must be left out one by one.
Expr Lowering::wanted_extent(const ExprPtr &extent, const Scope &body, bool &varies) {
  varies = false;
  compiler::walk(extent, [&](const ExprPtr &e) { varies |= e->op == Op::Var && !body.vars.at(e->name).constant(); });
  if (!varies) return translate_extent(extent, body);
  const Linear most = bound(extent);
  Expr value = static_cast<int32_t>(most.base);
  for (size_t i = 0; i < most.per.size(); ++i)
    if (most.per[i]) value = value + static_cast<int32_t>(most.per[i]) * sizes_.at(spec_.sizes[i]);
  return value;
}

// Computes a helper Func of `lanes` times its dimensions at the level, with tiled dimensions unrolled.
void Lowering::compute(const Helper &helper, Func func, const Place &place, int64_t lanes) {
  Linear elements{lanes, {}};
  func.compute_at(place.level);
  for (size_t i = 0; i < helper.dims.size(); ++i) {
    if (place.root) {
      Linear count = bound(helper.counts[i]);
      count.base += helper.tiles[i] - 1;
      elements = multiply(elements, count);
    } else {
      elements.base *= helper.tiles[i];
      if (helper.tiles[i] > 1) func.bound_extent(helper.dims[i], static_cast<int>(helper.tiles[i]));
    }
  }
  store(func, elements, func.types()[0].bytes());
}

namespace {

// Unrolls the tiled dimensions of a stage that is computed inside a tile.
template <typename S>
void unroll_tiles(const Helper &helper, S stage, const Place &place) {
  if (place.root) return;
  for (size_t i = 0; i < helper.dims.size(); ++i)
    if (helper.tiles[i] > 1) stage.unroll(helper.dims[i]);
}

std::vector<Halide::VarOrRVar> order(const std::vector<Halide::VarOrRVar> &first, const std::vector<Var> &dims,
                                     const std::vector<Halide::VarOrRVar> &last) {
  std::vector<Halide::VarOrRVar> all = first;
  all.insert(all.end(), dims.begin(), dims.end());
  all.insert(all.end(), last.begin(), last.end());
  return all;
}

}  // namespace

// Halves the partials level by level, each a vector Func. Gives a Func of the helper's dimensions and one lane.
Func Lowering::make_tree(Helper &helper, Func lanes, std::vector<Func> &levels) {
  const Var l("l");
  Func wide = lanes;
  for (int half = kPartials / 2; half >= 1; half /= 2) {
    Func narrow(fmt::format("half{}", half));
    narrow(prepend(l, helper.dims)) =
        combine(helper.node, wide(prepend(l, helper.dims)), wide(indices(Expr(l) + half, helper.dims)));
    levels.push_back(narrow);
    wide = narrow;
  }
  const Func last = wide;
  helper.result = [last, node = helper.node](const std::vector<Expr> &at) {
    return finish(node, last(indices(Expr(0), at)));
  };
  return last;
}

void Lowering::define_lanes(Helper &helper, const Scope &body) {
  const ExprPtr node = helper.node;
  const Var l("l");
  Func sums("partial");
  const std::vector<Var> vars = prepend(l, helper.dims);
  bool varies = false;
  const Expr extent = wanted_extent(node->args[0], body, varies);
  const auto term = [&](const Expr &k) { return translate(node->args[1], with_index(body, node->name, k)); };
  sums(vars) = neutral(node);
  const RDom block(0, Halide::Internal::simplify(extent / kPartials));
  sums(vars) = combine(node, sums(vars), term(block * kPartials + l));
  const Expr rest = Halide::Internal::simplify(extent % kPartials);
  const bool tail = !Halide::Internal::is_const_zero(rest);
  const RDom last(0, tail ? rest : Expr(1));
  if (tail) {
    const std::vector<Expr> at = indices(Expr(last.x), helper.dims);
    sums(at) = combine(node, sums(at), term(extent / kPartials * kPartials + last));
  }
  std::vector<Func> levels;
  make_tree(helper, sums, levels);
  Helper *self = &helper;
  helper.schedule = [=, this](const Place &place) mutable {
    const std::vector<Var> &dims = self->dims;
    compute(*self, sums, place, kPartials);
    sums.bound(l, 0, kPartials).vectorize(l, kPartials);
    unroll_tiles(*self, Halide::Stage(sums), place);
    sums.update(0).reorder(order({l}, dims, {block.x})).vectorize(l, kPartials);
    unroll_tiles(*self, sums.update(0), place);
    if (tail) {
      sums.update(1).reorder(order({}, dims, {last.x}));
      unroll_tiles(*self, sums.update(1), place);
    }
    int lanes = kPartials / 2;
    for (Func &half : levels) {
      compute(*self, half, place, lanes);
      half.bound(l, 0, lanes);
      if (lanes > 1) half.vectorize(l, lanes);
      unroll_tiles(*self, Halide::Stage(half), place);
      lanes /= 2;
    }
  };
}

// int8 products: two neighbours make one 16-bit multiply-add into 32 bits.
void Lowering::define_pairs(Helper &helper, const Scope &body) {
  const ExprPtr node = helper.node;
  const Var l("l");
  Func sums("partial");
  const std::vector<Var> vars = prepend(l, helper.dims);
  bool varies = false;
  const Expr extent = wanted_extent(node->args[0], body, varies);
  const auto term = [&](const Expr &k) {
    const Scope at = with_index(body, node->name, k);
    const auto factor = [&](size_t i) { return Halide::cast<int16_t>(translate(node->args[1]->args[i]->args[0], at)); };
    return Halide::widening_mul(factor(0), factor(1));
  };
  constexpr int kStep = 2 * kPartials;
  sums(vars) = 0;
  const RDom pair(0, 2, 0, Halide::Internal::simplify(extent / kStep));
  sums(vars) += term(pair.y * kStep + 2 * l + pair.x);
  const Expr rest = Halide::Internal::simplify(extent % kStep);
  const bool tail = !Halide::Internal::is_const_zero(rest);
  RDom last(0, kPartials, 0, 2);
  if (tail) {
    last.where(last.y * kPartials + last.x < rest);
    sums(indices(Expr(last.x), helper.dims)) += term(extent / kStep * kStep + last.y * kPartials + last.x);
  }
  std::vector<Func> levels;
  make_tree(helper, sums, levels);
  Helper *self = &helper;
  helper.schedule = [=, this](const Place &place) mutable {
    const std::vector<Var> &dims = self->dims;
    compute(*self, sums, place, kPartials);
    sums.bound(l, 0, kPartials).vectorize(l, kPartials);
    unroll_tiles(*self, Halide::Stage(sums), place);
    sums.update(0).reorder(order({pair.x, l}, dims, {pair.y})).atomic().vectorize(pair.x).vectorize(l, kPartials);
    unroll_tiles(*self, sums.update(0), place);
    if (tail) {
      sums.update(1).reorder(order({}, dims, {last.x, last.y}));
      unroll_tiles(*self, sums.update(1), place);
    }
    int lanes = kPartials / 2;
    for (Func &half : levels) {
      compute(*self, half, place, lanes);
      half.bound(l, 0, lanes);
      if (lanes > 1) half.vectorize(l, lanes);
      unroll_tiles(*self, Halide::Stage(half), place);
      lanes /= 2;
    }
  };
}

// Terms along the result's innermost dimension: vectors over it, and every 16th term into the same row of partials.
void Lowering::define_columns(Helper &helper, const Scope &body, const std::string &column) {
  const ExprPtr node = helper.node;
  const Var l("l");
  Func sums("partial");
  const size_t position =
      static_cast<size_t>(std::find_if(helper.dims.begin(), helper.dims.end(),
                                       [&](const Var &dim) { return dim.name() == Var(column + "_r").name(); }) -
                          helper.dims.begin());
  std::vector<Var> vars = {helper.dims[position], l};
  for (size_t i = 0; i < helper.dims.size(); ++i)
    if (i != position) vars.push_back(helper.dims[i]);
  bool varies = false;
  const Expr extent = wanted_extent(node->args[0], body, varies);
  sums(vars) = neutral(node);
  RDom block(0, (extent + (kPartials - 1)) / kPartials);
  block.where(block * kPartials + l < extent);
  sums(vars) = combine(node, sums(vars), translate(node->args[1], with_index(body, node->name, block * kPartials + l)));
  helper.result = [=](const std::vector<Expr> &at) {
    std::vector<Expr> partials;
    for (int i = 0; i < kPartials; ++i) {
      std::vector<Expr> arguments = {at[position], i};
      for (size_t j = 0; j < at.size(); ++j)
        if (j != position) arguments.push_back(at[j]);
      partials.push_back(sums(arguments));
    }
    return tree(node, partials);
  };
  Helper *self = &helper;
  const int64_t width = column_width(helper.counts[position]);
  helper.schedule = [=, this](const Place &place) mutable {
    const Var outer("co"), inner("ci");
    Linear elements = multiply({kPartials, {}}, bound(self->counts[position]));
    for (size_t i = 0; i < self->dims.size(); ++i)
      if (i != position && place.root) elements = multiply(elements, bound(self->counts[i]));
    sums.compute_at(place.level).bound(l, 0, kPartials).vectorize(vars[0], 8, TailStrategy::GuardWithIf);
    store(sums, elements, 4);
    std::vector<Halide::VarOrRVar> loops = {inner, block.x, l, outer};
    for (size_t i = 2; i < vars.size(); ++i) loops.push_back(vars[i]);
    sums.update(0)
        .split(vars[0], outer, inner, static_cast<int>(width), TailStrategy::GuardWithIf)
        .reorder(loops)
        .vectorize(inner);
  };
}

// The widest step that divides the number of columns, when that is known.
int64_t Lowering::column_width(const ExprPtr &count) const {
  const Linear columns = bound(count);
  for (const int64_t per : columns.per)
    if (per) return 8;
  for (const int64_t width : {32, 16})
    if (columns.base % width == 0) return width;
  return 8;
}

// Terms that are reductions themselves, or a number of terms that differs from result to result: one term at a time.
void Lowering::define_nested(Helper &helper, const Scope &body) {
  const ExprPtr node = helper.node;
  const Var l("l");
  Func sums("partial");
  bool varies = false;
  const Expr most = wanted_extent(node->args[0], body, varies);
  sums(prepend(l, helper.dims)) = neutral(node);
  RDom k(0, most);
  Expr index = k.x;
  if (varies) {
    const Expr extent = translate(node->args[0], body);
    k.where(k.x < extent);
    index = Halide::min(k.x, Halide::max(extent - 1, 0));
  }
  const std::vector<Expr> at = indices(Expr(k.x % kPartials), helper.dims);
  sums(at) = combine(node, sums(at), translate(node->args[1], with_index(body, node->name, index)));
  const std::vector<Var> dims = helper.dims;
  helper.result = [sums, node](const std::vector<Expr> &where) {
    std::vector<Expr> partials;
    for (int i = 0; i < kPartials; ++i) partials.push_back(sums(indices(Expr(i), where)));
    return tree(node, partials);
  };
  Helper *self = &helper;
  helper.schedule = [=, this](const Place &place) mutable {
    compute(*self, sums, place, kPartials);
    sums.bound(l, 0, kPartials).vectorize(l, kPartials);
    unroll_tiles(*self, Halide::Stage(sums), place);
    sums.update(0).reorder(order({}, dims, {k.x}));
    unroll_tiles(*self, sums.update(0), place);
    for (const auto &inner : self->inner.helpers) inner->schedule(Place(sums, k.x));
  };
}

}  // namespace bittern::codegen::halide
