// The problem's texts, which are keys of the database and of packs, and its checks.
#include "tuning_db/proof/problem.h"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/error.h"
#include "compiler/printer.h"
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
  if (has_m) all["M"] = m;
  return all;
}

std::string Problem::shape() const {
  if (fixed.count("N") && fixed.count("K")) {
    std::string text = fmt::format("{}x{}", fixed.at("N"), fixed.at("K"));
    for (const auto &[name, value] : fixed)
      if (name != "N" && name != "K") text += fmt::format(",{}={}", name, value);
    return text;
  }
  std::string text;
  for (const auto &[name, value] : fixed) text += fmt::format("{}{}={}", text.empty() ? "" : ",", name, value);
  return text;
}

Problem make_problem(const compiler::KernelSpec &spec, const compiler::Sizes &fixed, int64_t m, int threads,
                     const std::string &target, const compiler::Source *source) {
  Problem problem;
  problem.spec_name = spec.name;
  problem.spec_text = compiler::print_kernel(spec);
  problem.spec_hash = compiler::spec_hash(spec);
  problem.has_m = std::find(spec.sizes.begin(), spec.sizes.end(), "M") != spec.sizes.end();
  problem.threads = threads;
  problem.target = target;
  problem.m = problem.has_m ? m : 1;
  if (problem.has_m) {
    const Bucket &bucket = bucket_of(m);
    problem.m_min = bucket.m_min;
    problem.m_max = bucket.m_max;
  }
  for (const std::string &name : spec.sizes) {
    if (name == "M") continue;
    const auto found = fixed.find(name);
    if (found == fixed.end())
      throw Error(fmt::format("kernel {}: size {} is missing (its sizes are {})", spec.name, name,
                              fmt::join(spec.sizes, ", ")));
    problem.fixed[name] = found->second;
  }
  for (const auto &size : fixed)
    if (size.first != "M" && !problem.fixed.count(size.first))
      throw Error(fmt::format("kernel {} has no size {} (its sizes are {})", spec.name, size.first,
                              fmt::join(spec.sizes, ", ")));
  compiler::check_sizes(spec, problem.sizes(), source);
  return problem;
}

compiler::Sizes compiled_sizes(const compiler::KernelSpec &spec, const Problem &problem) {
  constexpr double kLarge = 256.0 * 1024 * 1024;
  compiler::Sizes sizes = problem.fixed;
  if (touched_bytes(spec, problem.sizes()) > kLarge && sizes.size() > 1)
    sizes.erase(
        std::max_element(sizes.begin(), sizes.end(), [](const auto &a, const auto &b) { return a.second < b.second; }));
  return sizes;
}

}  // namespace bittern::tuning
