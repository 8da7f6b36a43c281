// Tokenizers and texts. The first byte says what the rest is: a tokenizer.json; a text for a fixed tokenizer; or a
// pattern and a text for it. Decoding an encoded text must give the text back, whole or a token at a time.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "runtime/tokenizer/byte_level.h"
#include "tests/fuzz/tokenizer_property.h"

using namespace bittern::runtime;
using namespace bittern::test;
using nlohmann::json;

namespace {

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

// "<x>" swallows white space, so only texts without it come back as they were.
void check_exact(const Tokenizer &tokenizer, std::string_view text) {
  check_text(tokenizer, text);
  const bool exact = text.find("<x>") == std::string_view::npos;
  require(!exact || tokenizer.decode(tokenizer.encode(text, false)) == utf8_sanitize(text));
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
      const TokenizerSpec spec = parse_tokenizer_json(rest, "tokenizer.json");
      check_text(*make_tokenizer(spec), rest.substr(0, 200));
      check_gguf_round_trip(spec, rest.substr(0, 200));
    } else if (data[0] == 'p') {
      const size_t end = rest.find('\n');
      const auto tokenizer = Tokenizer::parse(with_pattern(rest.substr(0, end)), "pattern");
      if (end != std::string_view::npos) check_exact(*tokenizer, rest.substr(end + 1, 200));
    } else {
      check_exact(*fixed, rest);
    }
  } catch (const Error &) {
  }
  return 0;
}
