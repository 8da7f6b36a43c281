// The thunk in LLVM IR. halide_buffer_t is written by offset: this file must not see Halide's headers.
#include <llvm/IR/LLVMContext.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/Transforms/Utils/Cloning.h>

#include "codegen/halide/arena.h"
#include "codegen/halide/pipeline.h"
#include "codegen/llvm/emit_expr.h"
#include "codegen/llvm/object.h"

namespace bittern::codegen::halide {
namespace {

using compiler::Role;
using compiler::Tensor;
using compiler::Type;
using llvm::Value;
using Values = KernelBuilder::Values;

// halide_buffer_t and halide_dimension_t of Halide 21's HalideRuntime.h, 64-bit.
constexpr uint64_t kHost = 16, kDimensions = 36, kDim = 40, kBufferBytes = 56;
constexpr uint64_t kDimExtent = 4, kDimStride = 8, kDimBytes = 16;

class Thunk {
 public:
  Thunk(KernelBuilder &builder, const Plan &plan, const std::string &function, bool allocator)
      : k_(builder), b_(builder.b), plan_(plan), expressions_(builder), allocator_(allocator) {
    callee_ = declare(function);
  }

  void emit() {
    const bool divided = plan_.loops.parallel >= 0;
    tile_ = divided ? k_.tile_range() : std::pair(k_.tile_begin(), k_.tile_end());
    arena_ = b_.CreateIntToPtr(k_.i64(0), b_.getPtrTy());
    if (allocator_) {
      arena_ = k_.local_array(b_.getInt8Ty(), kArenaBytes);
      store(arena_, kArenaEnd, b_.CreateGEP(b_.getInt8Ty(), k_.scratch(), scratch_bytes()));
    }
    for (const Tensor *tensor : k_.spec.arguments()) buffers_.push_back(make_buffer(*tensor));
    k_.when(b_.CreateICmpSLT(tile_.first, tile_.second), [&] {
      loops({});
      for (const Tensor *tensor : k_.spec.arguments())
        if (tensor->role == Role::Out && tensor->pad > 1) zero_padding(plan_.stage_of(*tensor), {});
    });
  }

 private:
  llvm::Function *declare(const std::string &name) {
    std::vector<llvm::Type *> types = {b_.getPtrTy()};
    types.insert(types.end(), k_.spec.sizes.size(), b_.getInt32Ty());
    types.insert(types.end(), k_.spec.scalars.size(), b_.getFloatTy());
    types.insert(types.end(), plan_.outer.size() + plan_.extents.size() + 1, b_.getInt32Ty());
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

  // A halide_buffer_t with its dimensions, innermost first; of outputs those that Halide loops over. Ternary weights
  // are one run of bytes. Halide's code reads the extents of outputs only.
  Value *make_buffer(const Tensor &tensor) {
    const bool output = tensor.role == Role::Out, ternary = tensor.type == Type::Ternary;
    std::vector<size_t> axes;
    if (output) {
      axes = plan_.inner(plan_.stage_of(tensor));
    } else if (ternary) {
      axes = {0};
    } else {
      for (size_t axis = tensor.shape.size(); axis-- > 0;) axes.push_back(axis);
    }
    Value *buffer = k_.local_array(b_.getInt8Ty(), kBufferBytes + axes.size() * kDimBytes);
    b_.CreateMemSet(buffer, b_.getInt8(0), kBufferBytes + axes.size() * kDimBytes, llvm::Align(8));
    store(buffer, kHost, k_.data(tensor.name));
    store(buffer, kDimensions, b_.getInt32(static_cast<uint32_t>(axes.size())));
    store(buffer, kDim, field(buffer, kBufferBytes));
    for (size_t d = 0; d < axes.size(); ++d) {
      const uint64_t at = kBufferBytes + d * kDimBytes;
      Value *extent = ternary ? k_.i64(INT32_MAX) : k_.size_expression(tensor.shape[axes[d]]);
      if (output && plan_.cut(plan_.stage_of(tensor), axes[d])) extent = b_.CreateSub(tile_.second, tile_.first);
      store(buffer, at + kDimExtent, i32(extent));
      store(buffer, at + kDimStride, ternary ? b_.getInt32(1) : i32(k_.stride(tensor.name, axes[d])));
    }
    return buffer;
  }

  void loops(const Bindings &indices) {
    const size_t depth = indices.vars.size();
    if (depth == plan_.outer.size()) return call(indices);
    const Plan::Loop &loop = plan_.outer[depth];
    const auto body = [&](Value *i) { loops(indices.with(loop.var.name, i)); };
    if (loop.tiled) {
      k_.loop(tile_.first, tile_.second, 1, body);
    } else {
      k_.loop(k_.i64(0), expressions_.index(loop.var.extent, indices), 1, body);
    }
  }

  void call(const Bindings &indices) {
    const std::vector<const Tensor *> tensors = k_.spec.arguments();
    for (size_t i = 0; i < tensors.size(); ++i)
      if (tensors[i]->role == Role::Out) store(buffers_[i], kHost, first_element(plan_.stage_of(*tensors[i]), indices));
    if (allocator_) store(arena_, kArenaCurrent, k_.scratch());
    Values arguments = {arena_};
    for (const std::string &size : k_.spec.sizes) arguments.push_back(i32(k_.size(size)));
    for (const std::string &scalar : k_.spec.scalars) arguments.push_back(k_.scalar(scalar));
    for (const Plan::Loop &loop : plan_.outer) arguments.push_back(i32(indices.vars.at(loop.var.name)));
    for (const compiler::ExprPtr &extent : plan_.extents) arguments.push_back(i32(expressions_.index(extent, indices)));
    arguments.push_back(i32(k_.tile_begin()));
    for (const bool outputs : {false, true})
      for (size_t i = 0; i < tensors.size(); ++i)
        if ((tensors[i]->role == Role::Out) == outputs) arguments.push_back(buffers_[i]);
    b_.CreateCall(callee_, arguments);
  }

  // Where the part of an output begins that one call of Halide's function writes.
  Value *first_element(const Stage &stage, const Bindings &indices) {
    Values at(stage.vars.size(), k_.i64(0));
    for (size_t i = 0; i < plan_.outer.size(); ++i) at[stage.order[i]] = indices.vars.at(plan_.outer[i].var.name);
    for (size_t axis = 0; axis < at.size(); ++axis)
      if (plan_.cut(stage, axis)) at[axis] = tile_.first;
    return k_.address(stage.tensor->name, at);
  }

  // From each row's end to the next multiple of the padding; the tile that has the row's end writes it.
  void zero_padding(const Stage &stage, const Values &indices) {
    const size_t axis = indices.size();
    const Tensor &tensor = *stage.tensor;
    Value *extent = k_.size_expression(tensor.shape[axis]);
    const bool tiled = stage.tiled == static_cast<int>(axis);
    Values next = indices;
    next.push_back(extent);
    if (axis + 1 == tensor.shape.size()) {
      Value *missing = b_.CreateSub(k_.round_up(extent, tensor.pad), extent);
      Value *bytes = b_.CreateMul(missing, k_.i64(compiler::type_bytes(tensor.type)));
      k_.when(tiled ? b_.CreateICmpEQ(tile_.second, extent) : b_.getTrue(),
              [&] { b_.CreateMemSet(k_.address(tensor.name, next), b_.getInt8(0), bytes, llvm::Align(1)); });
      return;
    }
    k_.loop(tiled ? tile_.first : k_.i64(0), tiled ? tile_.second : extent, 1, [&](Value *i) {
      next.back() = i;
      zero_padding(stage, next);
    });
  }

  KernelBuilder &k_;
  llvm::IRBuilder<> &b_;
  const Plan &plan_;
  ExprEmitter expressions_;
  const bool allocator_;
  llvm::Function *callee_ = nullptr;
  std::pair<Value *, Value *> tile_;
  Value *arena_ = nullptr;
  Values buffers_;
};

}  // namespace

Code make_thunk(const Request &request, const Plan &plan, Descriptor &descriptor, const std::string &function,
                bool allocator) {
  llvm::LLVMContext context;
  const std::unique_ptr<llvm::TargetMachine> machine = target_machine(request.target);
  const std::unique_ptr<llvm::Module> module = make_module(context, request.symbol, *machine);
  KernelBuilder builder(request, *module, descriptor);
  Thunk(builder, plan, function, allocator).emit();
  builder.b.CreateRetVoid();
  if (allocator) define_allocator(*module, request.symbol);
  optimize(*module, *machine, builder.passes);
  Code code;
  if (request.want_assembly) code.assembly = emit_assembly(*llvm::CloneModule(*module), *machine);
  code.object = emit_object(*module, *machine);
  return code;
}

}  // namespace bittern::codegen::halide
