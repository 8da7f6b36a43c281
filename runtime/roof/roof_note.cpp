#include "runtime/roof/roof_note.h"

#include <fmt/format.h>

#include <algorithm>

namespace bittern::runtime {
namespace {

constexpr double kMostPercent = 110;  // what differs from moment to moment may take a share so far above 100
constexpr double kOftenDisturbed = 0.5;

}  // namespace

Spread spread(std::vector<double> samples) {
  if (samples.empty()) return {};
  std::sort(samples.begin(), samples.end());
  const size_t cut = samples.size() / 10;
  return {samples[cut], samples[samples.size() - 1 - cut]};
}

std::string roof_note(const RoofEvidence &e) {
  const Spread roof = spread(e.samples);
  std::string note;
  const auto say = [&](const std::string &text) { note += (note.empty() ? "" : "; ") + text; };
  if (e.percent > kMostPercent) {
    const double stored = e.percent * e.bits_per_weight / 2;
    if (e.bits_per_weight < 2 && stored <= kMostPercent)
      say(fmt::format("above the roof since 2 bits a weight are counted and {:.2f} stored", e.bits_per_weight));
    else if (roof.disagrees())
      say("above the roof, which was measured too low");
    else if (e.operand_bytes > 0 && e.operand_bytes < e.cache_bytes)
      say(fmt::format("above the roof of memory since its {:.2g} MB fit the caches", e.operand_bytes / 1e6));
    else
      say("above the roof: it reads less than is counted, or the roof was measured too low");
  }
  if (roof.disagrees())
    say(fmt::format("the machine was busy: samples of the roof from {:.3g} to {:.3g}", roof.low, roof.high));
  else if (e.disturbed > kOftenDisturbed)
    say(fmt::format("the machine was busy during {:.0f} % of the timings", 100 * e.disturbed));
  return note;
}

}  // namespace bittern::runtime
