// The problem's texts, which are keys of the database and of packs, and its checks.
#include "tuning_db/proof/problem.h"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/error.h"
#include "compiler/printer.h"
#include "compiler/token_size.h"
#include "compiler/verifier.h"
#include "tuning_db/proof/cost.h"

namespace bittern::tuning {

std::string Problem::kernel_key() const {
  std::string sizes_text;
  for (const auto &[name, value] : fixed)
    sizes_text += fmt::format("{}{}={}", sizes_text.empty() ? "" : ",", name, value);
  return fmt::format("{}@{};{};m={};{}", spec_name, spec_hash, sizes_text, print_bucket({m_min, m_max}), target);
}

std::string Problem::key() const { return fmt::format("{};at={};t={}", kernel_key(), m, threads); }

compiler::Sizes Problem::sizes() const {
  compiler::Sizes all = fixed;
  if (!tokens.empty()) all[tokens] = m;
  return all;
}

std::string Problem::shape() const {
  std::string text;
  if (fixed.count(rows) && fixed.count(columns)) text = fmt::format("{}x{}", fixed.at(rows), fixed.at(columns));
  const bool matrix = !text.empty();
  for (const auto &[name, value] : fixed)
    if (!matrix || (name != rows && name != columns))
      text += fmt::format("{}{}={}", text.empty() ? "" : ",", name, value);
  return text;
}

void name_sizes(Problem &problem, const compiler::KernelSpec &spec) {
  for (const std::string &name : spec.sizes)
    if (!problem.fixed.count(name)) problem.tokens = name;
  const auto is_size = [](const compiler::ExprPtr &e) { return e->op == compiler::Op::Size; };
  for (const compiler::Tensor *tensor : spec.arguments()) {
    const bool weights = tensor->role == compiler::Role::In && tensor->type != compiler::Type::I32 &&
                         !compiler::grows_with_tokens(*tensor, problem.tokens);
    if (!weights || tensor->shape.size() != 2 || !is_size(tensor->shape[0]) || !is_size(tensor->shape[1])) continue;
    problem.rows = tensor->shape[0]->name;
    problem.columns = tensor->shape[1]->name;
    return;
  }
}

Problem make_problem(const compiler::KernelSpec &spec, const compiler::Sizes &fixed, int64_t m, int threads,
                     const std::string &target, const compiler::Source *source) {
  Problem problem;
  problem.spec_name = spec.name;
  problem.spec_text = compiler::print_kernel(spec);
  problem.spec_hash = compiler::spec_hash(spec);
  const std::string tokens = compiler::token_size(spec);
  problem.threads = threads;
  problem.target = target;
  problem.m = tokens.empty() ? 1 : m;
  if (!tokens.empty()) {
    const Bucket &bucket = bucket_of(m);
    problem.m_min = bucket.m_min;
    problem.m_max = bucket.m_max;
  }
  for (const std::string &name : spec.sizes) {
    if (name == tokens) continue;
    const auto found = fixed.find(name);
    if (found == fixed.end())
      throw Error(fmt::format("kernel {}: size {} is missing (its sizes are {})", spec.name, name,
                              fmt::join(spec.sizes, ", ")));
    problem.fixed[name] = found->second;
  }
  for (const auto &size : fixed)
    if (size.first != tokens && !problem.fixed.count(size.first))
      throw Error(fmt::format("kernel {} has no size {} (its sizes are {})", spec.name, size.first,
                              fmt::join(spec.sizes, ", ")));
  name_sizes(problem, spec);
  compiler::check_sizes(spec, problem.sizes(), source);
  return problem;
}

compiler::Sizes compiled_sizes(const compiler::KernelSpec &spec, const Problem &problem) {
  constexpr double kLarge = 256.0 * 1024 * 1024;
  compiler::Sizes sizes = problem.fixed;
  if (touched_bytes(spec, problem.sizes()) <= kLarge || sizes.size() < 2) return sizes;
  std::string largest;  // in the order of the text, so that names do not decide between equals
  for (const std::string &name : spec.sizes)
    if (sizes.count(name) && (largest.empty() || sizes.at(name) > sizes.at(largest))) largest = name;
  sizes.erase(largest);
  return sizes;
}

}  // namespace bittern::tuning
