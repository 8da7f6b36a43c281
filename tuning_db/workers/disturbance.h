// Whether the machine was taken away from us: by other processes (involuntary context switches) or by the host of a
// virtual machine (stolen time). A timing during which either happened says little about the kernel.
#pragma once
#include <cstdint>

namespace bittern::tuning {

// Counters that only grow; two readings that are equal enclose a time in which nothing was noticed.
struct Disturbance {
  int64_t switches = 0;      // of this process's threads, against their will
  int64_t stolen_ticks = 0;  // of this machine's processors (hundredths of a second); 0 where it does not tell
  bool operator==(const Disturbance &) const = default;
};
Disturbance disturbance_now();

}  // namespace bittern::tuning
