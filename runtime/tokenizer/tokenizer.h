// Text to token ids and back. One interface for every kind of tokenizer and every file that one comes from (spec.h;
// open_tokenizer.h finds a model's).
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tokenizer/parse_special.h"

namespace bittern::runtime {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Reads tokenizer.json. Throws Error naming file, field and byte offset when it is not a tokenizer this program
  // knows.
  static std::unique_ptr<Tokenizer> load(const std::string &path);
  // The same from text in memory; `name` stands for the file in messages.
  static std::unique_ptr<Tokenizer> parse(std::string_view json, const std::string &name);

  // Ids of `text`. Invalid UTF-8 is read as U+FFFD, one for each maximal invalid part, as Python and the WHATWG do.
  // `add_bos` puts in front what the file's post-processor puts in front (nothing when it has none; whatever it
  // would append, an end-of-text token say, is left out, since the text is to be continued: suffix() has it).
  // `parse_special`: where special tokens written out in the text ("<|eot_id|>") become their ids, else they are
  // ordinary text; added tokens that are not special are always recognised. Thread-safe.
  virtual std::vector<int32_t> encode(std::string_view text, bool add_bos, ParseSpecial parse_special = true) const = 0;

  // Text of the ids; bytes that are not valid UTF-8 become U+FFFD. The space that encoding put in front of a text
  // (SentencePiece's) is taken off again, unless the ids are a `continuation` of others. Throws Error for an id outside
  // the vocabulary.
  std::string decode(std::span<const int32_t> ids, bool skip_special = false, bool continuation = false) const;

  // Raw bytes of one token (possibly part of a character). Empty for an id with no token. Throws Error for an id
  // outside the vocabulary.
  virtual const std::string &token_bytes(int32_t id) const = 0;
  virtual bool is_special(int32_t id) const = 0;
  // Id of a token by its content ("<|eot_id|>"), or -1.
  virtual int32_t find(std::string_view content) const = 0;
  // First token that the post-processor puts in front, or -1.
  virtual int32_t bos() const = 0;
  // The end-of-text token as far as the tokenizer's file names it, or -1.
  virtual int32_t eos() const { return -1; }
  // What the post-processor appends to a text that is complete (embedding models want it).
  virtual std::span<const int32_t> suffix() const { return {}; }
  // How many spaces encoding puts in front of a text that decoding must take off.
  virtual int32_t strip_spaces() const { return 0; }
  virtual int64_t vocab_size() const = 0;  // largest id + 1
};

// Text of a growing sequence of ids, a piece at a time, every piece valid UTF-8: bytes of an unfinished character are
// held back until it is complete or cannot be completed any more. push()es followed by finish() give, concatenated,
// exactly decode().
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer &tokenizer, bool skip_special = false, bool continuation = false)
      : tokenizer_(&tokenizer),
        skip_special_(skip_special),
        strip_spaces_(continuation ? 0 : tokenizer.strip_spaces()) {}
  // The text that `id` completes; often empty in the middle of a character.
  std::string push(int32_t id);
  // What was held back (as U+FFFD), at the end of the sequence.
  std::string finish();

 private:
  const Tokenizer *tokenizer_;
  bool skip_special_;
  int32_t strip_spaces_;  // still to be taken off
  std::string held_;
};

}  // namespace bittern::runtime
