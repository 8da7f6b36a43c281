// The runtime's table of roles against the kernel texts: the engine passes arguments by position, so a row that says
// something else than its text is found where the default kernels are made, before anything runs.
#pragma once
#include <string>

#include "compiler/ir.h"
#include "runtime/kernels/roles.h"

namespace bittern::tuning {

// What the row says otherwise than the text: hash, sizes, scalars, or the declaration (name, type, rank, order) of a
// tensor. Empty when nothing.
std::string role_mismatch(const runtime::RoleInfo &role, const compiler::KernelSpec &spec);

// Throws Error for the first role whose row and built-in text differ.
void check_roles();

}  // namespace bittern::tuning
