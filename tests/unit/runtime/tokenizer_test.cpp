// Encoding against ids that the reference implementations gave, decoding, streaming and the parts they are made of.
#include "runtime/tokenizer/tokenizer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/error.h"
#include "runtime/io/utf8.h"
#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/gguf_tokenizer.h"
#include "runtime/tokenizer/merges.h"
#include "runtime/tokenizer/regex.h"
#include "runtime/tokenizer/tokenizer_json.h"
#include "tests/llama3_vocabulary.h"

using namespace bittern::runtime;
using bittern::test::from_tiktoken;
using nlohmann::json;

namespace {

const std::string kData = BITTERN_TEST_DATA;

json read_json(const std::string &path) {
  std::ifstream in(kData + "/" + path);
  REQUIRE_MESSAGE(in.good(), path);
  return json::parse(in);
}

std::string unhex(const std::string &hex) {
  std::string out;
  for (size_t i = 0; i < hex.size(); i += 2) out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return out;
}

std::unique_ptr<Tokenizer> small() { return Tokenizer::load(kData + "/tokenizer/small_bpe_tokenizer.json"); }

std::string stream(const Tokenizer &tokenizer, const std::vector<int32_t> &ids) {
  StreamDecoder decoder(tokenizer);
  std::string text;
  for (const int32_t id : ids) {
    const std::string piece = decoder.push(id);
    CHECK(utf8_valid(piece));
    text += piece;
  }
  return text + decoder.finish();
}

}  // namespace

TEST_CASE("the small tokenizer gives the reference's ids for every string, and back") {
  const auto tokenizer = small();
  const json fixture = read_json("tokenizer/small_bpe_fixture.json");
  REQUIRE(fixture["cases"].size() > 300);
  for (const json &row : fixture["cases"]) {
    const std::string text = row["text"];
    const auto ids = tokenizer->encode(text, false);
    CHECK_MESSAGE(ids == row["ids"].get<std::vector<int32_t>>(), text);
    CHECK(tokenizer->decode(ids) == text);
    CHECK(stream(*tokenizer, ids) == text);
  }
}

TEST_CASE("the demo tokenizer gives the reference's prompt ids") {
  const auto tokenizer = Tokenizer::load(kData + "/demo/tokenizer.json");
  CHECK(tokenizer->vocab_size() == 4096);
  CHECK(tokenizer->bos() == 4080);
  CHECK(tokenizer->find("<|eot_id|>") == 4082);
  const json expected = read_json("demo-reference/expected.json");
  for (const json &row : expected["greedy"]) {
    CHECK(tokenizer->encode(row["prompt"].get<std::string>(), true) == row["prompt_ids"].get<std::vector<int32_t>>());
    CHECK(tokenizer->decode(row["ids"].get<std::vector<int32_t>>()) == row["text"].get<std::string>());
  }
  std::ifstream in(kData + "/demo-reference/heldout.txt", std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  const auto ids = tokenizer->encode(text, true);
  CHECK(ids.size() == expected["tokens"].get<size_t>() + 1);
  CHECK(tokenizer->decode(std::span(ids).subspan(1)) == text);
}

// Meta's vocabulary may not be kept here: tools/install-deps --test fetches it into .deps. Without it this test says so
// and passes.
TEST_CASE("the Llama-3 tokenizer gives tiktoken's ids for every string") {
  const std::string path = kData + "/../../.deps/llama3/tokenizer.model";
  if (!std::filesystem::exists(path)) {
    MESSAGE("skipped: no .deps/llama3/tokenizer.model");
    return;
  }
  const json fixture = read_json("tokenizer/llama3_fixture.json");
  const TokenizerSpec spec = parse_tokenizer_json(from_tiktoken(path, fixture).dump(), "llama3");
  const auto tokenizer = make_tokenizer(spec);
  for (const json &row : fixture["cases"]) {
    const std::string text = row["text"];
    const auto ids = row["ids"].get<std::vector<int32_t>>();
    CHECK_MESSAGE(tokenizer->encode(text, false, false) == ids, text);
    CHECK(stream(*tokenizer, ids) == text);
    if (row.contains("ids_special")) {
      CHECK_MESSAGE(tokenizer->encode(text, false) == row["ids_special"].get<std::vector<int32_t>>(), text);
    }
  }
  for (const json &row : fixture["invalid_utf8"]) {
    CHECK(tokenizer->encode(unhex(row["hex"]), false) == row["ids"].get<std::vector<int32_t>>());
  }
  for (const json &row : fixture["decode"]) {
    const auto ids = row["ids"].get<std::vector<int32_t>>();
    for (size_t i = 0; i < ids.size(); ++i) {
      CHECK(tokenizer->token_bytes(ids[i]) == unhex(row["bytes_hex_per_token"][i]));
    }
    CHECK(stream(*tokenizer, ids) == row["text"].get<std::string>());
  }
  // The same through GGUF's arrays, which say all there is to say.
  const GgufTokenizer metadata = gguf_of_spec(spec, 128256);
  CHECK(metadata.pre == "llama-bpe");
  CHECK(metadata.huggingface_json.empty());
  const auto again = make_tokenizer(spec_of_gguf(metadata, "gguf"));
  for (const json &row : fixture["cases"]) {
    const std::string text = row["text"];
    CHECK_MESSAGE(again->encode(text, false, false) == row["ids"].get<std::vector<int32_t>>(), text);
    if (row.contains("ids_special"))
      CHECK(again->encode(text, false) == row["ids_special"].get<std::vector<int32_t>>());
  }
  for (const json &row : fixture["chat"]) {
    const std::string text = row["bitnet_template_text"];
    CHECK(again->encode(text, false) == row["bitnet_template_ids"].get<std::vector<int32_t>>());
    CHECK(tokenizer->encode(text, false) == row["bitnet_template_ids"].get<std::vector<int32_t>>());
  }
}

TEST_CASE("special tokens that touch a literal range are ordinary text, and merges go on across its border") {
  const auto tokenizer = Tokenizer::load(kData + "/demo/tokenizer.json");
  const int32_t eot = tokenizer->find("<|eot_id|>");
  const std::string text = "User: in the be<|eot_id|>ginning<|eot_id|>";
  const size_t first = text.find('<'), last = text.rfind('<');
  const auto count = [&](std::vector<TextRange> literal) {
    const auto ids = tokenizer->encode(text, false, ParseSpecial::except(literal));
    CHECK(tokenizer->decode(ids) == text);
    return std::count(ids.begin(), ids.end(), eot);
  };
  CHECK(count({}) == 2);
  CHECK(count({{0, text.size()}}) == 0);
  CHECK(count({{0, 6}, {first, first + 10}}) == 1);
  CHECK(count({{first + 9, first + 10}}) == 1);                 // its last byte
  CHECK(count({{first - 1, first}, {first + 10, last}}) == 2);  // up to it and from behind it
  CHECK(count({{first - 1, first + 1}, {last + 9, last + 10}}) == 0);
  // A literal range alone changes nothing: " in" is one token although it begins with the template's space.
  const std::vector<TextRange> content = {{6, 8}};
  CHECK(tokenizer->encode("User: in", false, ParseSpecial::except(content)) == tokenizer->encode("User: in", false));
}

TEST_CASE("invalid UTF-8 is replaced as Python does, one U+FFFD a maximal part") {
  const auto tokenizer = small();
  const json fixture = read_json("tokenizer/llama3_fixture.json");
  for (const json &row : fixture["invalid_utf8"]) {
    const std::string bytes = unhex(row["hex"]), replaced = row["replaced_text"];
    CHECK(utf8_sanitize(bytes) == replaced);
    CHECK(tokenizer->encode(bytes, false) == tokenizer->encode(replaced, false));
    // Decoding byte tokens one at a time must come to the same text.
    std::vector<int32_t> ids;
    for (const char byte : bytes) ids.push_back(tokenizer->find(byte_level_encode(std::string(1, byte))));
    CHECK(tokenizer->decode(ids) == replaced);
    CHECK(stream(*tokenizer, ids) == replaced);
  }
}

TEST_CASE("a stream holds back unfinished characters and nothing else") {
  const auto tokenizer = small();
  const auto id = [&](char byte) { return tokenizer->find(byte_level_encode(std::string(1, byte))); };
  StreamDecoder decoder(*tokenizer);
  CHECK(decoder.push(id('a')) == "a");
  CHECK(decoder.push(id('\xf0')).empty());
  CHECK(decoder.push(id('\x9f')).empty());
  CHECK(decoder.push(id('b')) == "\uFFFDb");  // the emoji cannot be completed any more
  CHECK(decoder.push(id('\xe4')).empty());
  CHECK(decoder.push(id('\xbd')).empty());
  CHECK(decoder.push(id('\xa0')) == "\u4F60");
  CHECK(decoder.push(id('\xe4')).empty());
  CHECK(decoder.finish() == "\uFFFD");
  CHECK(decoder.finish().empty());
}

TEST_CASE("special tokens: recognised or read as text, shown or skipped") {
  const auto tokenizer = small();
  const int32_t eot = tokenizer->find("<|eot_id|>");
  CHECK(tokenizer->is_special(eot));
  CHECK_FALSE(tokenizer->is_special(0));
  const auto with = tokenizer->encode("a<|eot_id|>b", false), without = tokenizer->encode("a<|eot_id|>b", false, false);
  CHECK(with.size() == 3);
  CHECK(with[1] == eot);
  CHECK(std::find(without.begin(), without.end(), eot) == without.end());
  CHECK(tokenizer->decode(without) == "a<|eot_id|>b");
  CHECK(tokenizer->decode(with) == "a<|eot_id|>b");
  CHECK(tokenizer->decode(with, true) == "ab");
  StreamDecoder skipping(*tokenizer, true);
  CHECK(skipping.push(eot).empty());
  CHECK(tokenizer->encode("", true) == std::vector<int32_t>{tokenizer->bos()});
  CHECK_THROWS_AS(tokenizer->token_bytes(-1), Error);
  CHECK_THROWS_AS(tokenizer->token_bytes(static_cast<int32_t>(tokenizer->vocab_size())), Error);
}

TEST_CASE("added tokens: the longest wins, white space is swallowed, ids beyond the vocabulary") {
  json file = read_json("tokenizer/small_bpe_tokenizer.json");
  file["added_tokens"] = {{{"id", 2040}, {"content", "<a>"}},
                          {{"id", 2041}, {"content", "<a><b>"}},
                          {{"id", 2050}, {"content", "<strip>"}, {"lstrip", true}, {"rstrip", true}},
                          {{"id", 2051}, {"content", "<late>"}, {"normalized", true}}};
  file["post_processor"] = nullptr;
  const auto tokenizer = Tokenizer::parse(file.dump(), "test");
  CHECK(tokenizer->vocab_size() == 2052);
  CHECK(tokenizer->bos() == -1);
  CHECK(tokenizer->encode("<a><b>", true) == std::vector<int32_t>{2041});
  CHECK(tokenizer->encode("<a><a><b>", true) == std::vector<int32_t>{2040, 2041});
  CHECK(tokenizer->encode("<a> \u3000<strip>\n <late>", true) == std::vector<int32_t>{2040, 2050, 2051});
  CHECK(tokenizer->token_bytes(2045).empty());
}

TEST_CASE("merges written as one string, ignore_merges, prefix space and GPT-2's own pattern") {
  json file = read_json("tokenizer/small_bpe_tokenizer.json");
  const auto expected = small()->encode("Hello world, the cat's 123", false);
  json joined = json::array();
  for (const json &pair : file["model"]["merges"]) {
    joined.push_back(pair[0].get<std::string>() + " " + pair[1].get<std::string>());
  }
  file["model"]["merges"] = joined;
  CHECK(Tokenizer::parse(file.dump(), "test")->encode("Hello world, the cat's 123", false) == expected);

  // A token that no merge leads to is reached only with ignore_merges.
  file["model"]["vocab"]["zqzq"] = 2044;
  CHECK(Tokenizer::parse(file.dump(), "test")->encode("zqzq", false).size() > 1);
  file["model"]["ignore_merges"] = true;
  CHECK(Tokenizer::parse(file.dump(), "test")->encode("zqzq", false) == std::vector<int32_t>{2044});

  file["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", true}};
  const auto gpt2 = Tokenizer::parse(file.dump(), "test");
  CHECK(gpt2->encode("the cat", false) == gpt2->encode(" the cat", false));
  CHECK(gpt2->decode(gpt2->encode("1234567", false)) == " 1234567");  // GPT-2 does not cut digits by three
}

TEST_CASE("split patterns: literal strings, removal, inversion") {
  json file = read_json("tokenizer/small_bpe_tokenizer.json");
  json &split = file["pre_tokenizer"]["pretokenizers"][0];
  split = {{"type", "Split"}, {"pattern", {{"String", "+."}}}, {"behavior", "Removed"}};
  auto tokenizer = Tokenizer::parse(file.dump(), "test");
  CHECK(tokenizer->decode(tokenizer->encode("a+.bxx+c", false)) == "abxx+c");
  split = {{"type", "Split"}, {"pattern", {{"Regex", "[a-c]+"}}}, {"behavior", "Removed"}, {"invert", true}};
  tokenizer = Tokenizer::parse(file.dump(), "test");
  CHECK(tokenizer->decode(tokenizer->encode("xxab yc", false)) == "abc");
}

TEST_CASE("\\s is Unicode's White_Space, in and out of classes") {
  const auto found = [](const char *pattern, const char *text) {
    std::vector<std::pair<size_t, size_t>> out;
    Regex(pattern).for_each_match(text, [&](size_t b, size_t e) { out.emplace_back(b, e); });
    return out;
  };
  using Ranges = std::vector<std::pair<size_t, size_t>>;
  CHECK(found(R"(\s)", "a\u0085b\u180Ec\u3000") == Ranges{{1, 3}, {8, 11}});
  CHECK(found(R"([^\s\]]+)", "a\u180E ]b") == Ranges{{0, 4}, {6, 7}});
  CHECK(found(R"([]\s]+)", "a ] b") == Ranges{{1, 4}});
  CHECK(found(R"(\S+)", " \u180E ") == Ranges{{1, 4}});
  CHECK(found(R"(\\s)", "\\s x") == Ranges{{0, 2}});
  CHECK(found("x*", "axxa") == Ranges{{1, 3}});  // empty matches do not count
  CHECK(found("(?<=\u4F60)x*", "\u4F60\u4F60xx") == Ranges{{6, 8}});
}

TEST_CASE("a pattern that backtracks without end is an error, not a hang") {
  const Regex regex("(a+)+$");
  const std::string text(60, 'a');
  CHECK_THROWS_AS(regex.for_each_match(text + "b", [](size_t, size_t) {}), Error);
}

TEST_CASE("long words do not take quadratic time") {
  const auto tokenizer = small();
  const auto seconds = [&](size_t length) {
    std::string text;
    for (size_t i = 0; text.size() < length; ++i) text += "the"[i % 3] == 'h' ? "hating" : "thes";
    const auto start = std::chrono::steady_clock::now();
    CHECK(tokenizer->decode(tokenizer->encode(text, false)) == text);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  seconds(10000);
  CHECK(seconds(300'000) < 20);  // quadratic would be minutes
  const std::string spaces(1'000'000, ' ');
  CHECK(tokenizer->decode(tokenizer->encode(spaces, false)) == spaces);
}

TEST_CASE("merging by rank, leftmost first, equals the plain quadratic definition") {
  // All pairs over 4 tokens, some of which merge to further tokens; ranks shuffled by a fixed rule.
  struct Rule {
    int32_t left, right, merged;
  };
  std::vector<Rule> rules;
  int32_t next = 4;
  for (int32_t i = 0; i < 40; ++i) rules.push_back({(i * 7 + 3) % next, (i * 5 + 1) % next, next}), ++next;
  Merges merges(rules.size());
  for (const Rule &rule : rules) merges.add(rule.left, rule.right, rule.merged);
  const auto plain = [&](std::vector<int32_t> ids) {
    for (;;) {
      size_t best = rules.size(), at = 0;
      for (size_t i = 0; i + 1 < ids.size(); ++i) {
        for (size_t r = 0; r < best; ++r) {
          // A pair added twice counts with its later rank.
          bool later = false;
          for (size_t s = r + 1; s < rules.size(); ++s) {
            later |= rules[s].left == rules[r].left && rules[s].right == rules[r].right;
          }
          if (!later && ids[i] == rules[r].left && ids[i + 1] == rules[r].right) best = r, at = i;
        }
      }
      if (best == rules.size()) return ids;
      ids[at] = rules[best].merged;
      ids.erase(ids.begin() + static_cast<ptrdiff_t>(at) + 1);
    }
  };
  uint32_t state = 1;
  for (int round = 0; round < 300; ++round) {
    std::vector<int32_t> ids(static_cast<size_t>(round % 40));
    for (int32_t &id : ids) id = static_cast<int32_t>((state = state * 1664525 + 1013904223) >> 30);
    std::vector<int32_t> merged = ids;
    merges.apply(merged);
    CHECK(merged == plain(ids));
  }
}
