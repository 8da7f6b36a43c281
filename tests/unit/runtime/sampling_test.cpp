// Sampling: what each filter keeps, how often tokens are drawn, what the draw depends on, and what is refused.
#include "runtime/sampling/sampling.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "runtime/error.h"
#include "runtime/sampling/draw.h"

using namespace bittern::runtime;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

Sampling sampling() {
  Sampling out;
  out.greedy = false;
  return out;
}

// How often each token comes over many positions.
std::map<int32_t, int> draws(const Sampling &how, const std::vector<float> &logits, int count = 20000,
                             const std::vector<int32_t> &history = {}) {
  Sampler sampler(how);
  std::map<int32_t, int> out;
  for (int i = 0; i < count; ++i) ++out[sampler.sample(logits, history, static_cast<uint64_t>(i))];
  return out;
}

std::set<int32_t> drawn(const Sampling &how, const std::vector<float> &logits,
                        const std::vector<int32_t> &history = {}) {
  std::set<int32_t> out;
  for (const auto &[id, count] : draws(how, logits, 20000, history)) out.insert(id);
  return out;
}

// Logits of given probabilities.
std::vector<float> logits_of(std::initializer_list<double> probabilities) {
  std::vector<float> out;
  for (const double p : probabilities) out.push_back(static_cast<float>(std::log(p)));
  return out;
}

std::vector<float> random_logits(size_t count, uint64_t seed) {
  std::vector<float> out(count);
  for (size_t i = 0; i < count; ++i) out[i] = static_cast<float>(12 * uniform_draw(seed, i) - 6);
  return out;
}

}  // namespace

TEST_CASE("Philox gives the published known answers") {
  using Words = std::array<uint32_t, 4>;
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  constexpr uint32_t ones = 0xffffffff;
  CHECK(philox4x32({ones, ones, ones, ones}, {ones, ones}) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("greedy takes the largest logit, the lowest id among equals") {
  Sampler sampler({});
  CHECK(sampler.sample(std::vector<float>{1, 3, 2, 3}, {}, 0) == 1);
  CHECK(sampler.sample(std::vector<float>{-kInf, -5, -5}, {}, 7) == 1);
  CHECK(sampler.sample(std::vector<float>{0.0f, -0.0f}, {}, 0) == 0);
  CHECK(argmax(std::vector<float>{-kInf, -kInf, -3e38f}) == 2);
}

TEST_CASE("draws follow the probabilities and the temperature") {
  const auto logits = logits_of({0.5, 0.3, 0.15, 0.05});
  auto counts = draws(sampling(), logits);
  CHECK(counts[0] / 20000.0 == doctest::Approx(0.5).epsilon(0.03));
  CHECK(counts[1] / 20000.0 == doctest::Approx(0.3).epsilon(0.04));
  CHECK(counts[3] / 20000.0 == doctest::Approx(0.05).epsilon(0.12));
  Sampling cold = sampling();
  cold.temperature = 0.5f;  // squares the probabilities
  counts = draws(cold, logits);
  CHECK(counts[0] / 20000.0 == doctest::Approx(0.25 / 0.365).epsilon(0.03));
  cold.temperature = 1e-30f;
  CHECK(drawn(cold, logits) == std::set<int32_t>{0});
}

TEST_CASE("top-k keeps k, ties to the lower id") {
  Sampling how = sampling();
  how.top_k = 2;
  CHECK(drawn(how, {0, 1, 2, 3}) == std::set<int32_t>{2, 3});
  CHECK(drawn(how, {1, 1, 1, 1}) == std::set<int32_t>{0, 1});
  CHECK(drawn(how, {0, 1, 2, 1}) == std::set<int32_t>{1, 2});
  how.top_k = 1;
  CHECK(drawn(how, {5, 9, 9}) == std::set<int32_t>{1});
  how.top_k = 100;
  CHECK(drawn(how, {0, 0, 0}) == std::set<int32_t>{0, 1, 2});
}

TEST_CASE("top-p keeps the fewest that reach it, ties to the lower id, at least one") {
  const auto logits = logits_of({0.1, 0.4, 0.2, 0.3});
  Sampling how = sampling();
  how.top_p = 0.65f;
  CHECK(drawn(how, logits) == std::set<int32_t>{1, 3});
  how.top_p = 0.75f;
  CHECK(drawn(how, logits) == std::set<int32_t>{1, 2, 3});
  how.top_p = 0;
  CHECK(drawn(how, logits) == std::set<int32_t>{1});
  how.top_p = 0.5f;
  CHECK(drawn(how, {7, 7, 7, 7}) == std::set<int32_t>{0, 1});
  how.top_k = 2;  // top-p works on what top-k left: 0.4 / 0.7 alone reaches a half
  CHECK(drawn(how, logits) == std::set<int32_t>{1});
}

TEST_CASE("top-p over a large vocabulary equals sorting all of it") {
  const auto logits = random_logits(3000, 3);
  for (const float top_p : {0.1f, 0.5f, 0.9f, 0.999f}) {
    std::vector<int32_t> order(logits.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
    });
    double total = 0;
    for (const float logit : logits) total += std::exp(static_cast<double>(logit));
    std::set<int32_t> kept;
    double sum = 0;
    for (const int32_t id : order) {
      if (sum >= static_cast<double>(top_p) * total) break;
      sum += std::exp(static_cast<double>(logits[static_cast<size_t>(id)]));
      kept.insert(id);
    }
    Sampling how = sampling();
    how.top_p = top_p;
    std::set<int32_t> ids;
    for (const auto &[id, count] : draws(how, logits, 3000)) ids.insert(id);
    CHECK(std::includes(kept.begin(), kept.end(), ids.begin(), ids.end()));
    CHECK(ids.size() > kept.size() / 4);
  }
}

TEST_CASE("min-p keeps what is at least that fraction of the most likely") {
  Sampling how = sampling();
  how.min_p = 0.5f;
  CHECK(drawn(how, logits_of({0.1, 0.4, 0.21, 0.29})) == std::set<int32_t>{1, 2, 3});
  how.min_p = 1;
  CHECK(drawn(how, {2, 5, 5}) == std::set<int32_t>{1, 2});
  how.min_p = 0.5f;
  how.temperature = 2;  // the temperature comes first: 0.1 / 0.4 becomes 1/2 of the largest, give or take rounding
  CHECK(drawn(how, logits_of({0.12, 0.4, 0.2, 0.28})) == std::set<int32_t>{0, 1, 2, 3});
}

TEST_CASE("the repetition penalty divides positive and multiplies negative logits, once a token") {
  Sampling how;
  how.repetition_penalty = 2;
  Sampler sampler(how);
  CHECK(sampler.sample(std::vector<float>{4, 3, 1}, std::vector<int32_t>{0}, 0) == 1);
  CHECK(sampler.sample(std::vector<float>{4, 1.5f, 1}, std::vector<int32_t>{0, 0, 0}, 0) == 0);  // 2, not 0.5
  CHECK(sampler.sample(std::vector<float>{-1, -1.5f}, std::vector<int32_t>{0}, 0) == 1);
  // Ids outside the logits (a longer vocabulary's) are no matter.
  CHECK(sampler.sample(std::vector<float>{4, 3}, std::vector<int32_t>{-1, 900, 1}, 0) == 0);
}

TEST_CASE("a draw depends on seed and position only") {
  const auto logits = random_logits(3000, 9);
  Sampling how = sampling();
  how.seed = 42;
  Sampler used(how), fresh(how);
  for (uint64_t i = 0; i < 50; ++i) used.sample(random_logits(100, i), {}, i);
  for (uint64_t i = 0; i < 50; ++i) CHECK(used.sample(logits, {}, i) == Sampler(how).sample(logits, {}, i));
  how.seed = 43;
  Sampler other(how);
  int equal = 0;
  for (uint64_t i = 0; i < 200; ++i) equal += other.sample(logits, {}, i) == fresh.sample(logits, {}, i);
  CHECK(equal < 20);
  CHECK(uniform_draw(1, 2) != uniform_draw(2, 1));
  CHECK(uniform_draw(1, uint64_t{1} << 32) != uniform_draw(1, 0));
}

TEST_CASE("the same tokens on every machine: fixed answers") {
  // A change of these is a change of the text that a seed gives: say so in the release notes.
  const auto logits = random_logits(1000, 5);
  Sampling how = sampling();
  how.seed = 7;
  how.temperature = 0.7f;
  how.top_k = 200;
  how.top_p = 0.9f;
  how.min_p = 0.01f;
  Sampler sampler(how);
  std::vector<int32_t> ids;
  for (uint64_t i = 0; i < 8; ++i) ids.push_back(sampler.sample(logits, {}, i));
  CHECK(ids == std::vector<int32_t>{782, 800, 19, 280, 996, 371, 547, 550});
}

TEST_CASE("what cannot be sampled from is an error that names the token") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (Sampling how : {Sampling{}, sampling()}) {
    Sampler sampler(how);
    CHECK_THROWS_WITH_AS(sampler.sample(std::vector<float>{1, nan, 2}, {}, 0), "logits: token 1 is not a number",
                         Error);
    CHECK_THROWS_WITH_AS(sampler.sample(std::vector<float>{nan}, {}, 0), "logits: token 0 is not a number", Error);
    CHECK_THROWS_WITH_AS(sampler.sample(std::vector<float>{1, kInf}, {}, 0), "logits: token 1 is infinite", Error);
    CHECK_THROWS_WITH_AS(sampler.sample(std::vector<float>{-kInf, -kInf}, {}, 0), "logits: all are -infinity", Error);
    CHECK_THROWS_WITH_AS(sampler.sample({}, {}, 0), "logits: there are none", Error);
    CHECK(sampler.sample(std::vector<float>{-kInf, 3e38f, -3e38f}, {}, 0) == 1);
  }
}

TEST_CASE("flags, then generation_config.json, then greedy") {
  ModelConfig::Generation none, file;
  file.do_sample = true;
  file.temperature = 0.6f;
  file.top_p = 0.9f;
  CHECK(resolve_sampling({}, none).greedy);
  const Sampling from_file = resolve_sampling({}, file);
  CHECK_FALSE(from_file.greedy);
  CHECK(from_file.temperature == 0.6f);
  CHECK(from_file.top_p == 0.9f);
  SamplingParams flags;
  flags.top_k = 5;
  const Sampling merged = resolve_sampling(flags, file);
  CHECK(merged.top_k == 5);
  CHECK(merged.temperature == 0.6f);
  CHECK_FALSE(resolve_sampling(flags, none).greedy);
  flags.temperature = 0.0f;
  CHECK(resolve_sampling(flags, file).greedy);
  SamplingParams penalty;
  penalty.repetition_penalty = 1.2f;
  CHECK(resolve_sampling(penalty, none).greedy);
  CHECK(resolve_sampling(penalty, none).repetition_penalty == 1.2f);
}

TEST_CASE("parameters out of range are refused by name") {
  const auto refused = [](auto field, auto value, const char *message) {
    SamplingParams flags;
    flags.*field = value;
    CHECK_THROWS_WITH_AS(resolve_sampling(flags, {}), doctest::Contains(message), Error);
  };
  refused(&SamplingParams::temperature, -1.0f, "temperature: -1");
  refused(&SamplingParams::temperature, kInf, "temperature: inf");
  refused(&SamplingParams::temperature, std::nanf(""), "temperature: nan");
  refused(&SamplingParams::top_k, -1, "top-k: -1");
  refused(&SamplingParams::top_p, 1.5f, "top-p: 1.5");
  refused(&SamplingParams::min_p, -0.1f, "min-p: -0.1");
  refused(&SamplingParams::repetition_penalty, 0.0f, "repetition penalty: 0");
}

TEST_CASE("a vocabulary of 128256 takes milliseconds") {
  const auto logits = random_logits(128256, 1);
  Sampling how = sampling();
  how.top_p = 0.9f;
  how.temperature = 0.7f;
  Sampler sampler(how);
  sampler.sample(logits, {}, 0);
  const auto start = std::chrono::steady_clock::now();
  for (uint64_t i = 0; i < 10; ++i) sampler.sample(logits, {}, i);
  const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count() / 10;
  MESSAGE("one draw: ", ms, " ms");
  CHECK(ms < 500);  // sanitizer builds on a busy machine included
}
