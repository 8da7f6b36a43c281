// What only the processor's own architecture can say: one file implements this for each (processor_x86_64.cpp,
// processor_aarch64.cpp), and the build takes the one of its target.
#pragma once
#include <cstdint>

#include "runtime/machine/machine.h"

namespace bittern::runtime {

// Fills in vendor, brand, family, model and stepping.
void read_identity(Fingerprint &fingerprint);
// Some tens of nanoseconds of doing little, for loops that wait on another core.
void pause_processor();

}  // namespace bittern::runtime
