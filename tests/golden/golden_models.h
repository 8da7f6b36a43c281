// The golden models and what the reference computed for them (tests/data/goldens), and how a run is compared with it.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "runtime/engine/engine.h"
#include "runtime/io/npy.h"
#include "runtime/model/model_source.h"

namespace bittern::runtime {

inline const std::vector<std::string> &golden_names() {
  static const std::vector<std::string> names = {"bitnet_a_bf16",        "bitnet_a_packed",    "bitnet_b8_bf16",
                                                 "bitnet_b_packed",      "bitnet1b_large",     "llama_falcon3_packed",
                                                 "llama_falcone_packed", "llama_hf1bit_packed"};
  return names;
}
inline const std::vector<std::string> &golden_embedding_names() {
  static const std::vector<std::string> names = {"embed_qwen3", "embed_gemma3_full", "embed_gemma3_sliding"};
  return names;
}

struct Golden {
  std::string folder;
  nlohmann::json json;
  explicit Golden(const std::string &name) : folder(std::string(BITTERN_TEST_DATA "/goldens/") + name) {
    std::ifstream(folder + "/golden.json") >> json;
  }
  std::vector<int32_t> prompt(const std::string &name) const {
    return json.at("prompts").at(name).get<std::vector<int32_t>>();
  }
  // What the reference computed from a prompt: "logits", or of embedding models "hidden", "last" and "mean".
  std::vector<float> result(const std::string &prompt, const std::string &what) const {
    return read_npy(folder + "/" + prompt + "." + what + ".npy").data;
  }
  std::vector<float> logits(const std::string &prompt) const { return result(prompt, "logits"); }
};

// Logits after every token, either in one call or in one call per token.
inline std::vector<float> run_tokens(Engine &engine, std::span<const int32_t> tokens, bool one_by_one) {
  std::vector<float> all;
  engine.reset();
  if (one_by_one) {
    for (int32_t token : tokens) {
      const auto row = engine.decode(token);
      all.insert(all.end(), row.begin(), row.end());
    }
  } else {
    engine.logits(tokens, [&](int64_t, int64_t rows, const float *data) {
      all.insert(all.end(), data, data + rows * engine.config().vocab);
    });
  }
  return all;
}

// Options whose weights come from the model's files every time: what an earlier build packed proves nothing.
inline EngineOptions fresh_weights() {
  EngineOptions options;
  options.prepacked_cache = false;
  return options;
}

struct Difference {
  double max_over_rms = 0, relative_l2 = 0;
};
inline Difference compare(const std::vector<float> &got, const std::vector<float> &wanted) {
  if (got.size() != wanted.size()) return {1e30, 1e30};
  double largest = 0, error = 0, size = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double d = static_cast<double>(got[i]) - static_cast<double>(wanted[i]);
    largest = std::max(largest, std::isfinite(d) ? std::fabs(d) : 1e30);
    error += d * d;
    size += static_cast<double>(wanted[i]) * static_cast<double>(wanted[i]);
  }
  return {largest / std::sqrt(size / static_cast<double>(got.size())), std::sqrt(error / size)};
}

// The choices of kernels that differ here. "tuned" is one of them only for tests/install/tuned_golden_test.sh, which
// tunes a moment before: elsewhere it would be the defaults under another name.
inline const std::vector<const char *> &golden_kernels() {
  static const std::vector<const char *> kernels = std::getenv("BITTERN_EXPECT_TUNED")
                                                       ? std::vector<const char *>{"scalar", "default", "tuned"}
                                                       : std::vector<const char *>{"scalar", "default"};
  return kernels;
}

// Whether the engine runs what was asked for: nothing but scalar kernels; products by generated ones and nothing tuned;
// or, for a token at a time, every product by a tuned one.
inline bool right_kernels(const Engine &engine, const std::string &wanted) {
  if (wanted == "scalar") return engine.origin_summary() == "scalar";
  if (wanted == "default" && engine.tuned()) return false;
  const KernelOrigin origin = wanted == "tuned" ? KernelOrigin::Tuned : KernelOrigin::Default;
  const std::vector<KernelUse> uses = engine.kernels();
  return std::all_of(uses.begin(), uses.end(), [&](const KernelUse &use) {
    return !use.kernel->layout || use.m_min > 1 || use.origin == origin;
  });
}

inline int32_t largest(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace bittern::runtime
