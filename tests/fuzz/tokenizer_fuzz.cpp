// Tokenizers and texts. The first byte says what the rest is: a tokenizer.json; a text for a fixed tokenizer; or a
// pattern and a text for it. Decoding an encoded text must give the text back, whole or a token at a time.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "runtime/error.h"
#include "runtime/io/utf8.h"
#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/tokenizer.h"

using namespace bittern::runtime;
using nlohmann::json;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// A small byte-level BPE with merges of letters, spaces and parts of characters.
std::string tokenizer_text(const std::string &pattern) {
  json vocab = json::object(), merges = json::array();
  for (int byte = 0; byte < 256; ++byte) vocab[byte_level_encode(std::string(1, static_cast<char>(byte)))] = byte;
  for (const char *pair :
       {"t h", "th e", "Ġ the", "a b", "ab ab", "Ã ©", "1 2", "12 3", "Ċ Ċ", "Ġ Ġ", "ĠĠ ĠĠ", "' s"}) {
    const std::string text = pair;
    const size_t space = text.find(' ');
    vocab[text.substr(0, space) + text.substr(space + 1)] = vocab.size();
    merges.push_back(text);
  }
  const json added = {{{"id", 300}, {"content", "<|eot|>"}, {"special", true}},
                      {{"id", 301}, {"content", "<x>"}, {"lstrip", true}, {"rstrip", true}}};
  const json split = {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}};
  const json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const json steps = {split, bytes};
  return json{{"added_tokens", added},
              {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", steps}}},
              {"decoder", {{"type", "ByteLevel"}}},
              {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}}
      .dump();
}

// The same with a pattern of the fuzzer's; writing the whole JSON each time would take most of the time.
std::string with_pattern(std::string_view pattern) {
  static const std::string text = tokenizer_text("PATTERN");
  static const size_t at = text.find("\"PATTERN\"");
  std::string out = text;
  return out.replace(at, 9, json(pattern).dump(-1, ' ', false, json::error_handler_t::replace));
}

void check(const Tokenizer &tokenizer, std::string_view text, bool exact) {
  for (const bool parse_special : {false, true}) {
    const auto ids = tokenizer.encode(text, false, parse_special);
    StreamDecoder decoder(tokenizer);
    std::string streamed;
    for (const int32_t id : ids) {
      require(id >= 0 && id < tokenizer.vocab_size());
      const std::string piece = decoder.push(id);
      require(utf8_valid(piece));
      streamed += piece;
    }
    streamed += decoder.finish();
    require(streamed == tokenizer.decode(ids));
    // "<x>" swallows white space, so only texts without it come back as they were.
    if (exact && text.find("<x>") == std::string_view::npos) require(streamed == utf8_sanitize(text));
  }
}

constexpr const char *kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const auto fixed = Tokenizer::parse(tokenizer_text(kLlama3), "fixed");
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char *>(data) + 1, size - 1);
  try {
    if (data[0] == 'j') {
      const auto tokenizer = Tokenizer::parse(rest, "tokenizer.json");
      check(*tokenizer, rest.substr(0, 200), false);
    } else if (data[0] == 'p') {
      const size_t end = rest.find('\n');
      const auto tokenizer = Tokenizer::parse(with_pattern(rest.substr(0, end)), "pattern");
      if (end != std::string_view::npos) check(*tokenizer, rest.substr(end + 1, 200), true);
    } else {
      check(*fixed, rest, true);
    }
  } catch (const Error &) {
  }
  return 0;
}
