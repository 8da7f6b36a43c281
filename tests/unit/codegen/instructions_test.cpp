// Every row of the instruction tables: where this machine has the instruction, it gives the same bits as the row's
// meaning, on random and extreme operands; everywhere, the assembly for a target that has it contains it.
#include <doctest/doctest.h>

#include <cstring>
#include <random>
#include <set>

#include "codegen/backend.h"
#include "codegen/llvm/isa/probe.h"
#include "codegen/llvm/llvm_target.h"
#include "runtime/machine/machine.h"
#include "tests/unit/codegen/linked.h"

using namespace bittern;
using codegen::InstructionFacts;

namespace {

using ProbeFunction = void (*)(const uint8_t *, uint8_t *, int64_t);

// A target of the table that has the instruction, or null.
const schedules::Target *target_with(const InstructionFacts &row) {
  for (const schedules::Target &target : schedules::targets())
    if (codegen::llvm_target(target).instructions == std::string(row.instruction_set) &&
        (row.isa_needs & ~target.isa_needs) == 0)
      return &target;
  return nullptr;
}

// `count` vectors: whole vectors of one extreme byte, extremes mixed, random ones.
std::vector<uint8_t> operands(int64_t bytes, int64_t count, unsigned seed) {
  static const uint8_t kExtremes[] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0x02};
  std::mt19937 random(seed);
  std::vector<uint8_t> all(static_cast<size_t>(bytes * count));
  for (int64_t i = 0; i < count; ++i) {
    const unsigned kind = random() % 3;
    const uint8_t one = kExtremes[random() % 6];
    for (int64_t j = 0; j < bytes; ++j)
      all[static_cast<size_t>(i * bytes + j)] =
          kind == 0 ? one : (kind == 1 ? kExtremes[random() % 6] : static_cast<uint8_t>(random()));
  }
  return all;
}

std::vector<uint8_t> run(const std::string &object, const InstructionFacts &row, const std::vector<uint8_t> &in,
                         int64_t count) {
  const test::Linked probe({object}, "probe");
  std::vector<uint8_t> out(static_cast<size_t>(row.result_bytes * count));
  reinterpret_cast<ProbeFunction>(probe.exported())(in.data(), out.data(), count);
  return out;
}

}  // namespace

TEST_CASE("instructions do what their meanings say") {
  const schedules::Target &host = schedules::host_target(runtime::machine_isa());
  int compared = 0, runnable = 0;
  std::set<std::string> names;
  for (const InstructionFacts &row : codegen::instruction_facts()) {
    CAPTURE(row.name);
    CHECK_MESSAGE(names.insert(row.name).second, "two rows have this name");
    const schedules::Target *target = target_with(row);
    REQUIRE_MESSAGE(target != nullptr, "no target uses this instruction: what is it for?");
    const codegen::Probe real = codegen::probe_instruction(row.name, *target, "probe");
    CHECK_MESSAGE(real.assembly.find(row.mnemonic) != std::string::npos, real.assembly);
    const codegen::Probe meant = codegen::probe_instruction(row.name, *target, "probe", &host);
    runnable += (row.isa_needs & ~runtime::machine_isa()) == 0;
    if ((target->isa_needs & ~runtime::machine_isa()) != 0) continue;
    constexpr int64_t kCount = 4000;
    std::vector<uint8_t> in;
    for (size_t i = 0; i < row.operand_bytes.size(); ++i) {
      const std::vector<uint8_t> own = operands(row.operand_bytes[i], kCount, static_cast<unsigned>(i + 1));
      in.insert(in.end(), own.begin(), own.end());
    }
    const std::vector<uint8_t> is = run(real.object, row, in, kCount), means = run(meant.object, row, in, kCount);
    REQUIRE(is.size() == static_cast<size_t>(row.result_bytes * kCount));
    REQUIRE(means.size() == is.size());
    CHECK(std::set(is.begin(), is.end()).size() > 1);  // the probe wrote its results
    size_t first = 0;
    while (first < is.size() && is[first] == means[first]) ++first;
    CHECK_MESSAGE(first == is.size(), "result " << first / static_cast<size_t>(row.result_bytes) << ", byte "
                                                << first % static_cast<size_t>(row.result_bytes) << " differs");
    ++compared;
  }
  MESSAGE(compared << " of " << names.size() << " instructions were executed here");
  CHECK(compared >= 1);
}
