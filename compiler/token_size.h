// Which size of a kernel counts tokens: the one that changes from call to call while weights stay what they are. A
// kernel is made for a range of it, all its other sizes may be constants.
#pragma once
#include <string>

#include "compiler/ir.h"

namespace bittern::compiler {

// The name of the size that counts tokens; empty when none does. What the text declares (`tokens M`, `tokens none`),
// else what follows from shapes: the size that every output has as an extent, that some tensor of the caller's has
// before its last dimension, and that no ternary operand and no `require` mentions; where several are so, the one that
// comes first in the outputs. Names do not matter. For example M of Y[M, N], A[M, K], W : ternary[N, K].
std::string token_size(const KernelSpec &spec);

// Whether an expression mentions the size; false for an empty name.
bool mentions_size(const ExprPtr &expression, const std::string &size);

// Whether a tensor's shape mentions the size that counts tokens: it is as long as there are tokens, unlike weights.
bool grows_with_tokens(const Tensor &tensor, const std::string &tokens);

}  // namespace bittern::compiler
