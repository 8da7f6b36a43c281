#include "runtime/sampling/sampling.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "runtime/error.h"

namespace bittern::runtime {
namespace {

// exp(x) for x <= 0 by plain float64 operations, so that it has the same bits everywhere; the C library's exp differs
// between versions. Accurate to about 1e-15. x = n ln 2 + r with |r| <= ln 2 / 2, then the series of exp(r).
double exp_of(double x) {
  if (!(x > -708.0)) return 0;  // below the smallest normal number
  const double n = std::floor(x * 1.4426950408889634 + 0.5);
  const double r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;  // ln 2 in two parts
  double sum = 1.0;
  for (int i = 13; i > 0; --i) sum = 1.0 + sum * r / i;
  return sum * std::bit_cast<double>(static_cast<uint64_t>(static_cast<int64_t>(n) + 1023) << 52);
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
    c.weight = exp_of((static_cast<double>(c.logit) - static_cast<double>(largest)) /
                      static_cast<double>(sampling_.temperature));
  }
  keep_top_p();
  // Weights are relative to the largest, so min-p is a plain threshold. The most likely one always stays.
  if (sampling_.min_p > 0) {
    std::erase_if(candidates_, [&](const Candidate &c) { return c.weight < static_cast<double>(sampling_.min_p); });
  }

  // The draw walks the kept tokens in the order of their ids, which is the order they are in.
  double total = 0;
  for (const Candidate &c : candidates_) total += c.weight;
  const double target = uniform_draw(sampling_.seed, index) * total;
  double sum = 0;
  int32_t last = best;
  for (const Candidate &c : candidates_) {
    sum += c.weight;
    if (c.weight > 0) last = c.id;
    if (sum > target) return c.id;
  }
  return last;  // only when rounding left target == total
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

// Keeps the fewest most likely tokens whose weights reach top_p of the total (at least one): the total is summed in
// the order of ids, the kept ones from the most likely down.
void Sampler::keep_top_p() {
  if (sampling_.top_p >= 1) return;
  double total = 0;
  for (const Candidate &c : candidates_) total += c.weight;
  const double enough = static_cast<double>(sampling_.top_p) * total;
  // Usually a few hundred of a hundred thousand are enough, so sort only that many at first.
  double sum = 0;
  size_t kept = 0;
  for (size_t sorted = 0; kept == sorted && sorted < candidates_.size();) {
    const size_t upto = std::min(candidates_.size(), std::max<size_t>(256, sorted * 8));
    std::partial_sort(candidates_.begin() + static_cast<ptrdiff_t>(sorted),
                      candidates_.begin() + static_cast<ptrdiff_t>(upto), candidates_.end(), Candidate::more_likely);
    sorted = upto;
    while (kept < sorted && (kept == 0 || sum < enough)) sum += candidates_[kept++].weight;
    if (sum >= enough) break;
  }
  candidates_.resize(kept);
  sort_by_id();
}

void Sampler::sort_by_id() {
  std::sort(candidates_.begin(), candidates_.end(), [](const Candidate &a, const Candidate &b) { return a.id < b.id; });
}

}  // namespace bittern::runtime
