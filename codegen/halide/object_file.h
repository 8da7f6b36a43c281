// What must be done to the two objects of a kernel before they may travel.
#pragma once
#include <string>
#include <vector>

namespace bittern::codegen::halide {

// The names of symbols that an ELF object refers to and does not define.
std::vector<std::string> undefined_symbols(const std::string &object);

// The object with `hidden` symbols invisible outside the shared object that they are linked into, after renaming each
// `rename` pair (from, to).
std::string rewrite_symbols(const std::string &object, const std::vector<std::pair<std::string, std::string>> &rename,
                            const std::vector<std::string> &hidden);

}  // namespace bittern::codegen::halide
