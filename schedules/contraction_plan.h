// Whether a kernel is contractions plus an epilogue, and then what they are: every output as one expression of the
// contractions' results. Both the schedule templates (does it apply?) and the generators (what to emit?) ask here.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "compiler/ir.h"
#include "schedules/contraction.h"
#include "schedules/target.h"

namespace bittern::schedules {

// tensor[.., n] = value, with all locals expanded in place.
struct PlannedOutput {
  std::string tensor;
  compiler::ExprPtr value;
};

struct ContractionPlan {
  // Distinct sums; outputs refer to them by address (PlannedOutput::value contains Contraction::sum). Their row is
  // the variable `n` or an expression of it, their lead is empty or the variable `m`.
  std::vector<Contraction> sums;
  std::vector<PlannedOutput> outputs;
  std::string n, m;       // the outputs' index variables, the same for all outputs; m is empty when they have rank 1
  int n_size = -1;        // index of the size parameter that n runs over
  int m_size = -1;        // index of the size parameter that m runs over, or -1
  bool grouped = false;   // some sum runs over groups of k
  bool gathered = false;  // some sum takes rows in another order than n, for example through an index list
};

// The plan, or nothing with the reason in `why` (when given): then generic loops are the way to lower the kernel.
std::optional<ContractionPlan> plan_contractions(const compiler::KernelSpec &spec, std::string *why = nullptr);
// Whether the contraction takes W's rows in the order of the outputs' index, all of them.
bool rows_in_order(const ContractionPlan &plan, const compiler::KernelSpec &spec, const Contraction &contraction);

// Why int16 lanes of the target could overflow when each takes `products` products of codes 0 .. `most` and int8
// activations; nothing when they cannot, or when its sums go straight to int32.
std::optional<std::string> int16_overflow(const Target &target, int64_t most, int64_t products);

}  // namespace bittern::schedules
