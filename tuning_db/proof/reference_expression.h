// Kernel expressions made ready for the fast reference: names become slots and tensors, and every node knows which
// variables it depends on.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tuning_db/proof/reference_lanes.h"

namespace bittern::tuning::reference {

// The expression with names resolved to slots and tensors, and what it depends on.
struct Node {
  compiler::Op op;
  compiler::Type type;
  uint32_t constant = 0;
  int slot = -1;            // Var and reductions: variable; Let: position in the frame
  Array *tensor = nullptr;  // Load
  std::vector<int64_t> strides;
  std::vector<Node> args;
  const struct Routine *routine = nullptr;  // Call
  std::vector<bool> uses;                   // by variable slot
  bool uses_frame = false;                  // depends on a function's parameters or lets
};

struct Routine {
  size_t params = 0;
  std::vector<Node> lets;
  Node result;
};

class Builder {
 public:
  // Everything must outlive the builder and what it builds. `scalars` are in the order of the spec's.
  Builder(const compiler::KernelSpec &spec, const compiler::Sizes &sizes, const std::vector<float> &scalars,
          Arrays &arrays);

  // `vars` and `lets`: slots by name.
  Node build(const compiler::Expr &e, const std::map<std::string, int> &vars, const std::map<std::string, int> &lets);
  // Throws Error when there are too many.
  int new_variable();
  // Variables of definitions come after those of functions' reductions.
  void reset_variables() { next_slot_ = first_slot_; }
  static constexpr int kVariables = 32;  // the last slot is no variable's: see Evaluator::one

 private:
  const compiler::KernelSpec &spec_;
  const compiler::Sizes &sizes_;
  const std::vector<float> &scalars_;
  Arrays &arrays_;
  std::map<std::string, std::unique_ptr<Routine>> routines_;
  int next_slot_ = 0, first_slot_ = 0;
};

}  // namespace bittern::tuning::reference
