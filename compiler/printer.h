// IR to canonical text: self-contained (functions included), every extent explicit, one form for one meaning, so that
// the text's hash names the kernel. parse_kernel(print_kernel(x)) equals x.
#pragma once
#include <string>

#include "compiler/ir.h"

namespace bittern::compiler {

std::string print_kernel(const KernelSpec &spec);

// How the text declares an argument of the kernel, for example "in A : i8[M, K] pad 64".
std::string print_declaration(const Tensor &argument);

// One expression, as it would stand in a kernel's text; for messages.
std::string print_expr(const ExprPtr &expr);

// SHA-256 (hex) of the canonical text.
std::string spec_hash(const KernelSpec &spec);

// Structural equality of everything but locations.
bool equal(const KernelSpec &a, const KernelSpec &b);

}  // namespace bittern::compiler
