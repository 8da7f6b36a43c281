// A JSON string as one of a table's values.
#pragma once
#include <fmt/format.h>

#include <string>

#include "runtime/io/json.h"

namespace bittern::runtime {

// The value of the row {name, value} that `field` names. Throws Error listing the names when there is none.
template <typename Table>
auto choose(const Json &field, const Table &table) {
  const std::string name = field.string();
  std::string known;
  for (const auto &[row_name, value] : table) {
    if (row_name == name) return value;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row_name);
  }
  field.fail(fmt::format("'{}' is not supported (supported: {})", name, known));
}

}  // namespace bittern::runtime
