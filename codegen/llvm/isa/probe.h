// One instruction as a function of its own, so that tests can run it beside its meaning and look at its assembly.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "schedules/target.h"

namespace bittern::codegen {

// What a row of the instruction table says, without LLVM's types.
struct InstructionFacts {
  std::string name, mnemonic, instruction_set;
  uint32_t isa_needs;
  std::vector<int64_t> operand_bytes;
  int64_t result_bytes;
};
std::vector<InstructionFacts> instruction_facts();

struct Probe {
  std::string object, assembly;
};
// A function `symbol`(const uint8_t *operands, uint8_t *results, int64_t count): `operands` are all of the first
// operand's vectors, then all of the second's, ...; it writes `count` results. With `meanings_on` the instruction is
// replaced by its meaning, compiled for that target. Throws Error when no row is called `instruction`.
Probe probe_instruction(const std::string &instruction, const schedules::Target &target, const std::string &symbol,
                        const schedules::Target *meanings_on = nullptr);

}  // namespace bittern::codegen
