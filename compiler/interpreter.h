// The reference: executes a kernel's IR as written, one definition after the other, each element once. Every proof
// compares with what this computes.
#pragma once
#include <map>
#include <string>

#include "compiler/ir.h"
#include "compiler/tensor_data.h"

namespace bittern::compiler {

// What to do with `given` tensors: hold what the caller passes against the definition, or fill them in.
enum class Givens { Check, Compute };

// Reads the inputs (and, when checking, the givens) from `tensors` by name and writes every output there, replacing
// what was under its name. Throws Error naming the kernel, tensor and index when: sizes do not satisfy the kernel, a
// tensor is missing or has another type or shape, an input lies outside its declared range (ternary: -1 .. 1), a given
// differs from its definition, an index leaves its tensor, an i32 sum or a conversion leaves its type's range.
void interpret(const KernelSpec &spec, const Sizes &sizes, const std::map<std::string, float> &scalars,
               std::map<std::string, TensorData> &tensors, Givens givens = Givens::Check);

}  // namespace bittern::compiler
