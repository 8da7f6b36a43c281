// Numbers that are linear in the size parameters: what a descriptor can promise of scratch memory, and upper bounds of
// index expressions in that form.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "codegen/backend.h"
#include "compiler/ir.h"

namespace bittern::codegen {

// constant + sum of coefficient * size.
struct Linear {
  int64_t constant = 0;
  std::map<std::string, int64_t> sizes;
};

// a + sign * b, and a * b where one of them is constant; nothing when either is nothing or the product is not linear.
std::optional<Linear> combine(const std::optional<Linear> &a, const std::optional<Linear> &b, int64_t sign);
std::optional<Linear> product(const std::optional<Linear> &a, const std::optional<Linear> &b);

// An upper bound of a non-negative index expression of sizes (`fixed` ones are constants), ranged tensors and the index
// variables `vars`; nothing when none is linear.
std::optional<Linear> upper_bound(const compiler::KernelSpec &spec, const compiler::Sizes &fixed,
                                  const std::vector<compiler::IndexVar> &vars, const compiler::ExprPtr &e);

// Adds `elements` of `bytes` each, and `spare` bytes, to the scratch memory that the kernel asks for.
void promise_scratch(const compiler::KernelSpec &spec, const Linear &elements, int64_t bytes, int64_t spare,
                     Descriptor &descriptor);

}  // namespace bittern::codegen
