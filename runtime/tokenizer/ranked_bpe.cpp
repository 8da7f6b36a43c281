// BPE whose merges have ranks: over bytes (GPT-2, Llama-3, Qwen) or over characters (Llama-2 and Gemma as
// tokenizer.json writes them).
#include <fmt/format.h>

#include <algorithm>

#include "runtime/error.h"
#include "runtime/io/utf8.h"
#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/merges.h"
#include "runtime/tokenizer/piece_model.h"

namespace bittern::runtime {
namespace {

Merges merges_of(const TokenizerSpec &spec) {
  Merges merges(spec.merges.size());
  for (const TokenizerSpec::Merge &merge : spec.merges) merges.add(merge.left, merge.right, merge.merged);
  return merges;
}

class ByteLevelBpe : public PieceModel {
 public:
  ByteLevelBpe(const TokenizerSpec &spec, const TokenIds &ids)
      : ids_(&ids), merges_(merges_of(spec)), ignore_merges_(spec.ignore_merges) {
    for (size_t byte = 0; byte < bytes_.size(); ++byte) {
      const std::string text = byte_level_encode(std::string(1, static_cast<char>(static_cast<uint8_t>(byte))));
      const auto found = ids.find(text);
      if (found == ids.end()) throw Error(fmt::format("no token for the byte 0x{:02x} ('{}')", byte, text));
      bytes_[byte] = found->second;
    }
  }

  void encode(std::string_view piece, std::vector<int32_t> &out) const override {
    if (ignore_merges_) {
      if (const auto whole = ids_->find(byte_level_encode(piece)); whole != ids_->end()) {
        out.push_back(whole->second);
        return;
      }
    }
    std::vector<int32_t> ids(piece.size());
    std::transform(piece.begin(), piece.end(), ids.begin(), [&](char c) { return bytes_[static_cast<uint8_t>(c)]; });
    merges_.apply(ids);
    out.insert(out.end(), ids.begin(), ids.end());
  }

 private:
  const TokenIds *ids_;
  Merges merges_;
  std::array<int32_t, 256> bytes_{};
  bool ignore_merges_;
};

class CharacterBpe : public PieceModel {
 public:
  CharacterBpe(const TokenizerSpec &spec, const TokenIds &ids)
      : ids_(&ids), merges_(merges_of(spec)), fallback_(spec, ids), ignore_merges_(spec.ignore_merges) {}

  void encode(std::string_view piece, std::vector<int32_t> &out) const override {
    if (ignore_merges_) {
      if (const auto whole = ids_->find(piece); whole != ids_->end()) {
        out.push_back(whole->second);
        return;
      }
    }
    std::vector<int32_t> ids;
    bool unknown = false;
    for (size_t i = 0; i < piece.size();) {
      const std::string_view character = piece.substr(i, utf8_step(piece.substr(i)).length);
      i += character.size();
      const auto found = ids_->find(character);
      if (found != ids_->end()) ids.push_back(found->second);
      unknown = found == ids_->end() && fallback_.append(character, unknown, ids);
    }
    merges_.apply(ids);
    out.insert(out.end(), ids.begin(), ids.end());
  }

 private:
  const TokenIds *ids_;
  Merges merges_;
  Fallback fallback_;
  bool ignore_merges_;
};

}  // namespace

std::unique_ptr<PieceModel> make_byte_level_bpe(const TokenizerSpec &spec, const TokenIds &ids) {
  return std::make_unique<ByteLevelBpe>(spec, ids);
}

std::unique_ptr<PieceModel> make_character_bpe(const TokenizerSpec &spec, const TokenIds &ids) {
  return std::make_unique<CharacterBpe>(spec, ids);
}

}  // namespace bittern::runtime
