// What a compiled kernel is, as plain data: what bt_kernel says before it has an address. It needs no code generator,
// so that a machine without one can read and check it.
#pragma once
#include <cstdint>
#include <string>

#include "runtime/abi/kernel_abi.h"

namespace bittern::codegen {

struct Descriptor {
  std::string symbol, spec, spec_hash, schedule, backend, target, layout;  // layout: its name, "" when none
  uint32_t isa_needs = 0;
  bool from_meanings = false;  // made with Request::meanings_on: may be proved, never shipped
  int64_t fixed[BT_MAX_SIZES] = {};
  int64_t m_min = 1, m_max = INT64_MAX;
  int32_t size_count = 0, tensor_count = 0, scalar_count = 0;
  int32_t tile_size_index = 0;
  int64_t tile = 1;
  int64_t scratch_base = 0, scratch_per[BT_MAX_SIZES] = {};
  double instructions = 0;  // of the hot loop for one product of a weight and an activation; 0 when not counted

  bool operator==(const Descriptor &) const = default;
  // Calls visit("name", member) for every field: how it is written down and read.
  template <typename Self, typename Visit>
  static void fields(Self &self, Visit &&visit) {
    visit("symbol", self.symbol);
    visit("spec", self.spec);
    visit("spec_hash", self.spec_hash);
    visit("schedule", self.schedule);
    visit("backend", self.backend);
    visit("target", self.target);
    visit("layout", self.layout);
    visit("isa_needs", self.isa_needs);
    visit("from_meanings", self.from_meanings);
    visit("fixed", self.fixed);
    visit("m_min", self.m_min);
    visit("m_max", self.m_max);
    visit("size_count", self.size_count);
    visit("tensor_count", self.tensor_count);
    visit("scalar_count", self.scalar_count);
    visit("tile_size_index", self.tile_size_index);
    visit("tile", self.tile);
    visit("instructions", self.instructions);
    visit("scratch_base", self.scratch_base);
    visit("scratch_per", self.scratch_per);
  }
};

}  // namespace bittern::codegen
