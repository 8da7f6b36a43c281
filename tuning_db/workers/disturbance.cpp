#include "tuning_db/workers/disturbance.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>

namespace bittern::tuning {

Disturbance disturbance_now() {
  Disturbance now;
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) now.switches = usage.ru_nivcsw;
  // Kept open: it is read before and after every timing.
  static const int file = open("/proc/stat", O_RDONLY | O_CLOEXEC);
  char text[512] = {};
  if (file >= 0 && pread(file, text, sizeof text - 1, 0) > 0) {
    long long stolen = 0;  // cpu user nice system idle iowait irq softirq steal
    if (std::sscanf(text, "cpu %*d %*d %*d %*d %*d %*d %*d %lld", &stolen) == 1) now.stolen_ticks = stolen;
  }
  return now;
}

}  // namespace bittern::tuning
