// Names for a message, separated by commas. (fmt::join of fmt 9 trips a false -Wstringop-overflow of g++ 12 at -O3.)
#pragma once
#include <string>

namespace bittern::runtime {

template <typename Range>
std::string join_names(const Range &names) {
  std::string out;
  for (const auto &name : names) {
    if (!out.empty()) out += ", ";
    out += name;
  }
  return out;
}

}  // namespace bittern::runtime
