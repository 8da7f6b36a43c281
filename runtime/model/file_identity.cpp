#include "runtime/model/file_identity.h"

#include <fmt/format.h>

#include "runtime/io/sha256.h"

namespace bittern::runtime {

std::string file_identity(const MappedFile &file, std::string_view head) {
  return fmt::format("{} size={} mtime={} header={}\n", file.path(), file.size(), file.modified_ns(), sha256_hex(head));
}

}  // namespace bittern::runtime
