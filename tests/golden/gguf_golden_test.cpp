// A golden's weights from files of other programs' quantisers give the golden's logits.
#include <doctest/doctest.h>

#include "tests/golden/golden_models.h"

using namespace bittern::runtime;

TEST_CASE("logits of a golden from GGUF files that bitnet.cpp quantised") {
  const Golden golden("bitnet_a_packed");
  for (const char *name : {"a-I2_S", "a-TQ1_0"}) {
    for (const std::optional<Activation> activation : {std::optional<Activation>(), {Activation::Relu2}}) {
      CAPTURE(name);
      OpenOptions open;
      open.activation = activation;
      EngineOptions options;
      options.threads = 2;
      options.context = 64;
      Engine engine(open_model(std::string(BITTERN_TEST_DATA "/gguf/") + name + ".gguf", open), options);
      for (const char *prompt : {"p1", "p17", "p48", "praw"}) {
        CAPTURE(prompt);
        // The scales are exact in float16, and so is the embedding but for the last bits of its smallest values.
        const Difference d = compare(run_tokens(engine, golden.prompt(prompt), false), golden.logits(prompt));
        CHECK(d.relative_l2 <= 5e-2);
        if (std::string(prompt) != "praw") CHECK(d.max_over_rms <= 1e-4);
      }
    }
  }
}

TEST_CASE("the wrong activation is not near the golden's logits") {
  const Golden golden("bitnet_a_packed");
  OpenOptions open;
  open.activation = Activation::Silu;
  EngineOptions options;
  options.context = 64;
  Engine engine(open_model(BITTERN_TEST_DATA "/gguf/a-I2_S.gguf", open), options);
  CHECK(compare(run_tokens(engine, golden.prompt("praw"), false), golden.logits("praw")).relative_l2 > 5e-2);
}
