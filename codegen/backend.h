// The one interface of every code generator: (spec, schedule, target) -> object code and descriptor.
// Registering a backend is adding one row to the table in backend.cpp.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "codegen/kernel_descriptor.h"
#include "compiler/ir.h"
#include "schedules/schedule.h"
#include "schedules/target.h"

namespace bittern::codegen {

// What a step of compiling made, for people, in the order in which steps happen.
struct Listing {
  std::string stage;  // "plan", "halide", "ir" or "asm"
  std::string title;  // a comment in the language of the text
  std::string text;
};

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
  bool want_listings = false;  // of all stages
};

struct Compiled {
  std::vector<std::string> objects;  // relocatable ELF objects; together they define `symbol` and no other global
  Descriptor descriptor;
  std::string assembly;  // when asked for
  std::vector<Listing> listings;
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
// Why the schedule's sums could overflow, or nothing (or the request is unchecked).
std::optional<std::string> sums_overflow(const Request &);
// Picks the backend that the schedule names and compiles. Throws Error, too, when a sum or conversion of the text is
// not proved to fit at the sizes that are fixed, with its place (compiler/bounds.h), or a sum of the schedule.
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
