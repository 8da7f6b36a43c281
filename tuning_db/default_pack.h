// The built-in pack: kernels for every machine of the family, made from the shipped schedules with all sizes left free,
// proved where this machine can run them, and written as object files that programs link. The pack that a tuner writes
// comes from the same generator.
#pragma once
#include <functional>
#include <string>

namespace bittern::tuning {

struct DefaultPackReport {
  int kernels = 0, not_executed = 0;  // of these the machine lacks instructions: proved by their meanings
  double compile_seconds = 0, proof_seconds = 0;
};

// Compiles and proves the defaults of every built-in kernel for every target of the table, and writes the objects and
// `objects.txt`, their paths, into `folder`. Together they define the symbol bt_default_pack and no other global that a
// program could meet. Uses one thread or process a core. Throws Error when a schedule does not compile, when a kernel
// is wrong, crashes or hangs, or when the defaults leave a layout or a batch size without a kernel.
DefaultPackReport write_default_pack(const std::string &folder, const std::function<void(const std::string &)> &say);

}  // namespace bittern::tuning
