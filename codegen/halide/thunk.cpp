// The thunk in LLVM IR. halide_buffer_t is written by offset: this file must not see Halide's headers.
#include "codegen/halide/thunk.h"

#include <fmt/format.h>
#include <llvm/IR/LLVMContext.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/Transforms/Utils/Cloning.h>

#include "codegen/llvm/kernel_builder.h"
#include "codegen/llvm/object.h"
#include "compiler/error.h"
#include "compiler/printer.h"

namespace bittern::codegen::halide {
namespace {

using compiler::Op;
using compiler::Role;
using compiler::Type;
using llvm::Value;
using Values = KernelBuilder::Values;

// halide_buffer_t and halide_dimension_t of Halide 21's HalideRuntime.h, 64-bit.
constexpr uint64_t kHost = 16, kDimensions = 36, kDim = 40, kBufferBytes = 56;
constexpr uint64_t kDimExtent = 4, kDimStride = 8, kDimBytes = 16;
// The arena: base, current, end; and what stands before each block.
constexpr uint64_t kArenaBase = 0, kArenaCurrent = 8, kArenaEnd = 16, kArenaBytes = 24, kBlockHeader = 64;

class Thunk {
 public:
  Thunk(KernelBuilder &builder, const Structure &structure, const std::string &function, bool allocator)
      : k_(builder), b_(builder.b), structure_(structure), allocator_(allocator) {
    callee_ = declare(function);
  }

  void emit() {
    if (structure_.parallel >= 0) {
      std::tie(first_, last_) = k_.tile_range();
    } else {
      first_ = k_.tile_begin();
      last_ = k_.tile_end();
    }
    arena_ = b_.CreateIntToPtr(k_.i64(0), b_.getPtrTy());
    if (allocator_) {
      arena_ = k_.local_array(b_.getInt8Ty(), kArenaBytes);
      store(arena_, kArenaBase, k_.scratch());
      store(arena_, kArenaEnd, b_.CreateGEP(b_.getInt8Ty(), k_.scratch(), scratch_bytes()));
    }
    for (const compiler::Tensor *tensor : k_.spec.arguments()) buffers_.push_back(make_buffer(*tensor));
    k_.when(b_.CreateICmpSLT(first_, last_), [&] { loops({}); });
  }

 private:
  llvm::Function *declare(const std::string &name) {
    std::vector<llvm::Type *> types = {b_.getPtrTy()};
    types.insert(types.end(), k_.spec.sizes.size(), b_.getInt32Ty());
    types.insert(types.end(), k_.spec.scalars.size(), b_.getFloatTy());
    types.insert(types.end(), structure_.prefix + structure_.extents.size() + 1, b_.getInt32Ty());
    types.insert(types.end(), k_.spec.arguments().size(), b_.getPtrTy());
    auto *callee = llvm::Function::Create(llvm::FunctionType::get(b_.getInt32Ty(), types, false),
                                          llvm::Function::ExternalLinkage, name, k_.module);
    callee->setVisibility(llvm::GlobalValue::HiddenVisibility);
    return callee;
  }

  Value *field(Value *object, uint64_t offset) { return b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), object, offset); }
  void store(Value *object, uint64_t offset, Value *value) {
    b_.CreateAlignedStore(value, field(object, offset), llvm::Align(value->getType()->isIntegerTy(32) ? 4 : 8));
  }
  Value *i32(Value *value) { return b_.CreateTrunc(value, b_.getInt32Ty()); }

  // Bytes of scratch that the descriptor asks the caller for.
  Value *scratch_bytes() {
    Value *bytes = k_.i64(k_.descriptor.scratch_base);
    for (size_t i = 0; i < k_.spec.sizes.size(); ++i)
      if (k_.descriptor.scratch_per[i])
        bytes = b_.CreateAdd(bytes, b_.CreateMul(k_.i64(k_.descriptor.scratch_per[i]), k_.size(k_.spec.sizes[i])));
    return bytes;
  }

  // A halide_buffer_t with its dimensions, innermost first. Ternary weights are one run of bytes. Halide's code reads
  // the extents of outputs only.
  Value *make_buffer(const compiler::Tensor &tensor) {
    const bool output = tensor.role == Role::Out, ternary = tensor.type == Type::Ternary;
    const size_t skipped = output ? structure_.prefix : 0;
    const size_t rank = ternary ? 1 : tensor.shape.size() - skipped;
    Value *buffer = k_.local_array(b_.getInt8Ty(), kBufferBytes + rank * kDimBytes);
    b_.CreateMemSet(buffer, b_.getInt8(0), kBufferBytes + rank * kDimBytes, llvm::Align(8));
    Value *host = k_.data(tensor.name);
    store(buffer, kDimensions, b_.getInt32(static_cast<uint32_t>(rank)));
    store(buffer, kDim, field(buffer, kBufferBytes));
    for (size_t d = 0; d < rank; ++d) {
      const size_t axis = tensor.shape.size() - 1 - d;  // of the tensor as declared
      const uint64_t at = kBufferBytes + d * kDimBytes;
      Value *extent = ternary ? k_.i64(INT32_MAX) : k_.size_expression(tensor.shape[axis]);
      if (output && structure_.prefix == 0 && static_cast<int>(axis) == structure_.parallel) {
        extent = b_.CreateSub(last_, first_);
        host = advance(tensor, host, axis, first_);
      }
      store(buffer, at + kDimExtent, i32(extent));
      store(buffer, at + kDimStride, ternary ? b_.getInt32(1) : i32(k_.stride(tensor.name, axis)));
    }
    store(buffer, kHost, host);
    return buffer;
  }

  Value *advance(const compiler::Tensor &tensor, Value *host, size_t axis, Value *index) {
    Value *elements = b_.CreateMul(index, k_.stride(tensor.name, axis));
    return b_.CreateGEP(b_.getInt8Ty(), host, b_.CreateMul(elements, k_.i64(compiler::type_bytes(tensor.type))));
  }

  void loops(const Values &indices) {
    if (indices.size() == structure_.prefix) {
      call(indices);
      return;
    }
    const auto body = [&](Value *i) {
      Values next = indices;
      next.push_back(i);
      loops(next);
    };
    const size_t position = indices.size();
    if (static_cast<int>(position) == structure_.parallel) {
      k_.loop(first_, last_, 1, body);
    } else {
      k_.loop(k_.i64(0), k_.size_expression(structure_.definitions.front()->vars[position].extent), 1, body);
    }
  }

  void call(const Values &indices) {
    const std::vector<const compiler::Tensor *> tensors = k_.spec.arguments();
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (tensors[i]->role != Role::Out || indices.empty()) continue;
      Value *host = k_.data(tensors[i]->name);
      for (size_t axis = 0; axis < indices.size(); ++axis) host = advance(*tensors[i], host, axis, indices[axis]);
      store(buffers_[i], kHost, host);
      if (tensors[i]->pad > 1) zero_padding(*tensors[i], host);
    }
    if (allocator_) store(arena_, kArenaCurrent, k_.scratch());
    Values arguments = {arena_};
    for (const std::string &size : k_.spec.sizes) arguments.push_back(i32(k_.size(size)));
    for (const std::string &scalar : k_.spec.scalars) arguments.push_back(k_.scalar(scalar));
    for (Value *index : indices) arguments.push_back(i32(index));
    for (const compiler::ExprPtr &extent : structure_.extents) arguments.push_back(i32(evaluate(extent, indices)));
    arguments.push_back(i32(k_.tile_begin()));
    for (const bool outputs : {false, true})
      for (size_t i = 0; i < tensors.size(); ++i)
        if ((tensors[i]->role == Role::Out) == outputs) arguments.push_back(buffers_[i]);
    b_.CreateCall(callee_, arguments);
  }

  // An extent that depends on the indices through i32 inputs, as i64.
  Value *evaluate(const compiler::ExprPtr &e, const Values &indices) {
    const auto operand = [&](size_t i) { return evaluate(e->args[i], indices); };
    switch (e->op) {
      case Op::Var:
        return indices.at(std::stoul(e->name));
      case Op::Load: {
        Values at;
        for (const compiler::ExprPtr &index : e->args) at.push_back(evaluate(index, indices));
        Value *loaded = b_.CreateAlignedLoad(b_.getInt32Ty(), k_.address(e->name, at), llvm::Align(1));
        return b_.CreateSExt(loaded, b_.getInt64Ty());
      }
      case Op::Add:
        return b_.CreateAdd(operand(0), operand(1));
      case Op::Sub:
        return b_.CreateSub(operand(0), operand(1));
      case Op::Mul:
        return b_.CreateMul(operand(0), operand(1));
      case Op::Min:
        return k_.minimum(operand(0), operand(1));
      case Op::IntConst:
      case Op::Size:
        return k_.size_expression(e);
      default:
        throw Error(fmt::format("Halide's thunk cannot compute the extent {}", compiler::print_expr(e)));
    }
  }

  // From the row's end to the next multiple of the padding.
  void zero_padding(const compiler::Tensor &tensor, Value *row) {
    Value *length = k_.size_expression(tensor.shape.back());
    Value *end = b_.CreateMul(b_.CreateUDiv(b_.CreateAdd(length, k_.i64(tensor.pad - 1)), k_.i64(tensor.pad)),
                              k_.i64(tensor.pad));
    const int64_t bytes = compiler::type_bytes(tensor.type);
    Value *from = b_.CreateGEP(b_.getInt8Ty(), row, b_.CreateMul(length, k_.i64(bytes)));
    b_.CreateMemSet(from, b_.getInt8(0), b_.CreateMul(b_.CreateSub(end, length), k_.i64(bytes)), llvm::Align(1));
  }

  KernelBuilder &k_;
  llvm::IRBuilder<> &b_;
  const Structure &structure_;
  const bool allocator_;
  llvm::Function *callee_ = nullptr;
  Value *first_ = nullptr, *last_ = nullptr, *arena_ = nullptr;
  Values buffers_;
};

// void *malloc(void *arena, size_t bytes): the next 64-byte-aligned block of the scratch. The sizes were bounded when
// the kernel was compiled; should a bound ever be wrong, the call stops instead of writing elsewhere.
void define_malloc(llvm::Module &module, const std::string &name) {
  llvm::IRBuilder<> b(module.getContext());
  llvm::Type *i64 = b.getInt64Ty(), *pointer = b.getPtrTy(), *byte = b.getInt8Ty();
  auto *function = llvm::Function::Create(llvm::FunctionType::get(pointer, {pointer, i64}, false),
                                          llvm::Function::ExternalLinkage, name, module);
  function->setVisibility(llvm::GlobalValue::HiddenVisibility);
  auto *entry = llvm::BasicBlock::Create(module.getContext(), "entry", function);
  auto *fits = llvm::BasicBlock::Create(module.getContext(), "fits", function);
  auto *overflow = llvm::BasicBlock::Create(module.getContext(), "overflow", function);
  b.SetInsertPoint(entry);
  Value *arena = function->getArg(0);
  Value *rounded = b.CreateAnd(b.CreateAdd(function->getArg(1), b.getInt64(63)), b.getInt64(~uint64_t{63}));
  Value *current_slot = b.CreateConstGEP1_64(byte, arena, kArenaCurrent);
  Value *block = b.CreateConstGEP1_64(byte, b.CreateLoad(pointer, current_slot), kBlockHeader);
  Value *next = b.CreateGEP(byte, block, rounded);
  Value *end = b.CreateLoad(pointer, b.CreateConstGEP1_64(byte, arena, kArenaEnd));
  b.CreateCondBr(b.CreateICmpULE(next, end), fits, overflow);
  b.SetInsertPoint(overflow);
  b.CreateIntrinsic(llvm::Intrinsic::trap, {}, {});
  b.CreateUnreachable();
  b.SetInsertPoint(fits);
  b.CreateStore(next, current_slot);
  b.CreateStore(next, b.CreateConstGEP1_64(byte, block, -static_cast<int64_t>(kBlockHeader)));
  b.CreateRet(block);
}

// void free(void *arena, void *block): gives the block back when it is the last one; the rest goes with the call.
void define_free(llvm::Module &module, const std::string &name) {
  llvm::IRBuilder<> b(module.getContext());
  llvm::Type *pointer = b.getPtrTy(), *byte = b.getInt8Ty();
  auto *function = llvm::Function::Create(llvm::FunctionType::get(b.getVoidTy(), {pointer, pointer}, false),
                                          llvm::Function::ExternalLinkage, name, module);
  function->setVisibility(llvm::GlobalValue::HiddenVisibility);
  b.SetInsertPoint(llvm::BasicBlock::Create(module.getContext(), "entry", function));
  Value *current_slot = b.CreateConstGEP1_64(byte, function->getArg(0), kArenaCurrent);
  Value *current = b.CreateLoad(pointer, current_slot);
  Value *header = b.CreateConstGEP1_64(byte, function->getArg(1), -static_cast<int64_t>(kBlockHeader));
  Value *is_last = b.CreateICmpEQ(b.CreateLoad(pointer, header), current);
  b.CreateStore(b.CreateSelect(is_last, header, current), current_slot);
  b.CreateRetVoid();
}

}  // namespace

ThunkCode make_thunk(const Request &request, const Structure &structure, Descriptor &descriptor,
                     const std::string &function, bool allocator) {
  llvm::LLVMContext context;
  const std::unique_ptr<llvm::TargetMachine> machine = target_machine(request.target);
  const std::unique_ptr<llvm::Module> module = make_module(context, request.symbol, *machine);
  KernelBuilder builder(request, *module, descriptor);
  Thunk(builder, structure, function, allocator).emit();
  builder.b.CreateRetVoid();
  if (allocator) {
    define_malloc(*module, request.symbol + "_malloc");
    define_free(*module, request.symbol + "_free");
  }
  optimize(*module, *machine, builder.passes);
  ThunkCode code;
  if (request.want_assembly) code.assembly = emit_assembly(*llvm::CloneModule(*module), *machine);
  code.object = emit_object(*module, *machine);
  return code;
}

}  // namespace bittern::codegen::halide
