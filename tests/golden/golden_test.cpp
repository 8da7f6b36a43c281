// The golden checkpoints: logits against transformers in float32, for every choice of kernels, one and two threads, the
// prompt whole and token by token. Beyond the tolerance against the reference, all of these must agree bit for bit.
#include <doctest/doctest.h>

#include "tests/golden/every_way.h"

using namespace bittern::runtime;

TEST_CASE("logits match the reference, bit-identical for kernels, threads and splits") {
  check_every_way(golden_names(), "logits", run_tokens);
}

TEST_CASE("greedy tokens match up to strict_tokens") {
  for (const std::string &name : golden_names()) {
    CAPTURE(name);
    const Golden golden(name);
    for (const char *kernels : golden_kernels()) {
      CAPTURE(kernels);
      EngineOptions options = fresh_weights();
      options.kernels = parse_kernel_choice(kernels);
      options.threads = 2;
      Engine engine(open_model(golden.folder), options);
      CHECK(right_kernels(engine, kernels));
      for (const auto &[prompt, greedy] : golden.json.at("greedy16").items()) {
        CAPTURE(prompt);
        engine.reset();
        const auto wanted = greedy.at("tokens").get<std::vector<int32_t>>();
        int32_t token = largest(engine.prefill(golden.prompt(prompt)));
        for (size_t i = 0; i < greedy.at("strict_tokens").get<size_t>(); ++i) {
          CAPTURE(i);
          CHECK(token == wanted[i]);
          token = largest(engine.decode(token));
        }
      }
    }
  }
}

TEST_CASE("f16 keys and values and the int8 head hold the tolerance of praw") {
  for (const std::string &name : golden_names()) {
    CAPTURE(name);
    const Golden golden(name);
    for (const char *kernels : golden_kernels())
      for (bool half : {false, true}) {
        CAPTURE(kernels);
        CAPTURE(half);
        EngineOptions options = fresh_weights();
        options.kernels = parse_kernel_choice(kernels);
        options.threads = 2;
        if (half)
          options.kv = KvType::F16;
        else
          options.head = HeadType::Int8;
        Engine engine(open_model(golden.folder), options);
        CHECK(right_kernels(engine, kernels));
        for (const char *prompt : kPrompts) {
          CAPTURE(prompt);
          const std::vector<float> whole = run_tokens(engine, golden.prompt(prompt), false);
          CHECK(compare(whole, golden.logits(prompt)).relative_l2 <= 5e-2);
          CHECK(compare(whole, golden.logits(prompt)).relative_l2 > 1e-5);  // the option is in force
          CHECK(same_bits(whole, run_tokens(engine, golden.prompt(prompt), true)));
        }
      }
  }
}
