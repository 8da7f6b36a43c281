// The table of a kernel pack as constants of an object file, laid out as runtime/abi/kernel_abi.h lays out its structs,
// together with the functions of the weight layouts that its kernels read.
#include <fmt/format.h>
#include <llvm/IR/Constants.h>
#include <llvm/IR/DataLayout.h>
#include <llvm/IR/LLVMContext.h>
#include <llvm/Target/TargetMachine.h>

#include <cstddef>
#include <map>

#include "codegen/backend.h"
#include "codegen/llvm/layout_functions.h"
#include "codegen/llvm/object.h"
#include "compiler/error.h"
#include "schedules/layout.h"

namespace bittern::codegen {
namespace {

using llvm::Constant;

class TableEmitter {
 public:
  TableEmitter(llvm::Module &module, const schedules::Target &baseline)
      : module_(module), context_(module.getContext()), baseline_(baseline) {
    const auto structure = [&](const char *name, std::vector<llvm::Type *> fields) {
      return llvm::StructType::create(context_, fields, name);
    };
    llvm::Type *sizes = llvm::ArrayType::get(i64_, BT_MAX_SIZES);
    layout_type_ = structure("bt_layout", {pointer_, pointer_, i64_, pointer_, pointer_, pointer_});
    kernel_type_ = structure("bt_kernel", {i32_,  i32_, pointer_, pointer_, pointer_, pointer_, pointer_, pointer_,
                                           sizes, i64_, i64_,     i32_,     i32_,     i32_,     i32_,     i32_,
                                           i64_,  i64_, sizes,    pointer_, double_,  double_,  pointer_});
    pack_type_ = structure("bt_pack", {i32_, i32_, pointer_, pointer_});
    check(
        "bt_layout", layout_type_,
        {offsetof(bt_layout, name), offsetof(bt_layout, version), offsetof(bt_layout, row_tile),
         offsetof(bt_layout, packed_bytes), offsetof(bt_layout, pack), offsetof(bt_layout, unpack), sizeof(bt_layout)});
    check("bt_kernel", kernel_type_,
          {offsetof(bt_kernel, abi_version),     offsetof(bt_kernel, isa_needs),    offsetof(bt_kernel, spec),
           offsetof(bt_kernel, spec_hash),       offsetof(bt_kernel, schedule),     offsetof(bt_kernel, backend),
           offsetof(bt_kernel, target),          offsetof(bt_kernel, proof),        offsetof(bt_kernel, fixed),
           offsetof(bt_kernel, m_min),           offsetof(bt_kernel, m_max),        offsetof(bt_kernel, threads),
           offsetof(bt_kernel, size_count),      offsetof(bt_kernel, tensor_count), offsetof(bt_kernel, scalar_count),
           offsetof(bt_kernel, tile_size_index), offsetof(bt_kernel, tile),         offsetof(bt_kernel, scratch_base),
           offsetof(bt_kernel, scratch_per),     offsetof(bt_kernel, layout),       offsetof(bt_kernel, roof_pct),
           offsetof(bt_kernel, instructions),    offsetof(bt_kernel, fn),           sizeof(bt_kernel)});
    check("bt_pack", pack_type_,
          {offsetof(bt_pack, abi_version), offsetof(bt_pack, count), offsetof(bt_pack, generator),
           offsetof(bt_pack, kernels), sizeof(bt_pack)});
  }

  void emit(const std::vector<TableRow> &rows, const std::string &symbol) {
    std::vector<Constant *> kernels;
    for (const TableRow &row : rows) kernels.push_back(kernel(row));
    Constant *list = global(llvm::ConstantArray::get(llvm::ArrayType::get(pointer_, kernels.size()), kernels));
    Constant *pack = llvm::ConstantStruct::get(pack_type_, {i32(BT_ABI_VERSION), i32(static_cast<int64_t>(rows.size())),
                                                            text(fmt::format("bittern {}", BITTERN_VERSION)), list});
    new llvm::GlobalVariable(module_, pack_type_, true, llvm::GlobalValue::ExternalLinkage, pack, symbol);
  }

 private:
  // The C compiler's offsets and LLVM's must be the same, the size last.
  void check(const char *name, llvm::StructType *type, const std::vector<size_t> &offsets) {
    const llvm::StructLayout *layout = module_.getDataLayout().getStructLayout(type);
    bool same = layout->getSizeInBytes() == offsets.back() && type->getNumElements() + 1 == offsets.size();
    for (unsigned i = 0; same && i < type->getNumElements(); ++i)
      same = layout->getElementOffset(i).getFixedValue() == offsets[i];
    if (!same) throw Error(fmt::format("target {}: {} is not laid out as in kernel_abi.h", baseline_.name, name));
  }

  Constant *i32(int64_t value) { return llvm::ConstantInt::getSigned(i32_, value); }
  Constant *i64(int64_t value) { return llvm::ConstantInt::getSigned(i64_, value); }

  Constant *global(Constant *value) {
    return new llvm::GlobalVariable(module_, value->getType(), true, llvm::GlobalValue::PrivateLinkage, value);
  }

  Constant *text(const std::string &value) {
    Constant *&known = texts_[value];
    if (!known) known = global(llvm::ConstantDataArray::getString(context_, value));
    return known;
  }

  Constant *eight(const int64_t (&values)[BT_MAX_SIZES]) {
    return llvm::ConstantDataArray::get(
        context_, llvm::ArrayRef<uint64_t>(reinterpret_cast<const uint64_t *>(values), BT_MAX_SIZES));
  }

  Constant *layout(const std::string &name) {
    if (name.empty()) return llvm::ConstantPointerNull::get(pointer_);
    Constant *&known = layouts_[name];
    if (known) return known;
    const schedules::Layout &found = schedules::find_layout(name);
    const LayoutFunctions functions =
        emit_layout_functions(module_, baseline_, found, "layout." + std::to_string(layouts_.size()));
    known = global(
        llvm::ConstantStruct::get(layout_type_, {text(found.name), text(layout_version(found)), i64(found.row_tile),
                                                 functions.packed_bytes, functions.pack, functions.unpack}));
    return known;
  }

  Constant *kernel(const TableRow &row) {
    const Descriptor &d = row.descriptor;
    llvm::Type *none = llvm::Type::getVoidTy(context_);
    llvm::Constant *function = llvm::cast<Constant>(
        module_.getOrInsertFunction(d.symbol, llvm::FunctionType::get(none, {pointer_}, false)).getCallee());
    return global(llvm::ConstantStruct::get(kernel_type_, {i32(BT_ABI_VERSION),
                                                           i32(d.isa_needs),
                                                           text(d.spec),
                                                           text(d.spec_hash),
                                                           text(d.schedule),
                                                           text(d.backend),
                                                           text(d.target),
                                                           text(row.proof),
                                                           eight(d.fixed),
                                                           i64(d.m_min),
                                                           i64(d.m_max),
                                                           i32(row.threads),
                                                           i32(d.size_count),
                                                           i32(d.tensor_count),
                                                           i32(d.scalar_count),
                                                           i32(d.tile_size_index),
                                                           i64(d.tile),
                                                           i64(d.scratch_base),
                                                           eight(d.scratch_per),
                                                           layout(d.layout),
                                                           llvm::ConstantFP::get(double_, row.roof_pct),
                                                           llvm::ConstantFP::get(double_, d.instructions),
                                                           function}));
  }

  llvm::Module &module_;
  llvm::LLVMContext &context_;
  const schedules::Target &baseline_;
  llvm::IntegerType *i32_ = llvm::Type::getInt32Ty(context_), *i64_ = llvm::Type::getInt64Ty(context_);
  llvm::Type *double_ = llvm::Type::getDoubleTy(context_);
  llvm::PointerType *pointer_ = llvm::PointerType::get(context_, 0);
  llvm::StructType *layout_type_ = nullptr, *kernel_type_ = nullptr, *pack_type_ = nullptr;
  std::map<std::string, Constant *> texts_, layouts_;
};

}  // namespace

std::string emit_pack_table(const std::vector<TableRow> &rows, const std::string &table_symbol,
                            const schedules::Target &baseline) {
  for (const TableRow &row : rows)
    if (row.descriptor.from_meanings && !row.proof.empty())
      throw Error(
          fmt::format("kernel {} is made from meanings, for its proof only: no pack takes it", row.descriptor.symbol));
  llvm::LLVMContext context;
  const std::unique_ptr<llvm::TargetMachine> machine = target_machine(baseline);
  const std::unique_ptr<llvm::Module> module = make_module(context, table_symbol, *machine);
  TableEmitter(*module, baseline).emit(rows, table_symbol);
  optimize(*module, *machine, {});
  const std::string object = emit_object(*module, *machine);
  std::vector<std::string> kernels;
  for (const TableRow &row : rows) kernels.push_back(row.descriptor.symbol);
  check_undefined(object, kernels);
  return object;
}

}  // namespace bittern::codegen
