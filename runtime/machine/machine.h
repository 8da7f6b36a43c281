// This machine, as far as kernels care: instruction sets, fingerprint, cache folder, cores.
#pragma once
#include <cstdint>
#include <string>

namespace bittern::runtime {

// BT_ISA_* bits this processor and operating system can run.
uint32_t machine_isa();

// What must be equal for tuned machine code to be loaded: vendor, family, model, stepping, ISA bits, generator version.
struct Fingerprint {
  std::string vendor, brand;
  int family = 0, model = 0, stepping = 0;
  uint32_t isa = 0;
  std::string generator;   // "bittern 0.1.0"
  std::string id() const;  // 16 hex digits over the fields above, brand excluded
};
const Fingerprint &machine_fingerprint();

// Whether an emulator runs this program (qemu-user and its like): what it computes holds, how fast it does not.
bool machine_is_emulated();

int machine_cores();               // logical processors usable by this process (affinity and CPU quota respected)
int machine_physical_cores();      // the same, counting the threads of one core once: the default thread count
int64_t last_level_cache_bytes();  // largest data cache this process can see; 32 MiB when unknown

// $BITTERN_CACHE, else $XDG_CACHE_HOME/bittern, else ~/.cache/bittern. Not created.
std::string cache_folder();

}  // namespace bittern::runtime
