// What tells one model file's contents from another's without reading all of it: for keys of the prepacked cache.
#pragma once
#include <string>
#include <string_view>

#include "runtime/io/mapped_file.h"

namespace bittern::runtime {

// A line of path, size, modification time and the hash of `head`, the part of the file that describes the rest.
std::string file_identity(const MappedFile &file, std::string_view head);

}  // namespace bittern::runtime
