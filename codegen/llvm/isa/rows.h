// The instruction sets by file, for the registry and for sets that extend others.
#pragma once
#include "codegen/llvm/isa/isa.h"

namespace bittern::codegen {

// Plain IR for any target: products of even and odd bytes apart in int16 lanes.
class GenericIsa : public Isa {
 public:
  using Isa::Isa;
  llvm::Type *partial() const override { return halves(); }
  llvm::Value *accumulate(llvm::Value *sum, llvm::Value *codes, llvm::Value *activations) override;
  llvm::Value *widen(llvm::Value *sum) override;
};

class Sse2Isa : public GenericIsa {
 public:
  using GenericIsa::GenericIsa;
  llvm::Value *multiply_add_halves(llvm::Value *x, llvm::Value *y) override;
  llvm::Value *multiply_high(llvm::Value *x, llvm::Value *y) override;
};

class Ssse3Isa : public Sse2Isa {
 public:
  using Sse2Isa::Sse2Isa;
  llvm::Value *accumulate(llvm::Value *sum, llvm::Value *codes, llvm::Value *activations) override;
  llvm::Value *look_up(llvm::Value *tables, llvm::Value *indices) override;
};

class Avx2Isa : public GenericIsa {
 public:
  using GenericIsa::GenericIsa;
  llvm::Value *accumulate(llvm::Value *sum, llvm::Value *codes, llvm::Value *activations) override;
  llvm::Value *multiply_add_halves(llvm::Value *x, llvm::Value *y) override;
  llvm::Value *multiply_high(llvm::Value *x, llvm::Value *y) override;
  llvm::Value *look_up(llvm::Value *tables, llvm::Value *indices) override;
};

class Avx512BwIsa : public Avx2Isa {
 public:
  using Avx2Isa::Avx2Isa;
  llvm::Value *accumulate(llvm::Value *sum, llvm::Value *codes, llvm::Value *activations) override;
  llvm::Value *multiply_add_halves(llvm::Value *x, llvm::Value *y) override;
  llvm::Value *look_up(llvm::Value *tables, llvm::Value *indices) override;
};

class NeonIsa : public GenericIsa {
 public:
  using GenericIsa::GenericIsa;
  llvm::Value *accumulate(llvm::Value *sum, llvm::Value *codes, llvm::Value *activations) override;
  llvm::Value *widen(llvm::Value *sum) override;
  llvm::Value *look_up(llvm::Value *tables, llvm::Value *indices) override;
};

template <typename T>
std::unique_ptr<Isa> make(FunctionBuilder &f, unsigned lanes) {
  return std::make_unique<T>(f, lanes);
}

const std::vector<Instruction> &no_instructions();
const std::vector<Instruction> &sse2_instructions();
const std::vector<Instruction> &ssse3_instructions();
const std::vector<Instruction> &avx2_instructions();
std::unique_ptr<Isa> make_avx_vnni(FunctionBuilder &f, unsigned lanes);
const std::vector<Instruction> &avx_vnni_instructions();
const std::vector<Instruction> &avx512_bw_instructions();
std::unique_ptr<Isa> make_avx512_vnni(FunctionBuilder &f, unsigned lanes);
const std::vector<Instruction> &avx512_vnni_instructions();
const std::vector<Instruction> &neon_instructions();
std::unique_ptr<Isa> make_neon_dot(FunctionBuilder &f, unsigned lanes);
const std::vector<Instruction> &neon_dot_instructions();
std::unique_ptr<Isa> make_neon_matrix(FunctionBuilder &f, unsigned lanes);
const std::vector<Instruction> &neon_matrix_instructions();

}  // namespace bittern::codegen
