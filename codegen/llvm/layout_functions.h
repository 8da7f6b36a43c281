// The generated packed_bytes, pack and unpack of a weight layout, from its description alone: they travel with the
// kernels of a pack, so that a runtime knows no layout by name.
#pragma once
#include <llvm/IR/Module.h>

#include <string>

#include "schedules/layout.h"
#include "schedules/target.h"

namespace bittern::codegen {

// Functions of a bt_layout, internal to the module.
struct LayoutFunctions {
  llvm::Function *packed_bytes, *pack, *unpack;
};

// Throws Error when no digit of the layout fills a byte with fields narrower than it. `prefix` keeps the names apart.
LayoutFunctions emit_layout_functions(llvm::Module &module, const schedules::Target &target,
                                      const schedules::Layout &layout, const std::string &prefix);

// The description as text: what bt_layout calls the version.
std::string layout_version(const schedules::Layout &layout);

}  // namespace bittern::codegen
