// The demo model: its held-out loss and greedy texts are those of transformers, and the same seed gives the same text
// on one, two and three threads with every choice of kernels.
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <iterator>

#include "runtime/app/text.h"
#include "runtime/engine/generate.h"
#include "runtime/engine/perplexity.h"
#include "tests/golden/golden_models.h"

using namespace bittern::runtime;

namespace {

const std::string kModel = BITTERN_TEST_DATA "/demo";

nlohmann::json reference() {
  nlohmann::json json;
  std::ifstream(BITTERN_TEST_DATA "/demo-reference/expected.json") >> json;
  return json;
}

std::string heldout() {
  std::ifstream in(BITTERN_TEST_DATA "/demo-reference/heldout.txt", std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Engine demo(const char *kernels, int threads) {
  EngineOptions options = fresh_weights();
  options.kernels = parse_kernel_choice(kernels);
  options.threads = threads;
  return Engine(open_model(kModel), options);
}

}  // namespace

TEST_CASE("the held-out loss is the reference's") {
  const nlohmann::json expected = reference();
  Engine engine = demo(golden_kernels().back(), 2);
  CHECK(right_kernels(engine, golden_kernels().back()));
  const auto tokenizer = open_tokenizer(engine.source());
  std::vector<int32_t> tokens = encode_with_bos(*tokenizer, engine.config(), heldout());
  REQUIRE(static_cast<int64_t>(tokens.size()) == expected.at("tokens").get<int64_t>() + 1);
  const int64_t window = expected.at("window");
  // Without generated kernels the whole text takes a minute: then its beginning stands for all kernels alike, below.
  if (engine.kernels()[0].origin != KernelOrigin::Scalar) {
    const Perplexity all = perplexity(engine, tokens, window, [](int64_t, int64_t) {});
    CHECK(all.tokens == expected.at("tokens").get<int64_t>());
    CHECK(std::fabs(all.nll - expected.at("nll").get<double>()) <= 0.002);
  }
  tokens.resize(601);
  double first = 0;
  for (const char *kernels : golden_kernels()) {
    CAPTURE(kernels);
    Engine other = demo(kernels, 2);
    CHECK(right_kernels(other, kernels));
    const Perplexity part = perplexity(other, tokens, window, [](int64_t, int64_t) {});
    if (first == 0) first = part.nll;
    CHECK(part.nll == first);
    CHECK(part.tokens == 600);
  }
}

TEST_CASE("greedy ids are the reference's up to strict_tokens") {
  for (const auto &row : reference().at("greedy")) {
    const auto wanted = row.at("ids").get<std::vector<int32_t>>();
    for (const char *kernels : golden_kernels()) {
      Engine engine = demo(kernels, 1);
      CHECK(right_kernels(engine, kernels));
      const auto tokenizer = open_tokenizer(engine.source());
      const auto prompt = encode_with_bos(*tokenizer, engine.config(), row.at("prompt").get<std::string>());
      CHECK(prompt == row.at("prompt_ids").get<std::vector<int32_t>>());
      GenerateOptions options;
      options.count = row.at("strict_tokens");
      const Generation made = generate(engine, prompt, options, [](int32_t) { return true; });
      CHECK(made.tokens.size() == static_cast<size_t>(options.count));
      CHECK(std::equal(made.tokens.begin(), made.tokens.end(), wanted.begin()));
    }
  }
}

TEST_CASE("the same seed gives the same tokens on 1, 2 and 3 threads with all kernels") {
  std::vector<int32_t> first;
  for (const char *kernels : golden_kernels())
    for (int threads : {1, 2, 3}) {
      CAPTURE(kernels);
      CAPTURE(threads);
      Engine engine = demo(kernels, threads);
      CHECK(right_kernels(engine, kernels));
      const auto tokenizer = open_tokenizer(engine.source());
      GenerateOptions options;
      options.count = 40;
      options.ignore_eos = true;
      SamplingParams flags;
      flags.seed = 11;
      options.sampling = resolve_sampling(flags, engine.config().generation);
      CHECK(!options.sampling.greedy);
      const Generation made = generate(engine, encode_with_bos(*tokenizer, engine.config(), "And it came to pass"),
                                       options, [](int32_t) { return true; });
      if (first.empty()) first = made.tokens;
      CHECK(made.tokens.size() == 40);
      CHECK(made.tokens == first);
    }
}
