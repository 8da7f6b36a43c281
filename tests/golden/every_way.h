// A golden computed every way there is: all kernels, one and two threads, the prompt whole and token by token. What
// comes out is the reference's to its tolerance, and every way gives the same bits.
#pragma once
#include <doctest/doctest.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/golden/golden_models.h"

namespace bittern::runtime {

inline const char *const kPrompts[] = {"p1", "p17", "p48", "praw"};

inline bool same_bits(const std::vector<float> &a, const std::vector<float> &b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

inline std::unique_ptr<Engine> open_golden(const Golden &golden, const std::string &kernels, int threads,
                                           int64_t context = 64) {
  EngineOptions options = fresh_weights();
  options.kernels = parse_kernel_choice(kernels);
  options.threads = threads;
  options.context = context;
  auto engine = std::make_unique<Engine>(open_model(golden.folder), options);
  CHECK(right_kernels(*engine, kernels));
  return engine;
}

// praw, whose tokens are random, leaves the rounding of activations to chance: there the whole is held, not the parts.
inline void check_tolerance(const std::string &prompt, const Difference &d) {
  if (prompt == "praw")
    CHECK(d.relative_l2 <= 5e-2);
  else
    CHECK(d.max_over_rms <= 1e-4);
}

// `run(engine, tokens, one_by_one)` gives `what` of a prompt, as the golden calls it.
template <typename Run>
void check_every_way(const std::vector<std::string> &names, const char *what, const Run &run) {
  for (const std::string &name : names) {
    CAPTURE(name);
    const Golden golden(name);
    std::map<std::string, std::vector<float>> first;
    for (const char *kernels : golden_kernels())
      for (int threads : {1, 2}) {
        CAPTURE(kernels);
        CAPTURE(threads);
        const auto engine = open_golden(golden, kernels, threads);
        for (const char *prompt : kPrompts)
          for (bool one_by_one : {false, true}) {
            CAPTURE(prompt);
            CAPTURE(one_by_one);
            const std::vector<float> got = run(*engine, golden.prompt(prompt), one_by_one);
            check_tolerance(prompt, compare(got, golden.result(prompt, what)));
            if (first[prompt].empty()) first[prompt] = got;
            CHECK(same_bits(got, first[prompt]));
          }
      }
  }
}

}  // namespace bittern::runtime
