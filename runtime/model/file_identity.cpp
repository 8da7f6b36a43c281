#include "runtime/model/file_identity.h"

#include <fmt/format.h>
#include <sodium.h>

#include <array>

namespace bittern::runtime {

std::string sha256_hex(std::string_view bytes) {
  std::array<unsigned char, crypto_hash_sha256_BYTES> hash;
  crypto_hash_sha256(hash.data(), reinterpret_cast<const unsigned char *>(bytes.data()), bytes.size());
  std::string out;
  for (const unsigned char byte : hash) out += fmt::format("{:02x}", byte);
  return out;
}

std::string file_identity(const MappedFile &file, std::string_view head) {
  return fmt::format("{} size={} mtime={} header={}\n", file.path(), file.size(), file.modified_ns(), sha256_hex(head));
}

}  // namespace bittern::runtime
