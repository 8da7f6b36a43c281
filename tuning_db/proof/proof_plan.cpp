// Which sizes, inputs, placements and splits a proof consists of.
#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <set>

#include "compiler/error.h"
#include "compiler/token_size.h"
#include "compiler/verifier.h"
#include "tuning_db/proof/cost.h"
#include "tuning_db/proof/problem.h"
#include "tuning_db/proof/proof.h"

namespace bittern::tuning {
namespace {

constexpr size_t kRandomSet = 0, kExtremeSet = 5;

// Small, odd and just around every power of two that a tile or a vector may have.
constexpr int64_t kFreeValues[] = {1,  2,  3,  4,  5,   7,   8,   9,   15,  16,  17,  31,  32,  33,  48, 63,
                                   64, 65, 67, 96, 100, 127, 128, 129, 130, 192, 256, 257, 320, 384, 520};
constexpr int64_t kMValues[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 15, 16, 17, 23, 32, 33, 34, 35, 40, 67};
constexpr double kFreeWork = 3e5;  // multiply-adds and bytes of one free size, at most

bool fits(const compiler::KernelSpec &spec, const compiler::Sizes &sizes) {
  try {
    compiler::check_sizes(spec, sizes);
  } catch (const Error &) {
    return false;
  }
  return true;
}

// M values for a kernel whose other sizes are fixed: the range's first three (tails of every register tile), its last,
// and the timed one.
std::vector<int64_t> fixed_m_values(const bt_kernel &kernel, int64_t timed) {
  std::set<int64_t> values = {timed};
  for (int64_t m = kernel.m_min; m <= std::min(kernel.m_max, kernel.m_min + 2); ++m) values.insert(m);
  if (kernel.m_max < 64) values.insert(kernel.m_max);
  return {values.begin(), values.end()};
}

std::vector<compiler::Sizes> free_sizes(const compiler::KernelSpec &spec, const bt_kernel &kernel) {
  std::mt19937_64 random(20240601);
  const std::string tokens = compiler::token_size(spec);
  const auto draw = [&](auto &values) { return values[random() % std::size(values)]; };
  std::vector<compiler::Sizes> result;
  const size_t wanted = 14;
  for (int attempt = 0; attempt < 400000 && result.size() < wanted; ++attempt) {
    compiler::Sizes sizes;
    for (size_t i = 0; i < spec.sizes.size(); ++i) {
      const std::string &name = spec.sizes[i];
      sizes[name] = kernel.fixed[i] >= 0 ? kernel.fixed[i] : name == tokens ? draw(kMValues) : draw(kFreeValues);
    }
    if (const auto m = sizes.find(tokens); m != sizes.end() && (m->second < kernel.m_min || m->second > kernel.m_max))
      continue;
    if (!fits(spec, sizes) || multiply_adds(spec, sizes) > kFreeWork || touched_bytes(spec, sizes) > 8 * kFreeWork)
      continue;
    if (std::find(result.begin(), result.end(), sizes) == result.end()) result.push_back(std::move(sizes));
  }
  if (result.empty())
    throw Error(fmt::format("proof: no small sizes satisfy the requirements of kernel {}", spec.name));
  return result;
}

void add_step(std::vector<ProofStep> &steps, const compiler::Sizes &sizes, size_t set) {
  const auto turn = static_cast<int>(steps.size());
  steps.push_back({sizes, set, static_cast<Placement>(turn % kPlacements), static_cast<Split>((turn + turn / 3) % 3)});
}

// Everything at the first sizes; at the others the random set, and another where that is not too dear: the next in turn
// or the extremes.
std::vector<ProofStep> steps_over(const compiler::KernelSpec &spec, const std::vector<compiler::Sizes> &all,
                                  bool sets_in_turn) {
  std::vector<ProofStep> steps;
  for (size_t set = 0; set < input_sets().size(); ++set) add_step(steps, all.front(), set);
  // The random set in the placements and splits it has not had yet.
  steps.push_back({all.front(), kRandomSet, Placement::FlushStart, Split::Single});
  steps.push_back({all.front(), kRandomSet, Placement::Shifted, Split::Uneven});
  steps.push_back({all.front(), kRandomSet, Placement::FlushEnd, Split::Single});
  for (size_t i = 1; i < all.size(); ++i) {
    add_step(steps, all[i], kRandomSet);
    const bool dear = multiply_adds(spec, all[i]) > 1e9;
    if (!dear) add_step(steps, all[i], sets_in_turn ? 1 + i % (input_sets().size() - 1) : kExtremeSet);
  }
  return steps;
}

}  // namespace

std::vector<ProofStep> proof_steps(const compiler::KernelSpec &spec, const bt_kernel &kernel,
                                   const compiler::Sizes &at) {
  const std::string tokens = compiler::token_size(spec);
  bool any_free = false;
  for (size_t i = 0; i < spec.sizes.size(); ++i)
    any_free = any_free || (kernel.fixed[i] < 0 && spec.sizes[i] != tokens);
  std::vector<compiler::Sizes> all;
  if (any_free) {
    all = free_sizes(spec, kernel);
  } else if (!at.count(tokens)) {
    all = {at};
  } else {
    for (int64_t m : fixed_m_values(kernel, at.at(tokens))) {
      compiler::Sizes sizes = at;
      sizes[tokens] = m;
      all.push_back(sizes);
    }
    // The full set runs on the timed M where that is cheap, on the least M of the range where it is not.
    if (at.at(tokens) <= 16) std::iter_swap(all.begin(), std::find(all.begin(), all.end(), at));
  }
  std::vector<ProofStep> steps = steps_over(spec, all, any_free);
  if (any_free && !at.empty()) add_step(steps, at, kRandomSet);
  return steps;
}

std::vector<ProofStep> proof_steps_at(const compiler::KernelSpec &spec, const std::vector<compiler::Sizes> &all) {
  return steps_over(spec, all, true);
}

}  // namespace bittern::tuning
