// A schedule says how one kernel runs on one target: a template's name and values for its parameters. It is plain
// data with one printed form, for example "llvm.gemv{layout=i2r4,prefetch=2048,rows=4,unroll=2}", which is what the
// tuning database stores and `parse_schedule` reads back.
#pragma once
#include <cstdint>
#include <map>
#include <string>

namespace bittern::schedules {

struct Schedule {
  std::string backend;                    // "llvm", "halide", ...
  std::string template_name;              // "gemv", "gemm", "loops", ...
  std::map<std::string, int64_t> params;  // integer parameters by name
  std::string layout;                     // weight layout's printed name; empty when the kernel has no ternary input

  int64_t get(const std::string &name, int64_t fallback) const;
  bool operator==(const Schedule &) const = default;
};

std::string print_schedule(const Schedule &);
// Reads the printed form; throws Error with the column on bad text.
Schedule parse_schedule(const std::string &);

}  // namespace bittern::schedules
