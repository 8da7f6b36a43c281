// The table of instruction sets. A new one is a file of this folder and a row here; targets name it
// (codegen/llvm/llvm_target.cpp).
#include <fmt/format.h>

#include "codegen/llvm/isa/rows.h"
#include "codegen/llvm/llvm_target.h"
#include "compiler/error.h"

namespace bittern::codegen {

const std::vector<IsaRow> &isa_registry() {
  static const std::vector<IsaRow> table = {
      {"generic", make<GenericIsa>, no_instructions},
      {"sse2", make<Sse2Isa>, sse2_instructions},
      {"ssse3", make<Ssse3Isa>, ssse3_instructions},
      {"avx2", make<Avx2Isa>, avx2_instructions},
      {"avx-vnni", make_avx_vnni, avx_vnni_instructions},
      {"avx512-bw", make<Avx512BwIsa>, avx512_bw_instructions},
      {"avx512-vnni", make_avx512_vnni, avx512_vnni_instructions},
      {"neon", make<NeonIsa>, neon_instructions},
      {"neon-dot", make_neon_dot, neon_dot_instructions},
      {"neon-matrix", make_neon_matrix, neon_matrix_instructions},
  };
  return table;
}

std::unique_ptr<Isa> make_isa(FunctionBuilder &f, unsigned lanes) {
  const std::string wanted = llvm_target(f.target).instructions;
  std::string known;
  for (const IsaRow &row : isa_registry()) {
    if (wanted == row.name) return row.make(f, lanes);
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  throw Error(fmt::format("target {} names the instruction set \"{}\"; known: {}", f.target.name, wanted, known));
}

const std::vector<Instruction> &instructions() {
  static const std::vector<Instruction> all = [] {
    std::vector<Instruction> rows;
    for (const IsaRow &row : isa_registry())
      rows.insert(rows.end(), row.instructions().begin(), row.instructions().end());
    return rows;
  }();
  return all;
}

}  // namespace bittern::codegen
