#include <fmt/format.h>

#include <algorithm>

#include "runtime/tokenizer/piece_model.h"

namespace bittern::runtime {

Fallback::Fallback(const TokenizerSpec &spec, const TokenIds &ids) : unk_(spec.unk), fuse_(spec.fuse_unk) {
  for (size_t byte = 0; byte < bytes_.size(); ++byte) {
    const auto found = ids.find(fmt::format("<0x{:02X}>", byte));
    bytes_[byte] = spec.byte_fallback && found != ids.end() ? found->second : -1;
  }
}

bool Fallback::append(std::string_view text, bool after_unknown, std::vector<int32_t> &out) const {
  const auto id = [&](char c) { return bytes_[static_cast<uint8_t>(c)]; };
  if (std::all_of(text.begin(), text.end(), [&](char c) { return id(c) >= 0; })) {
    std::transform(text.begin(), text.end(), std::back_inserter(out), id);
    return false;
  }
  if (unk_ < 0) return false;
  if (!(after_unknown && fuse_)) out.push_back(unk_);
  return true;
}

}  // namespace bittern::runtime
