// What a tokenizer is, whichever file said it: every reader (tokenizer.json, tokenizer.model, GGUF metadata) makes a
// TokenizerSpec, make_tokenizer() makes a Tokenizer of it, and the writers write it out again. So a conversion between
// formats is a reader and a writer, and the ways of cutting and merging text exist once.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/tokenizer/tokenizer.h"

namespace bittern::runtime {

// What SentencePiece and GGUF call the type of a piece, with their numbers.
enum class TokenType : int8_t {
  Absent = 0,
  Normal = 1,
  Unknown = 2,
  Control = 3,
  UserDefined = 4,
  Unused = 5,
  Byte = 6
};

struct SpecToken {
  std::string text =
      {};            // as tokenizer.json writes it: GPT-2's alphabet in byte-level BPE, U+2581 for a space elsewhere
  double score = 0;  // SentencePiece's; 0 where the file has none
  TokenType type = TokenType::Absent;  // Absent: no token has this id
};

// A token that is found in the text as it is, before any splitting.
struct AddedToken {
  int32_t id = 0;
  std::string content = {};
  bool special = false;
  bool normalized = false;                       // looked for after all tokens that are not, in normalised text
  bool strip_left = false, strip_right = false;  // swallows white space beside it
  bool single_word = false;                      // not beside a letter, a digit or '_'
  bool operator==(const AddedToken &) const = default;
};

struct NormalizerStep {
  enum class Kind {
    Prepend,  // `content` in front of what is not empty
    Replace,  // `pattern` by `content`
    Nfc,      // Unicode normal forms
    Nfd,
    Nfkc,
    Nfkd,
    Strip,          // white space at the ends
    Precompiled,    // `content`: a SentencePiece character map, applied as Hugging Face does
    SentencePiece,  // what SentencePiece does, by the fields at the end; `content`: its character map or empty
  };
  Kind kind = Kind::Nfc;
  std::string pattern = {}, content = {};
  bool regex = false;                // the pattern is a regular expression, else literal
  bool left = false, right = false;  // Strip
  bool dummy_prefix = false, remove_extra_spaces = false, escape_spaces = false, space_as_suffix = false;
  bool operator==(const NormalizerStep &) const = default;
};

enum class SplitBehavior { Isolated, Removed, MergedWithPrevious, MergedWithNext, Contiguous };

struct PreTokenizerStep {
  enum class Kind {
    Split,      // at `pattern`
    ByteLevel,  // bytes become GPT-2's alphabet; with `use_regex` cut by GPT-2's pattern first
    Metaspace,  // spaces become `pattern`, which also goes in front by `prefix`; with `split` cut before each
  };
  enum class Prefix { Never, First, Always };
  Kind kind = Kind::Split;
  std::string pattern = {};
  bool regex = true;    // the pattern of Split is a regular expression, else literal
  bool invert = false;  // what the pattern finds is the text between the matches
  SplitBehavior behavior = SplitBehavior::Isolated;
  bool use_regex = false, split = false;
  Prefix prefix = Prefix::Never;  // ByteLevel: Always puts a space in front of a piece that has none
  bool operator==(const PreTokenizerStep &) const = default;
};

struct TokenizerSpec {
  enum class Model {
    ByteLevelBpe,  // merges in order of rank, over the bytes of a piece (GPT-2, Llama-3, Qwen)
    CharacterBpe,  // merges in order of rank, over its characters (tokenizer.json of Llama-2, Gemma)
    ScoredBpe,     // two neighbours merge if they make a token; the best score first (SentencePiece's BPE)
    Unigram,       // the split with the largest sum of scores
  };
  // Two tokens that merge into a third; earlier ones go first.
  struct Merge {
    int32_t left, right, merged;
    bool operator==(const Merge &) const = default;
  };

  std::string name;  // of the file, for messages
  Model model = Model::ByteLevelBpe;
  std::vector<SpecToken> tokens;  // by id; added tokens are among them
  std::vector<Merge> merges;      // ByteLevelBpe and CharacterBpe
  std::vector<AddedToken> added;
  std::vector<NormalizerStep> normalizer;
  std::vector<PreTokenizerStep> pre_tokenizer;
  std::vector<int32_t> prefix, suffix;             // what the post-processor puts around a text
  int32_t bos = -1, eos = -1, unk = -1, pad = -1;  // as far as the file names them
  bool ignore_merges = false;                      // a piece that is a token is that token, whatever merges say
  bool byte_fallback = false;                      // a character with no token becomes its bytes' tokens, else `unk`
  bool fuse_unk = false;                           // neighbouring unknown characters are one `unk`
  bool single_precision = false;  // Unigram sums scores as float, as SentencePiece does; else as double

  // Decoding: GPT-2's alphabet back to bytes (ByteLevelBpe), or `space_mark` to spaces and byte tokens to bytes.
  std::string space_mark;
  int32_t strip_spaces = 0;  // this many spaces are dropped at the beginning of a text, the dummy prefix of encoding
  std::string unk_text;      // what `unk` decodes to, where not its own text
};

// The tokenizer that a spec describes. Throws Error "name: ..." for a spec that is none (a missing byte token, a
// pattern that is not a regular expression, a damaged character map).
std::unique_ptr<Tokenizer> make_tokenizer(TokenizerSpec spec);

}  // namespace bittern::runtime
