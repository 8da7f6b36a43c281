// Peak resident memory of this process so far, for tests that hold it to what a file's size allows.
#pragma once
#include <sys/resource.h>

#include <cstdint>

namespace bittern::test {

inline int64_t peak_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

}  // namespace bittern::test
