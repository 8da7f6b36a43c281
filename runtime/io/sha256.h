// SHA-256 as text: names of cache entries, hashes in manifests, identities of model files.
#pragma once
#include <string>
#include <string_view>

namespace bittern::runtime {

// 64 lowercase hexadecimal digits.
std::string sha256_hex(std::string_view bytes);

}  // namespace bittern::runtime
