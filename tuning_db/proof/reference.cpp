#include "tuning_db/proof/reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <map>
#include <mutex>
#include <thread>

#include "compiler/error.h"
#include "tuning_db/proof/reference_evaluator.h"

namespace bittern::tuning {
namespace {

using compiler::Expr;
using compiler::Op;
using reference::Builder;
using reference::Context;
using reference::Evaluator;
using reference::kBlock;
using reference::Lanes;
using reference::Node;

bool sizes_only(const Expr &e) {
  if (e.op == Op::Load || e.op == Op::Var || e.op == Op::Let || e.op == Op::Scalar || e.op == Op::Call) return false;
  return std::all_of(e.args.begin(), e.args.end(), [](const auto &arg) { return sizes_only(*arg); });
}

// Work items are blocks of the innermost index, so that a single row is shared by threads too.
void evaluate_definition(const Node &value, Array &target, const std::vector<int> &slots, int threads) {
  const int64_t row = target.row();
  const int64_t blocks_per_row = (row + kBlock - 1) / kBlock, items = target.rows() * blocks_per_row;
  std::atomic<int64_t> next{0};
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto work = [&] {
    try {
      Evaluator evaluator;
      Context context;
      context.vars.resize(Builder::kVariables);
      Lanes lanes;
      for (int64_t item; (item = next.fetch_add(1)) < items;) {
        const int64_t at = item / blocks_per_row, start = item % blocks_per_row * kBlock;
        int64_t rest = at;
        for (size_t d = target.shape.size(); d-- > 1;) {
          context.vars[static_cast<size_t>(slots[d - 1])] = rest % target.shape[d - 1];
          rest /= target.shape[d - 1];
        }
        const int n = static_cast<int>(std::min<int64_t>(kBlock, row - start));
        evaluator.eval(value, context, slots.empty() ? Builder::kVariables - 1 : slots.back(), start, n, lanes);
        reference::store_lanes(target, at * row + start, n, lanes);
      }
    } catch (...) {
      const std::lock_guard lock(failure_mutex);
      failure = std::current_exception();
    }
  };
  std::vector<std::thread> helpers;
  if (target.count() >= 1024)
    for (int t = 1; t < threads; ++t) helpers.emplace_back(work);
  work();
  for (std::thread &helper : helpers) helper.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

bool reference_supports(const compiler::KernelSpec &spec) {
  for (const compiler::Definition &definition : spec.definitions)
    for (const compiler::IndexVar &var : definition.vars)
      if (!sizes_only(*var.extent)) return false;
  return true;
}

Arrays reference_evaluate(const compiler::KernelSpec &spec, const compiler::Sizes &sizes, const Arrays &inputs,
                          const std::vector<float> &scalars, int threads) {
  if (!reference_supports(spec))
    throw Error(fmt::format("reference: kernel {} has locals whose extents depend on inputs", spec.name));
  Arrays arrays = inputs;
  Builder builder(spec, sizes, scalars, arrays);
  for (const compiler::Definition &definition : spec.definitions) {
    Array target;
    target.type = spec.find(definition.tensor)->type;
    std::map<std::string, int> vars;
    std::vector<int> slots;
    builder.reset_variables();
    for (const compiler::IndexVar &var : definition.vars) {
      target.shape.push_back(compiler::evaluate(var.extent, sizes));
      slots.push_back(builder.new_variable());
      vars[var.name] = slots.back();
    }
    target.bytes.resize(static_cast<size_t>(target.count() * std::max<int64_t>(1, target.element_bytes())));
    const Node value = builder.build(*definition.value, vars, {});
    if (target.count() > 0) evaluate_definition(value, target, slots, threads);
    arrays[definition.tensor] = std::move(target);
  }
  for (const auto &input : inputs) arrays.erase(input.first);
  return arrays;
}

}  // namespace bittern::tuning
