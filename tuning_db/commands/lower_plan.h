// The plan of one kernel as text: which schedule, why it may be taken, what it should cost, and the sums it is made of.
#pragma once
#include <string>

#include "codegen/backend.h"
#include "compiler/ir.h"
#include "schedules/schedule.h"
#include "schedules/target.h"

namespace bittern::tuning {

struct LoweredKernel {
  compiler::KernelSpec spec;
  compiler::Sizes sizes;  // all of them
  int64_t tokens = 1;
  const schedules::Target *target = nullptr;
  schedules::Schedule schedule;
  bool chosen_by_default = false;
  std::string illegal;  // why the tuner would not try the schedule; empty when it would
};

std::string plan_text(const LoweredKernel &kernel, const codegen::Descriptor &descriptor);

}  // namespace bittern::tuning
