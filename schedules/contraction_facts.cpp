// The plan in short, kept for the last kernel asked about.
#include "schedules/contraction_facts.h"

#include <fmt/format.h>

#include <algorithm>

namespace bittern::schedules {

using compiler::Interval;
using compiler::KernelSpec;
using compiler::Sizes;

const ContractionFacts &contraction_facts(const KernelSpec &spec) {
  thread_local ContractionFacts last;
  std::vector<compiler::ExprPtr> key;
  for (const compiler::Definition &definition : spec.definitions) key.push_back(definition.value);
  if (last.key == key && !key.empty()) return last;
  last = {};
  last.key = std::move(key);
  const auto plan = plan_contractions(spec);
  if (!plan) return last;
  last.planned = true;
  last.grouped = plan->grouped;
  last.gathered = plan->gathered;
  last.contractions = static_cast<int>(plan->sums.size());
  last.n = spec.sizes[static_cast<size_t>(plan->n_size)];
  if (plan->m_size >= 0) last.m = spec.sizes[static_cast<size_t>(plan->m_size)];
  last.k = plan->sums.front().depth->name;
  return last;
}

int64_t size_or(const Sizes &sizes, const std::string &name, int64_t fallback) {
  const auto found = sizes.find(name);
  return found == sizes.end() ? fallback : found->second;
}

std::optional<std::string> int32_overflow(const ContractionFacts &kernel, const Sizes &sizes, int64_t most) {
  const int64_t depth = size_or(sizes, kernel.k, 0);
  if (const auto reason = compiler::accumulator_overflow(Interval{0, most}, kActivation, depth, 32))
    return fmt::format("int32 sums over {}={}: {}", kernel.k, depth, *reason);
  return std::nullopt;
}

ContractionWork contraction_work(const KernelSpec &spec, const Sizes &sizes) {
  const ContractionFacts &kernel = contraction_facts(spec);
  const auto n = static_cast<double>(size_or(sizes, kernel.n, 2560)),
             k = static_cast<double>(size_or(sizes, kernel.k, 2560));
  const auto m = static_cast<double>(kernel.m.empty() ? 1 : std::max<int64_t>(1, size_or(sizes, kernel.m, 1)));
  const double units = n * k / 128;
  const double read = units * 32 / kBytesPerCycle;
  return {m, units, read, std::max(read, m * units * 8 / kOperationsPerCycle)};
}

}  // namespace bittern::schedules
