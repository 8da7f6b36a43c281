// Byte-level BPE (GPT-2, Llama-3): text is cut by a pattern, each piece's bytes are merged by rank.
#pragma once
#include <array>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/tokenizer/added_tokens.h"
#include "runtime/tokenizer/merges.h"
#include "runtime/tokenizer/pre_tokenizer.h"
#include "runtime/tokenizer/tokenizer.h"

namespace bittern::runtime {

class ByteLevelBpe : public Tokenizer {
 public:
  // Reads a parsed tokenizer.json whose model.type is "BPE". Throws Error naming the field for anything else than
  // byte-level BPE.
  explicit ByteLevelBpe(const Json &root);

  std::vector<int32_t> encode(std::string_view text, bool add_bos, ParseSpecial parse_special) const override;
  const std::string &token_bytes(int32_t id) const override;
  bool is_special(int32_t id) const override;
  int32_t find(std::string_view content) const override;
  int32_t bos() const override { return prefix_.empty() ? -1 : prefix_[0]; }
  int64_t vocab_size() const override { return static_cast<int64_t>(bytes_.size()); }

 private:
  void read_vocab(const Json &vocab);
  void read_merges(const Json &merges);
  void read_added(const Json &root);
  void read_template(const Json &processor);
  int32_t token(const Json &where, std::string_view content) const;
  void check_id(int32_t id) const;
  void encode_piece(std::string_view piece, std::vector<int32_t> &out) const;

  PreTokenizer pre_tokenizer_;
  Merges merges_;
  AddedTokens added_;
  std::unordered_map<std::string, int32_t> ids_;  // by content as the file writes it
  std::vector<std::string> bytes_;                // by id
  std::vector<bool> special_;
  std::array<int32_t, 256> byte_ids_{};
  std::vector<int32_t> prefix_;  // what the post-processor puts in front
  bool ignore_merges_ = false;   // a piece that is a token is that token, whatever merges say
};

}  // namespace bittern::runtime
