// What the templates of ternary products ask of a target beyond vectors and registers.
#pragma once
#include "schedules/target.h"

namespace bittern::schedules {

struct TernaryFacts {
  // Products of codes and activations that one accumulation adds to an int16 lane, whose bound legality proves; 0: sums
  // go straight to int32 lanes.
  int int16_products = 0;
  int look_up_bytes = 32;  // of the longest vector of bytes that one instruction looks up
  int look_up_table = 16;  // bytes of the table that it looks them up in
};

// The target's row, or the values above where it has none.
const TernaryFacts &ternary_facts(const Target &target);

}  // namespace bittern::schedules
