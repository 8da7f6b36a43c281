// The allocator that Halide's code calls: blocks of the call's scratch memory, one behind the other.
#pragma once
#include <llvm/IR/Module.h>

#include <string>

namespace bittern::codegen::halide {

// An arena is three pointers: its first byte, the next free one, and its end.
inline constexpr uint64_t kArenaCurrent = 8, kArenaEnd = 16, kArenaBytes = 24;

// Defines <symbol>_malloc(arena, bytes) and <symbol>_free(arena, block), hidden.
void define_allocator(llvm::Module &module, const std::string &symbol);

}  // namespace bittern::codegen::halide
