// vpdpbusd on 32 bytes, which adds four products straight to an int32 lane: as AVX-VNNI (VEX encoding; processors
// without AVX-512) and as AVX512-VNNI with VL. LLVM has one intrinsic for both; the target's features choose the
// encoding.
#include <llvm/IR/IntrinsicsX86.h>

#include "codegen/llvm/isa/rows.h"
#include "runtime/abi/kernel_abi.h"

namespace bittern::codegen {
namespace {

const Instruction kVex{
    "vpdpbusd.256.vex",          "{vex}\tvpdpbusd", BT_ISA_AVXVNNI, llvm::Intrinsic::x86_avx512_vpdpbusd_256, {},
    meaning::dot_unsigned_signed};
const Instruction kEvex{
    "vpdpbusd.256.evex",         "vpdpbusd", BT_ISA_AVX512VNNI, llvm::Intrinsic::x86_avx512_vpdpbusd_256, {},
    meaning::dot_unsigned_signed};
const Instruction kVpermb{
    "vpermb.512", "vpermb", BT_ISA_AVX512VBMI, llvm::Intrinsic::x86_avx512_permvar_qi_512, {}, meaning::permute_bytes};

template <typename Base>
class VnniIsa : public Base {
 public:
  VnniIsa(FunctionBuilder &f, unsigned lanes, const Instruction &dot) : Base(f, lanes), dot_(dot) {}
  llvm::Type *partial() const override { return this->words(); }
  llvm::Value *accumulate(llvm::Value *sum, llvm::Value *codes, llvm::Value *activations) override {
    llvm::IRBuilder<> &b = this->f_.b;
    return this->in_registers(
        32, dot_, {sum, b.CreateBitCast(codes, this->words()), b.CreateBitCast(activations, this->words())});
  }
  llvm::Value *widen(llvm::Value *sum) override { return sum; }

 private:
  const Instruction &dot_;
};

class Avx512VnniIsa : public VnniIsa<Avx512BwIsa> {
 public:
  using VnniIsa::VnniIsa;
  llvm::Value *look_up_64(llvm::Value *table, llvm::Value *indices) override {
    return codegen::emit(f_, kVpermb, {table, indices});
  }
};

}  // namespace

std::unique_ptr<Isa> make_avx_vnni(FunctionBuilder &f, unsigned lanes) {
  return std::make_unique<VnniIsa<Avx2Isa>>(f, lanes, kVex);
}
std::unique_ptr<Isa> make_avx512_vnni(FunctionBuilder &f, unsigned lanes) {
  return std::make_unique<Avx512VnniIsa>(f, lanes, kEvex);
}

const std::vector<Instruction> &avx_vnni_instructions() {
  static const std::vector<Instruction> rows = {kVex};
  return rows;
}

const std::vector<Instruction> &avx512_vnni_instructions() {
  static const std::vector<Instruction> rows = {kEvex, kVpermb};
  return rows;
}

}  // namespace bittern::codegen
