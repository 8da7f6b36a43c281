#include "runtime/sampling/sampling.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "runtime/error.h"

namespace bittern::runtime {
namespace {

// The weight of the most likely token. Weights are whole numbers, so their sums are exact: no order of summation, and
// thus no way of selecting, changes a result. A vocabulary of 2^24 (the largest there is) stays below 2^63; tokens less
// than 2^-38 as likely as the most likely one count as impossible.
constexpr double kUnit = 0x1p38;

constexpr std::array<double, 14> inverse_factorials() {
  std::array<double, 14> out{};
  double factorial = 1;
  for (size_t i = 0; i < out.size(); ++i) {
    if (i > 0) factorial *= static_cast<double>(i);
    out[i] = 1 / factorial;
  }
  return out;
}

// exp(x) * kUnit for x <= 0 as a whole number, by plain float64 operations, so that it is the same everywhere; the C
// library's exp differs between versions. x = n ln 2 + r with |r| <= ln 2 / 2, then the series of exp(r).
int64_t weight_of(double x) {
  if (!(x > -34.0)) return 0;          // less than half of the smallest weight
  constexpr double kRound = 0x1.8p52;  // adding it leaves no bits for a fraction
  constexpr std::array<double, 14> kSeries = inverse_factorials();
  const double n = (x * 1.4426950408889634 + kRound) - kRound;
  const double r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;  // ln 2 in two parts
  double sum = kSeries.back();
  for (size_t i = kSeries.size() - 1; i-- > 0;) sum = kSeries[i] + sum * r;
  const double power = std::bit_cast<double>(static_cast<uint64_t>(static_cast<int64_t>(n) + 1023) << 52);
  return static_cast<int64_t>(sum * power * kUnit);
}

void check(const char *name, double value, double least, double most) {
  if (!(value >= least && value <= most)) {
    throw Error(fmt::format("{}: {} is outside {}..{}", name, value, least, most));
  }
}

}  // namespace

Sampling resolve_sampling(const SamplingParams &flags, const ModelConfig::Generation &file) {
  Sampling out;
  out.temperature = flags.temperature.value_or(file.temperature);
  out.top_k = flags.top_k.value_or(file.top_k);
  out.top_p = flags.top_p.value_or(file.top_p);
  out.min_p = flags.min_p.value_or(file.min_p);
  out.repetition_penalty = flags.repetition_penalty.value_or(file.repetition_penalty);
  out.seed = flags.seed;
  check("temperature", out.temperature, 0, 1e6);
  check("top-k", out.top_k, 0, std::numeric_limits<int>::max());
  check("top-p", out.top_p, 0, 1);
  check("min-p", out.min_p, 0, 1);
  check("repetition penalty", out.repetition_penalty, 1e-3, 1e3);
  const bool asked = flags.temperature || flags.top_k || flags.top_p || flags.min_p;
  out.greedy = out.temperature == 0 || !(asked || file.do_sample);
  return out;
}

int32_t argmax(std::span<const float> logits) {
  if (logits.empty()) throw Error("logits: there are none");
  size_t best = 0;
  bool nan = false;
  for (size_t i = 0; i < logits.size(); ++i) {
    nan |= std::isnan(logits[i]);
    if (logits[i] > logits[best]) best = i;
  }
  if (nan) {
    const auto at = std::find_if(logits.begin(), logits.end(), [](float x) { return std::isnan(x); });
    throw Error(fmt::format("logits: token {} is not a number", at - logits.begin()));
  }
  if (std::isinf(logits[best])) {
    throw Error(logits[best] > 0 ? fmt::format("logits: token {} is infinite", best)
                                 : std::string("logits: all are -infinity"));
  }
  return static_cast<int32_t>(best);
}

int32_t Sampler::sample(std::span<const float> logits, std::span<const int32_t> history, uint64_t index) {
  if (sampling_.repetition_penalty != 1) {
    logits_.assign(logits.begin(), logits.end());
    penalise(history);
    logits = logits_;
  }
  const int32_t best = argmax(logits);
  if (sampling_.greedy) return best;

  candidates_.clear();
  const float largest = logits[static_cast<size_t>(best)];
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] != -std::numeric_limits<float>::infinity()) {
      candidates_.push_back({static_cast<int32_t>(i), logits[i], 0});
    }
  }
  keep_top_k();
  for (Candidate &c : candidates_) {
    c.weight = weight_of((static_cast<double>(c.logit) - static_cast<double>(largest)) /
                         static_cast<double>(sampling_.temperature));
  }
  std::erase_if(candidates_, [](const Candidate &c) { return c.weight == 0; });
  keep_top_p();
  if (sampling_.min_p > 0) {  // the most likely one has weight kUnit and stays
    const double least = static_cast<double>(sampling_.min_p) * kUnit;
    std::erase_if(candidates_, [&](const Candidate &c) { return static_cast<double>(c.weight) < least; });
  }

  // The draw walks the kept tokens in the order of their ids, which is the order they are in.
  const int64_t total = total_weight(candidates_.begin(), candidates_.end());
  int64_t target = static_cast<int64_t>(uniform_draw(sampling_.seed, index) * static_cast<double>(total));
  target = std::min(target, total - 1);  // the product may round up to the total
  for (const Candidate &c : candidates_) {
    target -= c.weight;
    if (target < 0) return c.id;
  }
  return best;  // not reached: the weights sum to more than `target`
}

void Sampler::penalise(std::span<const int32_t> history) {
  seen_.assign(history.begin(), history.end());
  std::sort(seen_.begin(), seen_.end());
  seen_.erase(std::unique(seen_.begin(), seen_.end()), seen_.end());
  for (const int32_t id : seen_) {
    if (id < 0 || static_cast<size_t>(id) >= logits_.size()) continue;
    float &logit = logits_[static_cast<size_t>(id)];
    logit = logit < 0 ? logit * sampling_.repetition_penalty : logit / sampling_.repetition_penalty;
  }
}

void Sampler::keep_top_k() {
  const size_t k = static_cast<size_t>(sampling_.top_k);
  if (k == 0 || k >= candidates_.size()) return;
  std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<ptrdiff_t>(k - 1), candidates_.end(),
                   Candidate::more_likely);
  candidates_.resize(k);
  sort_by_id();  // sums must not depend on how nth_element left them
}

// Keeps the fewest most likely tokens whose weights reach top_p of the total, at least one. Bisection: split what is
// undecided into its more and its less likely half, and go on in the half where the sum is reached.
void Sampler::keep_top_p() {
  if (sampling_.top_p >= 1) return;
  const int64_t total = total_weight(candidates_.begin(), candidates_.end());
  auto missing = static_cast<int64_t>(std::ceil(static_cast<double>(sampling_.top_p) * static_cast<double>(total)));
  auto first = candidates_.begin(), last = candidates_.end();
  while (last - first > 1) {
    const auto middle = first + (last - first) / 2;
    std::nth_element(first, middle, last, Candidate::more_likely);
    const int64_t sum = total_weight(first, middle);
    if (sum >= missing) {
      last = middle;
    } else {
      missing -= sum;
      first = middle;
    }
  }
  candidates_.erase(last, candidates_.end());
  sort_by_id();
}

int64_t Sampler::total_weight(Iterator first, Iterator last) {
  int64_t total = 0;
  for (; first != last; ++first) total += first->weight;
  return total;
}

void Sampler::sort_by_id() {
  std::sort(candidates_.begin(), candidates_.end(), [](const Candidate &a, const Candidate &b) { return a.id < b.id; });
}

}  // namespace bittern::runtime
