// Writes a kernel pack: the winners' objects, exactly as they were proved and timed, linked into one shared object with
// a manifest, and every kernel proved once more through the runtime's own loader before the pack gets its name.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "tuning_db/making/farm.h"
#include "tuning_db/records/records.h"

namespace bittern::tuning {

// A row of a pack: a kernel and what was learnt about it.
struct PackKernel {
  std::string what;  // "gate_up"
  Problem problem;
  KernelCode code;
  Proof proof;
  WinnerRecord winner;
};

struct WrittenPack {
  std::string manifest, library;
  size_t kernels = 0;
  int64_t bytes = 0;
  bool unchanged = false;  // the very pack lay there already, and loads
};

// Writes <folder>/pack-<key>.so and .json, replacing a pack of the same problems at once. `scratch` is a private
// folder; `say` is told of progress; `machine` is the one that the kernels were tuned on. Throws Error when linking
// fails or a kernel is wrong through the pack: then no pack is written.
WrittenPack write_pack(Farm &farm, const std::vector<PackKernel> &kernels, const std::string &folder,
                       const std::string &scratch, const std::function<void(const std::string &)> &say,
                       const Machine &machine = this_machine());

}  // namespace bittern::tuning
