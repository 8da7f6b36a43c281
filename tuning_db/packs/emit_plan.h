// What a static library is made of: for every target a quantiser and for every shape kernels that together take every
// M, from the tuning database or from the schedules that ship. Nothing is compiled here.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "compiler/ir.h"
#include "runtime/io/shapes.h"
#include "schedules/schedule.h"
#include "schedules/target.h"
#include "tuning_db/making/order.h"
#include "tuning_db/proof/problem.h"
#include "tuning_db/records/store.h"

namespace bittern::tuning {

using runtime::Shape;

// A kernel of the library, first as planned, then with what was made of it.
struct EmitKernel {
  const compiler::KernelSpec *spec = nullptr;
  const schedules::Target *target = nullptr;
  compiler::Sizes fixed;  // sizes that become constants
  int64_t m_min = 1, m_max = INT64_MAX;
  schedules::Schedule schedule;
  std::string symbol;     // of its function in the object
  bool tuned = false;     // the schedule is a winner of the database
  ObjectRecord recorded;  // of a tuned kernel: what was proved then; only its hash and symbol count
  ProofRecord recorded_proof;

  KernelCode code;
  std::optional<Proof> proof;  // none: this machine cannot execute it
  bool proof_from_database = false;
  // Of a kernel that this machine cannot execute: the same schedule with every instruction replaced by its meaning is
  // proved, and never part of the library.
  std::optional<Proof> from_meanings_proof;

  std::string name() const;  // "320x256 M=1 on x86-64-avx2 as llvm.gemv{...}"
};

struct EmitPlan {
  std::vector<Shape> shapes;
  std::vector<const schedules::Target *> targets;  // of one architecture, as the table has them: narrowest first
  const schedules::Target *baseline = nullptr;     // the architecture's first row
  std::vector<EmitKernel> kernels;                 // sorted as codegen/library/internal.h says
};

// Rows of the target table by their names, or by what follows the architecture in them ("avx2"), separated by commas;
// empty: every target of this machine's architecture. Throws Error that lists the known names, or when this build
// cannot emit a library for one, or when two are of different architectures.
std::vector<const schedules::Target *> emit_targets(const std::string &names);

// Checks shapes: distinct ones in the order given, none with more weights than a library may be proved for. Throws
// Error.
std::vector<Shape> emit_shapes(const std::vector<Shape> &shapes);

// With a database, every shape needs a winner for every target; of winners for several thread counts those for
// `threads` are taken, or when that is 0 those for the most. Batch sizes without a winner get the shipped schedules of
// the layout that the least one won with. Throws Error naming the shape and target that have none.
EmitPlan plan_library(const std::vector<Shape> &shapes, const std::vector<const schedules::Target *> &targets,
                      Store *database, int threads);

}  // namespace bittern::tuning
