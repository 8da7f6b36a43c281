// This machine, as far as kernels care: instruction sets, fingerprint, cache folder, cores.
#pragma once
#include <cstdint>
#include <string>

namespace bittern::runtime {

// BT_ISA_* bits this processor and operating system can run, less those that $BITTERN_ISA hides: it names the highest
// level that may be used ("baseline", "sse41", "avx2", "avxvnni", "avx512", "avx512vnni", "avx512vbmi"; "neon",
// "dotprod", "i8mm", "sve2"). Throws Error that lists the names for any other.
uint32_t machine_isa();
// What a value of $BITTERN_ISA leaves of `isa`.
uint32_t limit_isa(uint32_t isa, const std::string &level);

// What must be equal for tuned machine code to be loaded: vendor, family, model, stepping, ISA bits, generator version.
struct Fingerprint {
  std::string vendor, brand;
  int family = 0, model = 0, stepping = 0;
  uint32_t isa = 0;
  std::string generator;   // "bittern 0.2.0"
  std::string id() const;  // 16 hex digits over the fields above, brand excluded
};
const Fingerprint &machine_fingerprint();

// Whether an emulator runs this program (qemu-user and its like): what it computes holds, how fast it does not.
bool machine_is_emulated();

int machine_cores();               // logical processors usable by this process (affinity and CPU quota respected)
int64_t machine_free_memory();     // bytes that programs may still take without others losing theirs
int machine_physical_cores();      // the same, counting the threads of one core once: the default thread count
int64_t last_level_cache_bytes();  // largest data cache this process can see; 32 MiB when unknown

// $BITTERN_CACHE, else $XDG_CACHE_HOME/bittern, else $HOME/.cache/bittern, else empty: then nothing is kept. Not
// created.
std::string cache_folder();
// The same for those who cannot do without; throws Error that names the variables when there is none.
std::string needed_cache_folder();

}  // namespace bittern::runtime
