// Whole files in and out, as the tuner and its workers pass objects and libraries to one another.
#pragma once
#include <string>

namespace bittern::tuning {

// Throws Error that names the file.
std::string read_file(const std::string &path);
// Under its name at once or not at all: workers may have an older file of this name mapped. Throws Error.
void write_file(const std::string &path, const std::string &bytes);

}  // namespace bittern::tuning
