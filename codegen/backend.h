// The one interface of every code generator: (spec, schedule, target) -> object code and descriptor.
// Registering a backend is adding one row to the table in backend.cpp.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "compiler/ir.h"
#include "runtime/abi/kernel_abi.h"
#include "schedules/schedule.h"
#include "schedules/target.h"

namespace bittern::codegen {

struct Request {
  const compiler::KernelSpec &spec;
  const schedules::Schedule &schedule;
  const schedules::Target &target;
  compiler::Sizes fixed;  // size parameters to fix to constants; the others stay arguments
  int64_t m_min = 1, m_max = INT64_MAX;
  std::string symbol;  // name of the kernel function in the object, a C identifier
  bool want_assembly = false;
  // When set, the machine code is for this target and every instruction of `target` is replaced by its meaning: what
  // this machine cannot execute is so proved here. The result is for proofs only; no pack takes it.
  const schedules::Target *meanings_on = nullptr;
  // For tests of the proof: emit sums that bounds forbid, too.
  bool unchecked = false;
};

// What bt_kernel says, before it has an address; the pack writer turns it into a bt_kernel.
struct Descriptor {
  std::string symbol, spec, spec_hash, schedule, backend, target, layout;  // layout: its name, "" when none
  uint32_t isa_needs = 0;
  bool from_meanings = false;  // made with Request::meanings_on: may be proved, never shipped
  int64_t fixed[BT_MAX_SIZES];
  int64_t m_min = 1, m_max = INT64_MAX;
  int32_t size_count = 0, tensor_count = 0, scalar_count = 0;
  int32_t tile_size_index = 0;
  int64_t tile = 1;
  int64_t scratch_base = 0, scratch_per[BT_MAX_SIZES] = {};
  double instructions = 0;  // of the hot loop for one product of a weight and an activation; 0 when not counted
};

struct Compiled {
  std::vector<std::string> objects;  // relocatable ELF objects; together they define `symbol` and no other global
  Descriptor descriptor;
  std::string assembly;  // when asked for
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const char *name() const = 0;
  // Throws Error with the reason when the schedule is illegal or the target is not this backend's.
  virtual Compiled compile(const Request &) const = 0;
};

const std::vector<const Backend *> &backends();
const Backend &find_backend(const std::string &name);
// Picks the backend that the schedule names and compiles. Throws Error, too, when the schedule's sums could overflow.
Compiled compile(const Request &);

// A row of a pack's table: a compiled kernel and what was learnt about it.
struct TableRow {
  Descriptor descriptor;
  std::string proof;
  int32_t threads = 0;
  double roof_pct = 0;
};
// Kernels from meanings are taken only without a proof, as candidates that somebody is about to prove.
// One object that defines `table_symbol` (a bt_pack) with a row per kernel, referring to the kernels by symbol, and the
// bt_layouts they need with generated packed_bytes, pack and unpack. The code in it runs on `baseline`.
std::string emit_pack_table(const std::vector<TableRow> &rows, const std::string &table_symbol,
                            const schedules::Target &baseline);

// Links relocatable objects into a shared object at `path`, with LLVM's lld as a library; only `exports` stay visible.
// Throws Error with lld's message, or when something but memcpy, memset and `imports` is missing.
void link_shared(const std::vector<std::string> &objects, const std::vector<std::string> &exports,
                 const std::string &path, const std::vector<std::string> &imports = {});

// Links relocatable objects into one relocatable object, in the order given, and returns its bytes; `path` is a
// temporary file. Throws Error with lld's message.
std::string link_relocatable(const std::vector<std::string> &objects, const std::string &path);

}  // namespace bittern::codegen
