// The sizes at which the proof matrix holds kernels to the reference: every M of a list with small sizes and with tails
// in CI, every size from 1 upward in the full matrix. Sizes that a kernel's own requirements exclude are left out.
#pragma once
#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "compiler/error.h"
#include "compiler/token_size.h"
#include "compiler/verifier.h"
#include "tuning_db/proof/cost.h"
#include "tuning_db/proof/problem.h"

namespace bittern::test {

// Sizes that every kernel text accepts, all but the number of tokens, M: at these a schedule must be legal.
inline compiler::Sizes common_sizes(const compiler::KernelSpec &spec) {
  static const std::map<std::string, int64_t> kValues = {{"N", 70}, {"K", 192}, {"G", 2},  {"H", 6},
                                                         {"D", 24}, {"B", 2},   {"T", 3},  {"F", 70},
                                                         {"R", 12}, {"V", 50},  {"NP", 7}, {"W", 40}};
  compiler::Sizes sizes;
  const std::string tokens = compiler::token_size(spec);
  for (const std::string &name : spec.sizes) {
    if (name == tokens) continue;
    const auto known = kValues.find(name);
    // A group of weights or activations, not of heads.
    const bool columns = name == "G" && std::find(spec.sizes.begin(), spec.sizes.end(), "K") != spec.sizes.end();
    sizes[name] = !columns && known != kValues.end() ? known->second : 64;
  }
  return sizes;
}

class MatrixSizes {
 public:
  explicit MatrixSizes(const compiler::KernelSpec &spec) : spec_(spec), tokens_(compiler::token_size(spec)) {}

  // M 1, 2, 3, 5, 8, 17 and 33, each with sizes below any tile and with tails behind tiles.
  std::vector<compiler::Sizes> quick() {
    std::vector<compiler::Sizes> all;
    for (const int64_t m : {5, 1, 2, 3, 8, 17, 33}) {
      add(all, {{tokens_, m}}, kSmall);
      add(all, {{tokens_, m}}, kTails);
    }
    return all;
  }

  // Every size from 1 through several tiles while the others vary, M 1 to 33 and 128.
  std::vector<compiler::Sizes> full() {
    std::vector<compiler::Sizes> all = quick();
    for (const std::string &swept : spec_.sizes) {
      const int64_t last = swept == "K" ? 330 : swept == "N" ? 140 : 33;
      for (int64_t value = 1; value <= last; ++value) add(all, {{swept, value}}, kTails);
    }
    add(all, {{tokens_, 128}}, kTails);
    return all;
  }

 private:
  static constexpr double kWork = 4e5;  // multiply-adds and bytes of one call, at most
  inline static const std::vector<int64_t> kSmall = {1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 31, 64};
  inline static const std::vector<int64_t> kTails = {1,  8,  12, 16,  17,  24,  33,  48,  63,  65,  66,  70,
                                                     96, 97, 64, 127, 128, 129, 131, 192, 193, 257, 320, 384};

  // Sizes with those of `fixed` that the kernel has and others drawn from `values`; nothing when none are legal.
  void add(std::vector<compiler::Sizes> &all, const compiler::Sizes &fixed, const std::vector<int64_t> &values) {
    for (int attempt = 0; attempt < 20000; ++attempt) {
      compiler::Sizes sizes;
      for (const std::string &name : spec_.sizes) {
        const auto known = fixed.find(name);
        sizes[name] = known != fixed.end() ? known->second : values[random_() % values.size()];
        if (name == tokens_ && known == fixed.end()) sizes[name] = static_cast<int64_t>(random_() % 33 + 1);
      }
      const double limit = fixed.count(tokens_) && fixed.at(tokens_) > 64 ? 4 * kWork : kWork;
      if (!legal(sizes) || tuning::multiply_adds(spec_, sizes) > limit ||
          tuning::touched_bytes(spec_, sizes) > 8 * limit)
        continue;
      if (std::find(all.begin(), all.end(), sizes) == all.end()) all.push_back(sizes);
      return;
    }
  }

  bool legal(const compiler::Sizes &sizes) const {
    try {
      compiler::check_sizes(spec_, sizes);
    } catch (const Error &) {
      return false;
    }
    return true;
  }

  const compiler::KernelSpec &spec_;
  std::string tokens_;
  std::mt19937_64 random_{20261127};
};

}  // namespace bittern::test
