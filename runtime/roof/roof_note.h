// What a reader must know of a share of the roof: one above all of it is explained or called into question, and so is
// one whose roof moved while it was measured.
#pragma once
#include <string>
#include <vector>

namespace bittern::runtime {

struct RoofEvidence {
  double percent = 0;           // as it will be printed
  double bits_per_weight = 2;   // what the layout stores; the share counts 2
  double operand_bytes = 0;     // counted for one call; 0: not known
  double cache_bytes = 0;       // of the last level
  std::vector<double> samples;  // of the roof that the share is of, in GB/s or GOP/s
  double disturbed = 0;         // part of the timings in which the machine was taken away
};

// "" when there is nothing to say.
std::string roof_note(const RoofEvidence &evidence);

// Lowest and highest of the samples, a tenth at either end left out; both 0 of nothing.
struct Spread {
  double low = 0, high = 0;
  bool disagrees() const { return low > 0 && high > 1.4 * low; }
};
Spread spread(std::vector<double> samples);

}  // namespace bittern::runtime
