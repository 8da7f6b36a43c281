// What the rows of contraction templates ask of a kernel and its sizes: the plan in short, the bounds of int32 sums,
// and the figures of the roofline prior that makes their costs comparable.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "compiler/bounds.h"
#include "schedules/contraction_plan.h"

namespace bittern::schedules {

struct ContractionFacts {
  std::vector<compiler::ExprPtr> key;
  bool planned = false, grouped = false, gathered = false;
  std::string n, m, k;  // names of sizes; empty when there is none
  int contractions = 0;
};

// Asked for every point of the space, so the last answer is kept; the definitions' nodes are its key and are held alive
// by it.
const ContractionFacts &contraction_facts(const compiler::KernelSpec &spec);

int64_t size_or(const compiler::Sizes &sizes, const std::string &name, int64_t fallback);

constexpr compiler::Interval kActivation{-128, 127};

// Up to here decoding weights again for every few tokens beats unpacking them to memory.
constexpr int64_t kFewTokens = 16;

// Why int32 sums of products of codes up to `most` could overflow at these sizes.
std::optional<std::string> int32_overflow(const ContractionFacts &kernel, const compiler::Sizes &sizes, int64_t most);

// A processor that does four vector operations of 32 bytes a cycle and reads eight bytes of cold weights meanwhile.
constexpr double kOperationsPerCycle = 4, kBytesPerCycle = 8;

struct ContractionWork {
  double m, units;     // tokens; units of 128 weights
  double read_cycles;  // of weights of 2 bits
  double roof;         // the least of a layout of 2 bits
};
ContractionWork contraction_work(const compiler::KernelSpec &spec, const compiler::Sizes &sizes);

// The layouts that templates llvm.base3 and llvm.lut read, best first; none where their rows are picked one by one.
std::vector<std::string> base3_layouts(const compiler::KernelSpec &spec);
std::vector<std::string> lut_layouts(const compiler::KernelSpec &spec);

}  // namespace bittern::schedules
