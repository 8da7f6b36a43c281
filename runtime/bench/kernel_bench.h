// How fast the kernel that dispatch would choose multiplies a ternary matrix, on cold weights, against the roof that
// was sampled between its runs. The result is checked against plain integer arithmetic before anything is timed.
#pragma once
#include <cstdint>
#include <string>

#include "runtime/io/shapes.h"
#include "runtime/kernels/dispatch.h"
#include "runtime/roof/roof.h"
#include "runtime/threads/pool.h"

namespace bittern::runtime {

struct KernelFigures {
  Shape shape;
  int64_t m = 1;
  int threads = 1;
  std::string backend, schedule, layout, origin;  // origin: "tuned", "default", "scalar"
  double us_median = 0;
  double gb_s = 0;   // N * K / 4 bytes / time, whatever the layout reads
  double gop_s = 0;  // 2 * M * N * K / time
  double roof_gb_s = 0, roof_gop_s = 0;
  double roof_pct = 0;  // see roof_percent
  std::string note;     // what to know of roof_pct, see roof_note
};

// Times one shape and batch for about `seconds`. Throws Error when the kernel's result is wrong (no figure then) and
// for matrices of more than 2^32 weights.
KernelFigures bench_kernel(ThreadPool &pool, const KernelSet &kernels, Roof &roof, Shape shape, int64_t m,
                           double seconds = 0.7);

}  // namespace bittern::runtime
