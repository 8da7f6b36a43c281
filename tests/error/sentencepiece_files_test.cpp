// Files of tokenizer.model, GGUF metadata and folders without a tokenizer that must be refused, each with one message.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "runtime/error.h"
#include "runtime/io/mapped_file.h"
#include "runtime/model/gguf_file.h"
#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/gguf_tokenizer.h"
#include "runtime/tokenizer/open_tokenizer.h"
#include "runtime/tokenizer/sentencepiece_model.h"
#include "runtime/tokenizer/tokenizer_json.h"
#include "tests/error_message.h"
#include "tests/gguf_tokenizer_file.h"
#include "tests/scratch_folder.h"

using namespace bittern::runtime;
using namespace bittern::test;

namespace {

// ---- protobuf, by hand

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(static_cast<uint8_t>(value | 0x80));
  return out + static_cast<char>(static_cast<uint8_t>(value));
}
std::string number(uint32_t field, uint64_t value) { return varint(field << 3) + varint(value); }
std::string bytes(uint32_t field, const std::string &value) {
  return varint(field << 3 | 2) + varint(value.size()) + value;
}
std::string score(float value) {
  std::string out = varint(2 << 3 | 5) + std::string(4, '\0');
  std::memcpy(out.data() + 1, &value, 4);
  return out;
}
std::string piece(const std::string &text, int type, const std::string &more = score(-1)) {
  return bytes(1, bytes(1, text) + more + number(3, static_cast<uint64_t>(type)));
}

const std::string kPieces = piece("<unk>", 2) + piece("<s>", 3) + piece("a", 1);

std::string model_error(const std::string &file) {
  return message([&] { make_tokenizer(parse_sentencepiece_model(file, "tokenizer.model")); });
}

// ---- GGUF

// The keys of a sound file of each model, one at a time replaced or left out.
struct Keys {
  std::string model = "llama", pre;
  std::vector<std::string> tokens{"<unk>", "<s>", "</s>", "a", "b", "ab"};
  std::vector<float> scores{0, 0, 0, -2, -3, -1};
  std::vector<int32_t> types{2, 3, 3, 1, 1, 1};
  std::vector<std::string> merges;
  std::function<void(GgufMetadata &)> more = [](GgufMetadata &) {};
};

std::string gguf_error(const std::function<void(Keys &)> &change) {
  Keys keys;
  change(keys);
  GgufMetadata file;
  if (!keys.model.empty()) file.add("tokenizer.ggml.model", keys.model);
  if (!keys.pre.empty()) file.add("tokenizer.ggml.pre", keys.pre);
  if (!keys.tokens.empty()) file.add("tokenizer.ggml.tokens", keys.tokens);
  if (!keys.scores.empty()) file.add("tokenizer.ggml.scores", keys.scores);
  if (!keys.types.empty()) file.add("tokenizer.ggml.token_type", keys.types);
  if (!keys.merges.empty()) file.add("tokenizer.ggml.merges", keys.merges);
  keys.more(file);
  const ScratchFolder folder;
  const std::string path = folder.path("f.gguf");
  std::ofstream(path, std::ios::binary) << file.bytes();
  return message([&] { open_tokenizer(path); });
}

void to_gpt2(Keys &keys) {
  keys = {.model = "gpt2", .pre = "gpt-2", .tokens = {}, .scores = {}, .types = {}, .merges = {"t h"}};
  for (int byte = 0; byte < 256; ++byte) {
    keys.tokens.push_back(byte_level_encode(std::string(1, static_cast<char>(static_cast<uint8_t>(byte)))));
  }
  keys.tokens.emplace_back("th");
}

}  // namespace

TEST_CASE("tokenizer.model: each kind of damage") {
  REQUIRE(model_error(kPieces) == "(no error)");
  struct Row {
    std::string file;
    const char *expected;
  };
  const Row rows[] = {
      {"", "tokenizer.model: not a SentencePiece model: no pieces"},
      {"{\"model\"", "field 15 of wire type 3 at byte 1"},
      {kPieces + "\x0a", "a number is cut short"},
      {kPieces + varint(1 << 3 | 2) + std::string(12, '\xff'), "a number of more than 64 bits"},
      {kPieces + bytes(1, "a").substr(0, 2), "field 1 needs 1 bytes, 0 are left"},
      {kPieces + varint(1 << 3 | 2) + varint(UINT64_MAX), "field 1 needs 18446744073709551615 bytes, 0 are left"},
      {kPieces + varint(0 << 3) + "a", "field number 0"},
      {kPieces + varint(7ull << 40) + "a", "field number"},
      {kPieces + number(1, 7), "field 1: expected bytes"},
      {kPieces + bytes(1, number(1, 7)), "field 1: expected bytes"},
      {kPieces + bytes(1, bytes(1, "x") + number(2, 7)), "field 2: expected a 32-bit number"},
      {kPieces + bytes(1, bytes(1, "x") + bytes(3, "x")), "field 3: expected a whole number"},
      {kPieces + bytes(1, score(1)), "an empty piece"},
      {kPieces + piece("\xff", 1), "piece: not UTF-8"},
      {kPieces + piece("x", 1, score(__builtin_nanf(""))), "score: not a finite number"},
      {kPieces + piece("x", 1, score(__builtin_inff())), "score: not a finite number"},
      {kPieces + piece("x", 0), "type: 0 is outside 1..6"},
      {kPieces + piece("x", 7), "type: 7 is outside 1..6"},
      {kPieces + piece("<0xZZ>", 6), "'<0xZZ>' is of type byte"},
      {kPieces + bytes(2, number(3, 4)), "model_type 4 is not supported (supported: unigram, bpe)"},
      {kPieces + bytes(3, bytes(2, "xx")), "character map: 2 bytes are too few"},
  };
  for (const Row &row : rows) {
    const std::string what = model_error(row.file);
    CHECK_MESSAGE(contains(what, row.expected), what);
    CHECK_MESSAGE(contains(what, "tokenizer.model: "), what);
    if (!row.file.empty()) CHECK_MESSAGE(contains(what, "at byte "), what);
  }
  CHECK(contains(model_error(piece("a", 1)), "tokenizer.model: there is no unknown piece"));
  CHECK(contains(model_error(kPieces + piece("?", 2)), "pieces 0 and 3 are both unknown"));
  CHECK(contains(model_error(kPieces + bytes(2, number(35, 1))), "no piece for the byte 0x00"));
  CHECK(contains(model_error(piece("<unk>", 2)), "tokenizer.model: a unigram model without pieces"));
}

TEST_CASE("tokenizer.model cut anywhere is refused or a shorter vocabulary") {
  const MappedFile file(std::string(BITTERN_TEST_DATA) + "/tokenizer/small_spm.model");
  size_t refused = 0;
  for (size_t length = 0; length < 3000; length += 3) {
    refused += contains(message([&] { parse_sentencepiece_model(file.text().substr(0, length), "m"); }), "m: ") ? 1 : 0;
  }
  CHECK(refused > 700);
}

TEST_CASE("a character map that leads out of itself") {
  // A trie of one unit whose only way is a node far away.
  const std::string away = std::string("\x04\0\0\0", 4) + std::string("\0\xfc\xff\x7f", 4) + std::string("x\0", 2);
  const auto tokenizer = make_tokenizer(parse_sentencepiece_model(kPieces + bytes(3, bytes(2, away)), "m"));
  CHECK_THROWS_WITH_AS(tokenizer->encode("a", false), doctest::Contains("character map: node"), Error);
}

TEST_CASE("GGUF metadata: each kind of contradiction") {
  REQUIRE(gguf_error([](Keys &) {}) == "(no error)");
  REQUIRE(gguf_error(to_gpt2) == "(no error)");
  struct Row {
    std::function<void(Keys &)> change;
    const char *expected;
  };
  const auto more = [](auto &&add) { return [add](Keys &keys) { keys.more = add; }; };
  const auto gpt2 = [](auto &&change) {
    return [change](Keys &keys) {
      to_gpt2(keys);
      change(keys);
    };
  };
  const Row rows[] = {
      {[](Keys &k) { k.model.clear(); }, "metadata 'tokenizer.ggml.model' is missing"},
      {[](Keys &k) { k.model = "rwkv"; },
       "'tokenizer.ggml.model': 'rwkv' is not supported (supported: gpt2, llama, t5)"},
      {[](Keys &k) { k.tokens.clear(); }, "metadata 'tokenizer.ggml.tokens' is missing"},
      {[](Keys &k) { k.tokens[3] = "\xff"; }, "'tokenizer.ggml.tokens': not UTF-8 at byte"},
      {[](Keys &k) { k.scores.pop_back(); }, "'tokenizer.ggml.scores': 5 values for 6 tokens at byte"},
      {[](Keys &k) { k.scores.clear(); }, "'tokenizer.ggml.scores': missing"},
      {[](Keys &k) { k.scores[1] = __builtin_nanf(""); }, "'tokenizer.ggml.scores': "},
      {[](Keys &k) { k.types.push_back(1); }, "'tokenizer.ggml.token_type': 7 values for 6 tokens at byte"},
      {[](Keys &k) { k.types[0] = 0; }, "'tokenizer.ggml.token_type': 0 is outside 1..6"},
      {[](Keys &k) { k.types[0] = INT32_MAX; }, "2147483647 is outside 1..6"},
      {[](Keys &k) { k.types[3] = 6; }, "token 'a' is of type 6 (byte)"},
      {[](Keys &k) { k.types[0] = 1; }, "there is no unknown piece"},
      {more([](GgufMetadata &f) { f.add("tokenizer.ggml.bos_token_id", uint32_t{6}); }),
       "'tokenizer.ggml.bos_token_id': 6 is outside 0..5 at byte"},
      {more([](GgufMetadata &f) { f.add("tokenizer.ggml.eos_token_id", "x"); }), "'tokenizer.ggml.eos_token_id': "},
      {more([](GgufMetadata &f) { f.add("tokenizer.ggml.add_bos_token", int32_t{1}); }),
       "'tokenizer.ggml.add_bos_token': "},
      {more([](GgufMetadata &f) { f.add("tokenizer.ggml.precompiled_charsmap", std::vector<uint8_t>{1, 2}); }),
       "character map: 2 bytes are too few"},
      {more([](GgufMetadata &f) { f.add("tokenizer.huggingface.json", "{}"); }),
       "metadata 'tokenizer.huggingface.json': 'model' is missing at byte "},
      {gpt2([](Keys &k) { k.pre = "viking"; }),
       "'tokenizer.ggml.pre': 'viking' is not supported (supported: llama-bpe, llama3"},
      {gpt2([](Keys &k) { k.merges.clear(); }), "'tokenizer.ggml.merges': missing"},
      {gpt2([](Keys &k) { k.merges[0] = "th"; }), "'tokenizer.ggml.merges': item 0: expected two tokens with a space"},
      {gpt2([](Keys &k) { k.merges[0] = ""; }), "item 0: expected two tokens with a space"},
      {gpt2([](Keys &k) { k.merges[0] = "t h e"; }), "item 0: expected two tokens with a space"},
      {gpt2([](Keys &k) { k.merges[0] = "zz h"; }), "item 0: 'zz' is not in the vocabulary"},
      {gpt2([](Keys &k) { k.merges[0] = "h t"; }), "item 0: 'ht' is not in the vocabulary"},
      {gpt2([](Keys &k) { k.tokens[0] = "?!"; }), "no token for the byte 0x00"},
  };
  for (const Row &row : rows) {
    const std::string what = gguf_error(row.change);
    CHECK_MESSAGE(contains(what, row.expected), what);
    CHECK_MESSAGE(contains(what, "f.gguf: "), what);
    // What is missing stands nowhere, and what the whole vocabulary lacks at no one place.
    const bool nowhere = contains(what, "missing") || contains(what, "there is no unknown") ||
                         contains(what, "character map") || contains(what, "no token for");
    CHECK_MESSAGE((nowhere || contains(what, " at byte ")), what);
  }
}

TEST_CASE("GGUF metadata: the byte is that of the item") {
  const ScratchFolder folder;
  const auto error = [&](const GgufMetadata &file) {
    folder.write("f.gguf", file.bytes());
    return message([&] { open_tokenizer(folder.path("f.gguf")); });
  };
  Keys keys;
  to_gpt2(keys);
  GgufMetadata merges;
  merges.add("tokenizer.ggml.model", keys.model).add("tokenizer.ggml.pre", keys.pre);
  merges.add("tokenizer.ggml.tokens", keys.tokens);
  merges.add("tokenizer.ggml.merges", std::vector<std::string>{"t h", "zz y"});
  // In front of a string stands its length, in eight bytes.
  CHECK(contains(error(merges), "'tokenizer.ggml.merges': item 1: 'zz' is not in the vocabulary at byte " +
                                    std::to_string(merges.bytes().find("zz y") - 8)));
  GgufMetadata json;
  json.add("tokenizer.ggml.model", "llama").add("tokenizer.ggml.tokens", std::vector<std::string>{"a"});
  json.add("tokenizer.huggingface.json", R"({"model": 7})");
  CHECK(contains(error(json),
                 "metadata 'tokenizer.huggingface.json': model: expected an object, found a number at byte " +
                     std::to_string(json.bytes().rfind('7'))));
}

TEST_CASE("arrays that no file has checked") {
  GgufTokenizer metadata{.model = "llama", .tokens = {"<unk>", "a"}, .scores = {0, 1}, .types = {2, 1}};
  const auto error = [&](const std::function<void(GgufTokenizer &)> &change) {
    GgufTokenizer changed = metadata;
    change(changed);
    return message([&] { spec_of_gguf(changed, "f"); });
  };
  REQUIRE(error([](GgufTokenizer &) {}) == "(no error)");
  CHECK(contains(error([](GgufTokenizer &m) { m.tokens.clear(); }), "'tokenizer.ggml.tokens': missing"));
  CHECK(contains(error([](GgufTokenizer &m) { m.scores.pop_back(); }), "'tokenizer.ggml.scores': not one a token"));
  CHECK(contains(error([](GgufTokenizer &m) { m.scores[0] = __builtin_inff(); }), "item 0: not a finite number"));
  CHECK(contains(error([](GgufTokenizer &m) { m.types.pop_back(); }), "'tokenizer.ggml.token_type': not one a token"));
  CHECK(contains(error([](GgufTokenizer &m) { m.types[1] = 9; }), "item 1: 9 is outside 1..6"));
  CHECK(contains(error([](GgufTokenizer &m) { m.types[1] = 6; }), "item 1: 'a' is no byte"));
  CHECK(contains(error([](GgufTokenizer &m) { m.eos = 2; }), "'tokenizer.ggml.eos_token_id': 2 is outside 0..1"));
}

TEST_CASE("what has no form in tokenizer.json or GGUF is refused") {
  const auto write = [](const std::string &pieces, bool gguf) {
    return message([&] {
      const TokenizerSpec spec = parse_sentencepiece_model(pieces, "m");
      if (gguf)
        gguf_of_spec(spec, 100);
      else
        to_tokenizer_json(spec);
    });
  };
  const std::string bpe = bytes(2, number(3, 2)), abc = piece("b", 1) + piece("c", 1);
  REQUIRE(write(kPieces + bpe, false) == "(no error)");
  CHECK(contains(write(kPieces + bpe + abc + piece("ab", 1) + piece("bc", 1), false),
                 "'ab' and 'bc' have the same score"));
  CHECK(contains(write(kPieces + bpe + abc + piece("ab", 5), false), "'ab' is unused and others make it"));
  CHECK(contains(write(kPieces + bpe + piece("az", 1), false), "'az' is made of a character that is no token"));
  CHECK(contains(write(kPieces + bpe + piece("<x>", 4), false), "the user-defined piece '<x>' behind a dummy prefix"));
  CHECK(contains(write(kPieces + bpe + piece("<x>", 4), true), "the user-defined piece '<x>' behind a dummy prefix"));
  CHECK(contains(write(kPieces + bpe + bytes(3, number(5, 0)), false), "spaces are not escaped"));
  CHECK(contains(write(kPieces + bytes(2, number(3, 2) + number(24, 1)), false), "a space goes behind the text"));
  CHECK(contains(write(kPieces + piece("x", 5), false), "the unused piece 'x'"));
}

TEST_CASE("models without a tokenizer") {
  const ScratchFolder folder;
  CHECK(contains(message([&] { open_tokenizer(folder.root()); }), "there is no tokenizer.json or tokenizer.model"));
  CHECK(find_tokenizer(folder.root()).empty());
  CHECK(contains(message([&] { open_tokenizer(folder.path("none")); }), "none: cannot open"));
  std::ofstream(folder.path("file")) << "something else";
  CHECK(
      contains(message([&] { open_tokenizer(folder.path("file")); }), "there is no tokenizer.json or tokenizer.model"));
  std::ofstream(folder.path("tokenizer.model")) << "IQ== 0\nIg== 1\n";
  CHECK(contains(message([&] { open_tokenizer(folder.root()); }), "tokenizer.model: a tiktoken vocabulary"));
  std::ofstream(folder.path("tokenizer.model"), std::ios::binary) << kPieces;
  CHECK(open_tokenizer(folder.root())->find("a") == 2);
  CHECK(find_tokenizer(folder.root()) == folder.path("tokenizer.model"));
  CHECK(open_tokenizer(folder.root())->bos() == 1);
  std::ofstream(folder.path("tokenizer_config.json")) << R"({"add_bos_token": false})";
  CHECK(open_tokenizer(folder.root())->bos() == -1);
  std::ofstream(folder.path("tokenizer_config.json")) << R"({"add_bos_token": 0})";
  CHECK(contains(message([&] { open_tokenizer(folder.root()); }), "add_bos_token: expected true or false"));
  std::ofstream(folder.path("tokenizer.json")) << "{}";  // is preferred
  CHECK(contains(message([&] { open_tokenizer(folder.root()); }), "tokenizer.json: 'model' is missing"));
}
