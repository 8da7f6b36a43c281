// Why something is not a proved kernel. The kind is for programs to decide by, the text for people to read.
#pragma once
#include <string>

#include "compiler/error.h"

namespace bittern::tuning {

enum class RejectionKind {
  IllegalSchedule,  // no schedule of that text for this kernel, target and sizes
  CompileError,     // the code generator refused it
  LinkError,
  Unproved,     // it could not be loaded, or there was nothing to prove it by
  Crash,        // a fault, an exit, or nonsense instead of an answer, from its code or its compiler
  Timeout,      // it did not return
  WrongResult,  // other bits than the reference's, or memory touched that is not its own
  BadRequest,   // whoever asked is at fault
};
const char *rejection_name(RejectionKind kind);  // "illegal schedule", "compile error", ...
// Throws Error that quotes an unknown name.
RejectionKind find_rejection(const std::string &name);

struct Rejection {
  RejectionKind kind = RejectionKind::Unproved;
  std::string candidate;  // the schedule
  std::string text;
};

// Thrown where a kernel is made or proved.
class Rejected : public Error {
 public:
  Rejected(RejectionKind kind_, const std::string &text) : Error(text), kind(kind_) {}
  RejectionKind kind;
};

}  // namespace bittern::tuning
