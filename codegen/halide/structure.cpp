// Which loops are whose: see structure.h.
#include "codegen/halide/structure.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>

#include "compiler/error.h"
#include "compiler/expr.h"
#include "compiler/printer.h"
#include "schedules/parallel.h"

namespace bittern::codegen::halide {

using compiler::Definition;
using compiler::ExprPtr;
using compiler::KernelSpec;
using compiler::Op;
using compiler::Role;
using compiler::Sizes;

bool Structure::is_stored(const std::string &tensor) const {
  return std::find(stored.begin(), stored.end(), tensor) != stored.end();
}

bool expands_to_reduction(const KernelSpec &spec, const Structure &structure, const ExprPtr &value) {
  if (compiler::is_reduction(value->op)) return true;
  if (value->op == Op::Load && !structure.is_stored(value->name)) {
    const compiler::Tensor &tensor = *spec.find(value->name);
    const bool expanded = tensor.role == Role::Local || (tensor.role == Role::Out && structure.one_nest);
    if (expanded && expands_to_reduction(spec, structure, spec.definition(value->name)->value)) return true;
  }
  return std::any_of(value->args.begin(), value->args.end(),
                     [&](const ExprPtr &arg) { return expands_to_reduction(spec, structure, arg); });
}

namespace {

bool is_defined(const compiler::Tensor &tensor) { return tensor.role == Role::Local || tensor.role == Role::Out; }

bool depends_on_sizes_only(const ExprPtr &e) {
  bool only = true;
  compiler::walk(e, [&](const ExprPtr &node) { only &= node->op != Op::Var && node->op != Op::Load; });
  return only;
}

// Whether every load of a local in `value` has the definition's own variables as its first `count` indices.
bool loads_follow(const KernelSpec &spec, const Definition &definition, size_t count) {
  bool follow = true;
  compiler::walk(definition.value, [&](const ExprPtr &e) {
    if (e->op != Op::Load || !is_defined(*spec.find(e->name))) return;
    for (size_t i = 0; i < count; ++i)
      follow &= i < e->args.size() && e->args[i]->op == Op::Var && e->args[i]->name == definition.vars[i].name;
  });
  return follow;
}

// The number of leading index variables that all definitions share.
size_t shared_variables(const KernelSpec &spec, const std::vector<const Definition *> &definitions) {
  size_t shared = definitions.front()->vars.size();
  for (const Definition *definition : definitions) {
    const auto &vars = definition->vars, &first = definitions.front()->vars;
    shared = std::min(shared, vars.size());
    for (size_t i = 0; i < shared; ++i)
      if (!compiler::equal(vars[i].extent, first[i].extent) || !depends_on_sizes_only(vars[i].extent)) shared = i;
  }
  for (const Definition *definition : definitions)
    while (shared > 0 && !loads_follow(spec, *definition, shared)) --shared;
  return shared;
}

// Costly enough to be worth keeping when it is used more than once.
bool heavy(const ExprPtr &value) {
  bool found = false;
  compiler::walk(value, [&](const ExprPtr &e) { found |= e->op == Op::Call || e->op == Op::Div || e->op == Op::Sqrt; });
  return found && value->type == compiler::Type::F32;
}

struct Uses {
  int count = 0;
  bool repeated = false;  // under a reduction whose variable the use does not name: the same value again and again
};
void count_uses(const ExprPtr &value, const std::string &local, const std::set<std::string> &reductions, Uses &uses) {
  if (value->op == Op::Load && value->name == local) {
    ++uses.count;
    for (const std::string &variable : reductions) {
      bool named = false;
      for (const ExprPtr &arg : value->args)
        compiler::walk(arg, [&](const ExprPtr &e) { named |= e->op == Op::Var && e->name == variable; });
      uses.repeated |= !named;
    }
  }
  auto inner = reductions;
  if (compiler::is_reduction(value->op)) inner.insert(value->name);
  for (const ExprPtr &arg : value->args) count_uses(arg, local, inner, uses);
}

bool worth_storing(const KernelSpec &spec, const Structure &structure, const Definition &local) {
  // A single number per run of the Halide function costs nothing to keep.
  if (local.vars.size() <= structure.prefix) return true;
  if (!expands_to_reduction(spec, structure, local.value) && !heavy(local.value)) return false;
  Uses uses;
  bool fewer_indices = false;
  for (const Definition *user : structure.definitions) {
    Uses here;
    count_uses(user->value, local.tensor, {}, here);
    uses.count += here.count;
    uses.repeated |= here.repeated;
    fewer_indices |= here.count > 0 && user->vars.size() > local.vars.size();
  }
  return uses.count > 1 || uses.repeated || fewer_indices;
}

// One loop nest over the outputs' common indices, cut along the innermost that is a size.
bool stream_weights(const KernelSpec &spec, Structure &structure) {
  std::vector<const Definition *> outputs;
  for (const Definition *definition : structure.definitions)
    if (spec.find(definition->tensor)->role == Role::Out) outputs.push_back(definition);
  const auto &vars = outputs.front()->vars;
  for (const Definition *output : outputs) {
    if (output->vars.size() != vars.size() || spec.find(output->tensor)->pad > 1) return false;
    for (size_t i = 0; i < vars.size(); ++i)
      if (!compiler::equal(output->vars[i].extent, vars[i].extent)) return false;
  }
  if (vars.empty() || vars.back().extent->op != Op::Size) return false;
  structure.one_nest = true;
  structure.parallel = static_cast<int>(vars.size()) - 1;
  structure.tile_size_index =
      static_cast<int>(std::find(spec.sizes.begin(), spec.sizes.end(), vars.back().extent->name) - spec.sizes.begin());
  return true;
}

void choose_parallel(const KernelSpec &spec, size_t shared, Structure &structure) {
  for (const int size : schedules::parallel_sizes(spec)) {
    const std::string &name = spec.sizes[static_cast<size_t>(size)];
    for (size_t i = 0; i < shared && structure.parallel < 0; ++i) {
      const ExprPtr &extent = structure.definitions.front()->vars[i].extent;
      const bool reachable = structure.prefix == 0 || i < structure.prefix;
      if (reachable && extent->op == Op::Size && extent->name == name) {
        structure.parallel = static_cast<int>(i);
        structure.tile_size_index = size;
      }
    }
    if (structure.parallel >= 0) return;
  }
}

bool loads(const ExprPtr &e) {
  bool found = false;
  compiler::walk(e, [&](const ExprPtr &node) { found |= node->op == Op::Load; });
  return found;
}

// The extent with the prefix's variables under their common names; null when it uses other variables.
ExprPtr canonical_extent(const ExprPtr &extent, const std::map<std::string, int> &prefix) {
  std::map<std::string, ExprPtr> names;
  for (const auto &[name, position] : prefix)
    names[name] = compiler::named(Op::Var, compiler::Type::I32, std::to_string(position));
  bool foreign = false;
  compiler::walk(extent, [&](const ExprPtr &e) { foreign |= e->op == Op::Var && names.find(e->name) == names.end(); });
  return foreign ? nullptr : compiler::substitute(extent, names);
}

void collect_extents(const Definition &definition, Structure &structure) {
  std::map<std::string, int> prefix;
  for (size_t i = 0; i < structure.prefix; ++i) prefix[definition.vars[i].name] = static_cast<int>(i);
  const auto collect = [&](const ExprPtr &extent) {
    if (!loads(extent) || find_extent(structure, extent, prefix) >= 0) return;
    if (const ExprPtr canonical = canonical_extent(extent, prefix)) structure.extents.push_back(canonical);
  };
  for (const compiler::IndexVar &index : definition.vars) collect(index.extent);
  compiler::walk(definition.value, [&](const ExprPtr &e) {
    if (compiler::is_reduction(e->op)) collect(e->args[0]);
  });
}

}  // namespace

int find_extent(const Structure &structure, const ExprPtr &extent, const std::map<std::string, int> &prefix) {
  const ExprPtr canonical = canonical_extent(extent, prefix);
  for (size_t i = 0; canonical && i < structure.extents.size(); ++i)
    if (compiler::equal(canonical, structure.extents[i])) return static_cast<int>(i);
  return -1;
}

Structure analyse(const KernelSpec &spec, bool weights_stream) {
  if (spec.sizes.empty()) throw Error(fmt::format("kernel {} has no size parameter to divide", spec.name));
  Structure structure;
  for (const Definition &definition : spec.definitions)
    if (spec.find(definition.tensor)->role != Role::Given) structure.definitions.push_back(&definition);
  if (weights_stream && stream_weights(spec, structure)) return structure;
  const size_t shared = shared_variables(spec, structure.definitions);
  // Outputs that all have exactly the shared indices are one loop nest for Halide to tile. Otherwise (rows of
  // different lengths, single numbers per row) the shared indices become the thunk's loops.
  bool one_nest = shared > 0, padded = false;
  for (const Definition *definition : structure.definitions) {
    const compiler::Tensor *tensor = spec.find(definition->tensor);
    if (tensor->role != Role::Out) continue;
    one_nest &= definition->vars.size() == shared;
    padded |= tensor->pad > 1;
  }
  if (!one_nest) structure.prefix = shared;
  if (one_nest && padded) structure.prefix = shared - 1;  // the row's end belongs to whoever writes the row
  structure.one_nest = one_nest && !padded;
  choose_parallel(spec, shared, structure);
  if (structure.one_nest) return structure;
  for (const Definition *definition : structure.definitions) collect_extents(*definition, structure);
  for (const Definition *definition : structure.definitions)
    if (spec.find(definition->tensor)->role == Role::Local && worth_storing(spec, structure, *definition))
      structure.stored.push_back(definition->tensor);
  return structure;
}

Linear add(const Linear &a, const Linear &b) {
  Linear sum = a;
  sum.base += b.base;
  sum.loaded |= b.loaded;
  sum.per.resize(std::max(a.per.size(), b.per.size()));
  for (size_t i = 0; i < b.per.size(); ++i) sum.per[i] += b.per[i];
  return sum;
}

namespace {

bool is_constant(const Linear &bound) {
  return std::all_of(bound.per.begin(), bound.per.end(), [](int64_t per) { return per == 0; });
}

// Both are bounds; a constant one is taken when there is one, the smaller of two.
Linear tighter(const Linear &a, const Linear &b) {
  Linear bound = is_constant(a) && (!is_constant(b) || a.base < b.base) ? a : b;
  bound.loaded = a.loaded || b.loaded;
  return bound;
}

}  // namespace

Linear multiply(const Linear &a, const Linear &b) {
  if (!is_constant(a) && !is_constant(b))
    throw Error("an intermediate's size is a product of sizes that are not fixed");
  Linear product = is_constant(a) ? b : a;
  const int64_t factor = is_constant(a) ? a.base : b.base;
  product.loaded = a.loaded || b.loaded;
  product.base *= factor;
  for (int64_t &per : product.per) per *= factor;
  return product;
}

Linear upper_bound(const KernelSpec &spec, const Sizes &fixed, const ExprPtr &value) {
  const auto bound = [&](size_t i) { return upper_bound(spec, fixed, value->args[i]); };
  switch (value->op) {
    case Op::IntConst:
      return {value->ival, {}, false};
    case Op::Size: {
      if (const auto found = fixed.find(value->name); found != fixed.end()) return {found->second, {}, false};
      Linear size{0, std::vector<int64_t>(spec.sizes.size()), false};
      size.per[static_cast<size_t>(std::find(spec.sizes.begin(), spec.sizes.end(), value->name) - spec.sizes.begin())] =
          1;
      return size;
    }
    case Op::Add:
      return add(bound(0), bound(1));
    case Op::Mul:
      return multiply(bound(0), bound(1));
    case Op::Div:
      if (value->args[1]->op == Op::IntConst || value->args[1]->op == Op::Size) return bound(0);  // divisor is >= 1
      break;
    case Op::Sub:
      if (value->args[1]->op == Op::IntConst) {
        Linear difference = bound(0);
        difference.base -= value->args[1]->ival;
        return difference;
      }
      return bound(0);
    case Op::Min:
      return tighter(bound(0), bound(1));
    case Op::Load:
      if (const auto &range = spec.find(value->name)->range)
        return add(upper_bound(spec, fixed, range->second), {-1, {}, true});
      break;
    default:
      break;
  }
  throw Error(fmt::format("no bound for {} that is linear in the sizes", compiler::print_expr(value)));
}

}  // namespace bittern::codegen::halide
