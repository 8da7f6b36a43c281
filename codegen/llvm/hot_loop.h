// The hot loop of a kernel's machine code: counted in the object that is shipped, by taking it apart, so that no model
// of the compiler is needed and every backend and instruction set is counted alike.
#pragma once
#include <map>
#include <string>

#include "schedules/target.h"

namespace llvm {
class TargetMachine;
}

namespace bittern::codegen {

struct HotLoop {
  int instructions = 0;
  std::map<std::string, int> mnemonics;  // how often each occurs
};

// Of the loops without an inner one that with most multiplications and look-ups, and the longest of those, in function
// `symbol` of a relocatable object; empty when the function has no loop. A loop is a range of code that a branch at its
// end jumps back over. Throws Error when the object cannot be taken apart.
HotLoop hot_loop(const std::string &object, const std::string &symbol, const llvm::TargetMachine &machine);
HotLoop hot_loop(const std::string &object, const std::string &symbol, const schedules::Target &target);

}  // namespace bittern::codegen
