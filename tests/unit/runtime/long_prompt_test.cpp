// Prompts of some hundred tokens: cut at any place, gone back in or stopped they give the same bits. Apart from the
// engine's other tests, since under the sanitizers, on plain kernels, these take minutes.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>

#include "runtime/engine/engine.h"
#include "runtime/engine/generate.h"
#include "runtime/error.h"
#include "runtime/model/model_source.h"
#include "tests/demo_engine.h"

using namespace bittern::runtime;
using namespace bittern::test;

TEST_CASE("a prompt longer than a chunk gives the same bits however it is cut") {
  const std::vector<int32_t> tokens = some_tokens(300);
  Engine engine(synthetic_model("demo"), options_of());
  const std::vector<float> whole = values_of(engine.prefill(tokens));
  CHECK(engine.position() == 300);
  for (const std::vector<size_t> &cuts : {std::vector<size_t>{1, 31, 33, 127, 300}, {128, 129, 257, 300}, {299, 300}}) {
    engine.reset();
    size_t at = 0;
    std::vector<float> last;
    for (size_t cut : cuts) {
      last = values_of(engine.prefill({tokens.data() + at, cut - at}));
      at = cut;
    }
    CHECK(last == whole);
  }
  engine.reset();
  std::vector<float> rows;
  engine.logits(tokens, [&](int64_t first, int64_t count, const float *data) {
    CHECK(static_cast<size_t>(first) * 4096 == rows.size());
    rows.insert(rows.end(), data, data + count * 4096);
  });
  CHECK(rows.size() == 300 * 4096);
  CHECK(std::vector<float>(rows.end() - 4096, rows.end()) == whole);
  Engine half(synthetic_model("demo"), [] {
    EngineOptions options = options_of(3);
    options.kv = KvType::F16;
    return options;
  }());
  const std::vector<float> first = values_of(half.prefill(tokens));
  half.reset();
  half.prefill({tokens.data(), 77});
  CHECK(values_of(half.prefill({tokens.data() + 77, 223})) == first);
}

TEST_CASE("a sequence that goes back gives the bits of one that never went further") {
  const std::vector<int32_t> tokens = some_tokens(200);
  std::vector<int32_t> other(tokens.begin(), tokens.begin() + 70);
  for (int32_t i = 0; i < 60; ++i) other.push_back(i * 31 % 4096);
  Engine engine(synthetic_model("demo"), options_of());
  const std::vector<float> straight = values_of(engine.prefill(other));
  for (const int64_t back : {0, 1, 31, 32, 33, 64, 70}) {
    engine.reset();
    engine.prefill(tokens);
    engine.rewind(back);
    CHECK(engine.position() == back);
    CHECK(values_of(engine.prefill({other.data() + back, other.size() - static_cast<size_t>(back)})) == straight);
  }
  engine.rewind(130);
  CHECK(engine.position() == 130);
  CHECK_THROWS_WITH_AS(engine.rewind(131), doctest::Contains("cannot go back to position 131"), Error);
  CHECK_THROWS_AS(engine.rewind(-1), Error);
  // Every page is given back: the whole context can be filled again and again.
  Engine small(synthetic_model("demo"), options_of(1, 64));
  for (int round = 0; round < 5; ++round) {
    small.rewind(round == 0 ? 0 : 10);
    small.prefill({tokens.data(), round == 0 ? 64u : 54u});
    CHECK(small.position() == 64);
  }
}

TEST_CASE("a long prompt can be stopped between its chunks, and gone on with") {
  const std::vector<int32_t> tokens = some_tokens(300);
  Engine engine(synthetic_model("demo"), options_of());
  const std::vector<float> whole = values_of(engine.prefill(tokens));
  engine.reset();
  std::atomic<bool> stop{true};
  CHECK(engine.prefill(tokens, &stop).empty());
  CHECK(engine.position() == 0);
  GenerateOptions options;
  options.interrupt = &stop;
  Generation made = generate(engine, tokens, options, [](int32_t) { return true; });
  CHECK(made.reason == StopReason::Caller);
  CHECK(made.tokens.empty());
  CHECK(made.prefilled == 0);
  stop = false;
  CHECK(values_of(engine.prefill(tokens, &stop)) == whole);
  // What is kept of the old sequence is not run again, and the tokens are the same.
  options.count = 5;
  const std::vector<int32_t> fresh = generate(engine, tokens, options, [](int32_t) { return true; }).tokens;
  for (const int64_t kept : {0, 1, 128, 299, 300}) {
    options.kept = kept;
    made = generate(engine, tokens, options, [](int32_t) { return true; });
    CHECK(made.tokens == fresh);
    CHECK(made.prefilled == 300 - std::min<int64_t>(kept, 299));
  }
  options.stops = {fresh[2]};
  made = generate(engine, tokens, options, [](int32_t) { return true; });
  CHECK(made.reason == StopReason::StopId);
  CHECK(made.tokens.size() <= 3);
}
