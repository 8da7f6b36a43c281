// Unicode normal forms, in time n log n whatever the text: a library that sorts combining marks by exchanging
// neighbours needs hours for a megabyte of them.
#pragma once
#include <string>
#include <string_view>

namespace bittern::runtime {

// `text` (valid UTF-8) in NFC, NFD (`compose` false), NFKC or NFKD (`compatibility`).
std::string normal_form(std::string_view text, bool compose, bool compatibility);

}  // namespace bittern::runtime
