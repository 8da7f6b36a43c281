// Arguments are loaded once at the function's entry, following runtime/abi/kernel_abi.h; what a body does not use,
// LLVM drops.
#include "codegen/llvm/kernel_builder.h"

#include <fmt/format.h>
#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/MDBuilder.h>

#include <cstddef>

#include "compiler/error.h"

namespace bittern::codegen {

using compiler::ExprPtr;
using compiler::Op;
using llvm::Value;

namespace {

llvm::FunctionType *kernel_type(llvm::Module &module) {
  llvm::LLVMContext &context = module.getContext();
  return llvm::FunctionType::get(llvm::Type::getVoidTy(context), {llvm::PointerType::get(context, 0)}, false);
}

}  // namespace

KernelBuilder::KernelBuilder(const Request &request_, llvm::Module &module_, Descriptor &descriptor_)
    : FunctionBuilder(module_, request_.target, request_.symbol, kernel_type(module_),
                      llvm::GlobalValue::ExternalLinkage, request_.meanings_on),
      request(request_),
      spec(request_.spec),
      descriptor(descriptor_) {
  llvm::LLVMContext &context = module.getContext();
  llvm::Type *pointer = b.getPtrTy();
  Value *args = function->getArg(0);
  const auto field = [&](llvm::Type *type, Value *base, size_t offset) -> Value * {
    return load_constant_argument(type, b.CreateConstInBoundsGEP1_64(b.getInt8Ty(), base, offset), 8);
  };
  Value *tensors = field(pointer, args, offsetof(bt_args, tensors));
  Value *sizes = field(pointer, args, offsetof(bt_args, sizes));
  Value *scalars = field(pointer, args, offsetof(bt_args, scalars));
  tile_begin_ = field(b.getInt64Ty(), args, offsetof(bt_args, tile_begin));
  tile_end_ = field(b.getInt64Ty(), args, offsetof(bt_args, tile_end));
  scratch_ = field(pointer, args, offsetof(bt_args, scratch));

  for (size_t i = 0; i < spec.sizes.size(); ++i) {
    const auto fixed = request.fixed.find(spec.sizes[i]);
    Value *value = nullptr;
    if (fixed != request.fixed.end()) {
      value = i64(fixed->second);
    } else {
      auto *load = llvm::cast<llvm::LoadInst>(field(b.getInt64Ty(), sizes, i * sizeof(int64_t)));
      load->setMetadata(llvm::LLVMContext::MD_range,
                        llvm::MDBuilder(context).createRange(llvm::APInt(64, 0), llvm::APInt(64, uint64_t{1} << 31)));
      value = load;
    }
    sizes_.emplace_back(spec.sizes[i], value);
  }
  for (size_t i = 0; i < spec.scalars.size(); ++i) {
    Value *slot = b.CreateConstInBoundsGEP1_64(b.getFloatTy(), scalars, i);
    scalars_.emplace_back(spec.scalars[i], load_constant_argument(b.getFloatTy(), slot, 4));
  }
  size_t index = 0;
  for (const compiler::Tensor *tensor : spec.arguments()) {
    const size_t base = index++ * sizeof(bt_tensor);
    Argument argument{tensor->name, field(pointer, tensors, base + offsetof(bt_tensor, data)), {}};
    if (tensor->type != compiler::Type::Ternary) {
      for (size_t d = 0; d + 1 < tensor->shape.size(); ++d)
        argument.strides.push_back(
            field(b.getInt64Ty(), tensors, base + offsetof(bt_tensor, stride) + d * sizeof(int64_t)));
      if (!tensor->shape.empty()) argument.strides.push_back(i64(1));
    }
    arguments_.push_back(std::move(argument));
  }
}

llvm::LoadInst *KernelBuilder::load_constant_argument(llvm::Type *type, Value *pointer, uint64_t alignment) {
  llvm::LoadInst *load = b.CreateAlignedLoad(type, pointer, llvm::Align(alignment));
  load->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(module.getContext(), {}));
  return load;
}

namespace {

Value *find(const std::vector<std::pair<std::string, Value *>> &values, const std::string &name, const char *what) {
  for (const auto &[known, value] : values)
    if (known == name) return value;
  throw Error(fmt::format("the kernel has no {} named {}", what, name));
}

}  // namespace

Value *KernelBuilder::size(const std::string &name) const { return find(sizes_, name, "size"); }
Value *KernelBuilder::scalar(const std::string &name) const { return find(scalars_, name, "scalar"); }

const KernelBuilder::Argument &KernelBuilder::argument(const std::string &tensor) const {
  for (const Argument &candidate : arguments_)
    if (candidate.name == tensor) return candidate;
  throw Error(fmt::format("the kernel has no argument named {}", tensor));
}

Value *KernelBuilder::data(const std::string &tensor) const { return argument(tensor).data; }
Value *KernelBuilder::stride(const std::string &tensor, size_t dimension) const {
  return argument(tensor).strides.at(dimension);
}

Value *KernelBuilder::size_expression(const ExprPtr &e) {
  const auto operand = [&](size_t i) { return size_expression(e->args.at(i)); };
  switch (e->op) {
    case Op::IntConst:
      return i64(e->ival);
    case Op::Size:
      return size(e->name);
    case Op::Add:
      return b.CreateAdd(operand(0), operand(1));
    case Op::Sub:
      return b.CreateSub(operand(0), operand(1));
    case Op::Mul:
      return b.CreateMul(operand(0), operand(1));
    case Op::Div:
      return b.CreateUDiv(operand(0), operand(1));  // sizes and their parts are not negative
    case Op::Mod:
      return b.CreateURem(operand(0), operand(1));
    case Op::Min:
      return minimum(operand(0), operand(1));
    case Op::Max: {
      Value *x = operand(0), *y = operand(1);
      return b.CreateSelect(b.CreateICmpSGT(x, y), x, y);
    }
    default:
      throw Error(fmt::format("kernel {}: not an expression of sizes", spec.name));
  }
}

std::pair<Value *, Value *> KernelBuilder::tile_range() {
  Value *whole = size(spec.sizes.at(static_cast<size_t>(descriptor.tile_size_index)));
  Value *tile = i64(descriptor.tile);
  return {b.CreateMul(tile_begin_, tile), minimum(b.CreateMul(tile_end_, tile), whole)};
}

Value *KernelBuilder::address(const std::string &tensor, const Values &indices) {
  const Argument &found = argument(tensor);
  Value *offset = i64(0);
  for (size_t d = 0; d < indices.size(); ++d)
    offset = b.CreateAdd(offset, b.CreateMul(indices[d], found.strides.at(d), "", false, true), "", false, true);
  return b.CreateGEP(b.getIntNTy(static_cast<unsigned>(compiler::type_bytes(spec.find(tensor)->type)) * 8), found.data,
                     offset);
}

}  // namespace bittern::codegen
