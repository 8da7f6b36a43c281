// An emulator of user programs (qemu-user and its like) answers for /proc/self/exe in our name. The same file reached
// through an open folder is what the kernel really runs: the emulator. Whole-machine emulators cannot be told from slow
// machines by what a program may see.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/machine/machine.h"

namespace bittern::runtime {

bool machine_is_emulated() {
  static const bool emulated = [] {
    struct stat claimed{}, real{};
    const int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    const bool known =
        proc >= 0 && program >= 0 && fstat(program, &claimed) == 0 && fstatat(proc, "self/exe", &real, 0) == 0;
    if (proc >= 0) close(proc);
    if (program >= 0) close(program);
    return known && (claimed.st_dev != real.st_dev || claimed.st_ino != real.st_ino);
  }();
  return emulated;
}

}  // namespace bittern::runtime
