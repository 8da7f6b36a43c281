// The golden embedding models: hidden states and pooled vectors against transformers in float32, for every choice of
// kernels, one and two threads, whole, token by token and many texts at a time. Beyond the tolerance against the
// reference, all of these must agree bit for bit.
#include <doctest/doctest.h>

#include "runtime/engine/embed.h"
#include "runtime/error.h"
#include "tests/golden/every_way.h"

using namespace bittern::runtime;

namespace {

std::vector<float> hidden(Engine &engine, std::span<const int32_t> tokens, bool one_by_one) {
  std::vector<float> all;
  const auto take = [&](int64_t, int64_t rows, const float *data) {
    all.insert(all.end(), data, data + rows * engine.config().hidden);
  };
  engine.reset();
  for (size_t i = 0; i < tokens.size(); i += one_by_one ? 1 : tokens.size())
    engine.hidden(tokens.subspan(i, one_by_one ? 1 : tokens.size()), take);
  return all;
}

}  // namespace

TEST_CASE("hidden states match the reference, bit-identical for kernels, threads and splits") {
  check_every_way(golden_embedding_names(), "hidden", hidden);
}

TEST_CASE("vectors match the reference for both poolings, alone and together with other texts") {
  for (const std::string &name : golden_embedding_names()) {
    CAPTURE(name);
    const Golden golden(name);
    for (const char *kernels : golden_kernels()) {
      CAPTURE(kernels);
      const auto engine = open_golden(golden, kernels, 2);
      CHECK(engine->config().pooling == Pooling::Last);
      const auto hidden = static_cast<size_t>(engine->config().hidden);
      for (const auto &[pooling, what] : {std::pair{Pooling::Last, "last"}, std::pair{Pooling::Mean, "mean"}}) {
        CAPTURE(what);
        // Forty texts: more than one pass holds, by number and by tokens.
        std::vector<std::vector<int32_t>> texts;
        for (int i = 0; i < 40; ++i) texts.push_back(golden.prompt(i % 7 == 3 ? "p48" : i % 3 == 0 ? "p17" : "p1"));
        texts.push_back(golden.prompt("praw"));
        const std::vector<float> together = embed(*engine, texts, pooling);
        REQUIRE(together.size() == texts.size() * hidden);
        for (size_t i = 0; i < texts.size(); ++i) {
          const std::vector<float> vector(together.begin() + static_cast<std::ptrdiff_t>(i * hidden),
                                          together.begin() + static_cast<std::ptrdiff_t>((i + 1) * hidden));
          CHECK(same_bits(vector, embed(*engine, {&texts[i], 1}, pooling)));
          for (const std::string prompt : {"p17", "p48", "praw"}) {  // p1 has no vector of its own
            if (texts[i] == golden.prompt(prompt))
              check_tolerance(prompt, compare(vector, golden.result(prompt, what)));
          }
          double square = 0;
          for (const float value : vector) square += static_cast<double>(value) * static_cast<double>(value);
          CHECK(square == doctest::Approx(1).epsilon(1e-6));
        }
      }
    }
  }
}

TEST_CASE("f16 keys and values hold the tolerance of praw, whole and token by token") {
  const Golden golden("embed_gemma3_sliding");
  for (const char *kernels : golden_kernels()) {
    EngineOptions options = fresh_weights();
    options.kernels = parse_kernel_choice(kernels);
    options.kv = KvType::F16;
    options.threads = 2;
    options.context = 64;
    Engine engine(open_model(golden.folder), options);
    CHECK(right_kernels(engine, kernels));
    const std::vector<float> got = hidden(engine, golden.prompt("p48"), false);
    const Difference d = compare(got, golden.result("p48", "hidden"));
    CHECK(d.relative_l2 <= 5e-2);
    CHECK(d.relative_l2 > 1e-6);
    CHECK(same_bits(got, hidden(engine, golden.prompt("p48"), true)));
  }
}

TEST_CASE("an embedding model predicts no tokens, and says so") {
  const Golden golden("embed_qwen3");
  const auto engine = open_golden(golden, "scalar", 1);
  const std::vector<int32_t> tokens = {1, 2};
  CHECK_THROWS_WITH_AS(engine->prefill(tokens), doctest::Contains("has no output head"), Error);
  CHECK_THROWS_WITH_AS(engine->logits(tokens, [](int64_t, int64_t, const float *) {}),
                       doctest::Contains("bitnet-run embed"), Error);
  const std::vector<std::vector<int32_t>> long_text = {{1}, std::vector<int32_t>(65, 1)}, empty = {{}},
                                          foreign = {{1, 512}};
  CHECK_THROWS_WITH_AS(embed(*engine, long_text, Pooling::Last),
                       doctest::Contains("text 1: 65 tokens do not fit in the context of 64"), Error);
  CHECK_THROWS_WITH_AS(embed(*engine, empty, Pooling::Last), doctest::Contains("text 0: there are no tokens"), Error);
  CHECK_THROWS_WITH_AS(embed(*engine, foreign, Pooling::Mean), doctest::Contains("token 1 is 512"), Error);
  CHECK_THROWS_WITH_AS(embed(*engine, foreign, Pooling::None), doctest::Contains("--pooling"), Error);
}

TEST_CASE("a text longer than a pass gives the vector that its parts give") {
  const Golden golden("embed_gemma3_sliding");
  const auto engine = open_golden(golden, "default", 2, 400);
  std::vector<std::vector<int32_t>> texts(3);
  for (int32_t i = 0; i < 333; ++i) texts[1].push_back(i * 7919 % 512);
  texts[0] = texts[2] = {5, 6, 7};
  const std::vector<float> vectors = embed(*engine, texts, Pooling::Last);
  const std::vector<float> states = hidden(*engine, texts[1], true);
  const auto width = static_cast<std::ptrdiff_t>(engine->config().hidden);
  CHECK(compare({vectors.begin() + width, vectors.begin() + 2 * width},
                [&] {
                  std::vector<float> last(states.end() - width, states.end());
                  double square = 0;
                  for (const float value : last) square += static_cast<double>(value) * static_cast<double>(value);
                  for (float &value : last) value = static_cast<float>(value / std::sqrt(square));
                  return last;
                }())
            .max_over_rms < 1e-6);
  CHECK(same_bits({vectors.begin(), vectors.begin() + width}, {vectors.begin() + 2 * width, vectors.end()}));
}
