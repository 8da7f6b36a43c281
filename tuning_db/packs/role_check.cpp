#include "tuning_db/packs/role_check.h"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/error.h"
#include "compiler/library.h"
#include "compiler/printer.h"
#include "compiler/token_size.h"

namespace bittern::tuning {
namespace {

// The first difference of two lists, as "what 2 is 'x', in the text 'y'".
std::string difference(const char *what, const std::vector<std::string> &row, const std::vector<std::string> &text) {
  for (size_t i = 0; i < std::max(row.size(), text.size()); ++i) {
    const std::string here = i < row.size() ? row[i] : "missing", there = i < text.size() ? text[i] : "missing";
    if (here != there) return fmt::format("{} {} is '{}', in the text '{}'", what, i + 1, here, there);
  }
  return {};
}

}  // namespace

std::string role_mismatch(const runtime::RoleInfo &role, const compiler::KernelSpec &spec) {
  std::vector<std::string> arguments;
  for (const compiler::Tensor *tensor : spec.arguments()) arguments.push_back(compiler::print_declaration(*tensor));
  for (const std::string &found :
       {difference("argument", role.arguments, arguments), difference("size", role.sizes, spec.sizes),
        difference("scalar", role.scalar_names, spec.scalars),
        difference("size that counts tokens, number", {role.sizes.front()}, {compiler::token_size(spec)}),
        difference("name", {role.spec}, {spec.name}),
        // After checking what is passed, the new hash goes into spec_hashes.inc.
        difference("hash", {role.spec_hash}, {compiler::spec_hash(spec)})})
    if (!found.empty()) return found;
  return {};
}

void check_roles() {
  for (int i = 0; i < static_cast<int>(runtime::Role::Count); ++i) {
    const runtime::RoleInfo &role = runtime::role_info(static_cast<runtime::Role>(i));
    const std::string found = role_mismatch(role, compiler::builtin_kernel(role.spec));
    if (static_cast<int>(role.role) != i)
      throw Error(
          fmt::format("runtime/kernels/roles.cpp: the row of {} does not stand at its role's place", role.spec));
    if (!found.empty()) throw Error(fmt::format("runtime/kernels/roles.cpp, row of {}: {}", role.spec, found));
  }
}

}  // namespace bittern::tuning
