// tokenizer.json files that must be refused, each with one message that names the field.
#include <doctest/doctest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "runtime/error.h"
#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/tokenizer.h"
#include "tests/error_message.h"
#include "tests/scratch_folder.h"

using namespace bittern::runtime;
using namespace bittern::test;
using nlohmann::json;

namespace {

std::string parse_error(const std::string &text) {
  return message([&] { Tokenizer::parse(text, "tokenizer.json"); });
}

// The 256 bytes, two merges, BOS.
json small() {
  json vocab = json::object();
  for (int byte = 0; byte < 256; ++byte) vocab[byte_level_encode(std::string(1, static_cast<char>(byte)))] = byte;
  vocab["th"] = 256;
  vocab["the"] = 257;
  const json bos = {{"id", 258}, {"content", "<bos>"}, {"special", true}};
  const json sequence = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const json special = {{"SpecialToken", {{"id", "<bos>"}, {"type_id", 0}}}};
  return {{"added_tokens", json::array({bos})},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
          {"post_processor",
           {{"type", "TemplateProcessing"},
            {"single", json::array({special, sequence})},
            {"special_tokens", {{"<bos>", {{"id", "<bos>"}, {"ids", {258}}}}}}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", json::array({{"t", "h"}, {"th", "e"}})}}}};
}

std::string changed(const std::function<void(json &)> &change) {
  json file = small();
  change(file);
  return parse_error(file.dump());
}

}  // namespace

TEST_CASE("the unchanged file is a tokenizer") {
  REQUIRE(parse_error(small().dump()) == "(no error)");
  CHECK(Tokenizer::parse(small().dump(), "t")->encode("the", true) == std::vector<int32_t>{258, 257});
}

TEST_CASE("files that are no tokenizer.json") {
  CHECK(contains(parse_error(""), "tokenizer.json: not valid JSON: expected a value, the text ends at byte 0"));
  CHECK(contains(parse_error("PK\x03\x04"), "not valid JSON"));
  CHECK(contains(parse_error("[]"), "expected an object, found an array at byte 0"));
  CHECK(contains(parse_error("{}"), "'model' is missing at byte 0"));
  CHECK(contains(parse_error(R"({"model":7})"), "model: expected an object"));
  CHECK(contains(parse_error(R"({"model":{}})"), "model: 'type' is missing"));
  CHECK(contains(parse_error(R"({"model":{"type":"WordPiece"}})"),
                 "model.type: 'WordPiece' is not supported (supported: BPE, Unigram)"));
  const ScratchFolder folder;
  CHECK_THROWS_WITH_AS(Tokenizer::load(folder.path("none.json")), doctest::Contains("none.json: cannot open"), Error);
  CHECK_THROWS_WITH_AS(Tokenizer::load(folder.root()), doctest::Contains("not a regular file"), Error);
}

TEST_CASE("a file cut anywhere is refused") {
  const std::string whole = small().dump();
  for (size_t length = 0; length < whole.size(); length += 7) {
    CHECK(contains(parse_error(whole.substr(0, length)), "tokenizer.json: not valid JSON"));
  }
}

TEST_CASE("each field missing, of the wrong type, or of a kind that is not supported") {
  struct Row {
    const char *pointer;
    json value;  // discarded: the field is removed
    const char *expected;
  };
  const json remove = json(json::value_t::discarded);
  const Row rows[] = {
      {"/model/vocab", remove, "model: 'vocab' is missing"},
      {"/model/vocab", json::array(), "model.vocab: expected an object"},
      {"/model/vocab", json::object(), "model.vocab: no token for the byte 0x00"},
      {"/model/vocab/th", "256", "model.vocab.th: expected a number"},
      {"/model/vocab/th", -1, "model.vocab.th: -1 is outside 0..66571"},
      {"/model/vocab/th", 4194304, "model.vocab.th: 4194304 is outside"},
      {"/model/vocab/th", 4294967296, "model.vocab.th: 4294967296 is outside"},
      {"/model/vocab/th", 255, "id 255 is taken by another token"},
      {"/model/vocab/e", remove, "no token for the byte 0x65 ('e')"},
      {"/model/merges", remove, "model: 'merges' is missing"},
      {"/model/merges", json::object(), "model.merges: expected an array"},
      {"/model/merges/0", 7, "model.merges[0]: expected a string"},
      {"/model/merges/1", {"th"}, "model.merges[1]: expected two tokens, found 1"},
      {"/model/merges/1", {"th", "e", "e"}, "model.merges[1]: expected two tokens, found 3"},
      {"/model/merges/1", "the", "model.merges[1]: expected two tokens with a space"},
      {"/model/merges/1", "t h e", "model.merges[1]: expected two tokens with a space"},
      {"/model/merges/1", {"th", "zz"}, "model.merges[1]: 'zz' is not in the vocabulary"},
      {"/model/merges/1", {"h", "e"}, "model.merges[1]: 'he' is not in the vocabulary"},
      {"/model/dropout", 0.1, "model.dropout: not supported"},
      {"/model/dropout", 2, "model.dropout: 2 is outside 0..1"},
      {"/model/byte_fallback", 1, "model.byte_fallback: expected true or false"},
      {"/model/continuing_subword_prefix", "##", "model.continuing_subword_prefix: not supported"},
      {"/model/end_of_word_suffix", "</w>", "model.end_of_word_suffix: not supported"},
      {"/model/ignore_merges", 1, "model.ignore_merges: expected true or false"},
      {"/normalizer", {{"type", "BertNormalizer"}}, "normalizer.type: 'BertNormalizer' is not supported (supported: "},
      {"/normalizer", {{"type", "Sequence"}}, "normalizer: 'normalizers' is missing"},
      {"/normalizer", {{"type", "Prepend"}}, "normalizer: 'prepend' is missing"},
      {"/normalizer",
       {{"type", "Prepend"}, {"prepend", std::string(2000, 'x')}},
       "normalizer.prepend: longer than 1024 bytes"},
      {"/normalizer",
       {{"type", "Replace"}, {"pattern", {{"Regex", "("}}}, {"content", ""}},
       "normalizer.pattern.Regex: pattern: missing closing parenthesis"},
      {"/normalizer",
       {{"type", "Replace"}, {"pattern", {{"String", ""}}}, {"content", ""}},
       "normalizer.pattern.String: empty"},
      {"/normalizer",
       {{"type", "Precompiled"}, {"precompiled_charsmap", "??"}},
       "normalizer.precompiled_charsmap: not base64"},
      {"/normalizer",
       {{"type", "Precompiled"}, {"precompiled_charsmap", "AAAA"}},
       "normalizer.precompiled_charsmap: character map: 3 bytes are too few"},
      {"/normalizer",
       {{"type", "Precompiled"}, {"precompiled_charsmap", "AAAAAAAA"}},
       "character map: a trie of 0 bytes does not fit into 6"},
      {"/normalizer",
       {{"type", "Precompiled"}, {"precompiled_charsmap", "BAAAAAAAAAAB"}},
       "character map: the replacements do not end with a zero byte"},
      {"/decoder", remove, "'decoder' is missing"},
      {"/decoder", nullptr, "decoder: expected an object, found null"},
      {"/decoder/type", "Metaspace",
       "decoder.type: 'Metaspace' is not supported after a ByteLevel pre-tokenizer (supported: ByteLevel)"},
      {"/pre_tokenizer", remove, "decoder: ByteLevel without a ByteLevel pre-tokenizer"},
      {"/pre_tokenizer", nullptr, "decoder: ByteLevel without a ByteLevel pre-tokenizer"},
      {"/pre_tokenizer/type", "UnicodeScripts",
       "pre_tokenizer.type: 'UnicodeScripts' is not supported (supported: Sequence, Split, ByteLevel, "},
      {"/pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", json::array()}}, "decoder: ByteLevel without"},
      {"/pre_tokenizer", {{"type", "Metaspace"}}, "pre_tokenizer: 'replacement' is missing"},
      {"/pre_tokenizer", {{"type", "Metaspace"}, {"replacement", ""}}, "pre_tokenizer.replacement: empty"},
      {"/pre_tokenizer",
       {{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "last"}},
       "pre_tokenizer.prepend_scheme: 'last' is not supported (supported: always, first, never)"},
      {"/decoder",
       {{"type", "Sequence"}, {"decoders", json::array()}},
       "decoder.type: 'Sequence' is not supported after a ByteLevel pre-tokenizer"},
      {"/pre_tokenizer", {{"type", "Sequence"}}, "pre_tokenizer: 'pretokenizers' is missing"},
      {"/added_tokens", json::object(), "added_tokens: expected an array"},
      {"/added_tokens/0/id", remove, "added_tokens[0]: 'id' is missing"},
      {"/added_tokens/0/id", 4194304, "added_tokens[0].id: 4194304 is outside"},
      {"/added_tokens/0/id", 12, "'<bos>' has id 12, which contradicts another token"},
      {"/added_tokens/0/content", "th", "'th' has id 258, which contradicts another token"},
      {"/added_tokens/0/content", "", "added_tokens[0].content: empty"},
      {"/added_tokens/0/single_word", "no", "added_tokens[0].single_word: expected true or false"},
      {"/post_processor/type", "BertProcessing", "post_processor.type: 'BertProcessing' is not supported"},
      {"/post_processor/single", json::array(), "post_processor.single: no Sequence"},
      {"/post_processor/single/0", {{"Sequence", {{"id", "B"}}}}, "post_processor.single: more than one Sequence"},
      {"/post_processor/single/0", json::object(), "post_processor.single[0]: 'SpecialToken' is missing"},
      {"/post_processor/special_tokens", json::object(), "post_processor.special_tokens: '<bos>' is missing"},
      {"/post_processor/special_tokens/<bos>/ids", {300}, "ids[0]: 300 is outside 0..258"},
  };
  for (const Row &row : rows) {
    const std::string what = changed([&](json &file) {
      const json::json_pointer pointer(row.pointer);
      if (row.value.is_discarded()) {
        file[pointer.parent_pointer()].erase(pointer.back());
      } else {
        file[pointer] = row.value;
      }
    });
    CHECK_MESSAGE(contains(what, row.expected), what);
    CHECK_MESSAGE(contains(what, "at byte"), what);
  }
}

TEST_CASE("patterns") {
  const auto split = [](const json &pattern, const char *behavior = "Isolated") {
    return changed([&](json &file) {
      file["pre_tokenizer"] = {
          {"type", "Sequence"},
          {"pretokenizers",
           {{{"type", "Split"}, {"pattern", pattern}, {"behavior", behavior}}, file["pre_tokenizer"]}}};
    });
  };
  REQUIRE(split({{"Regex", "a+"}}) == "(no error)");
  CHECK(contains(split({{"Regex", "(a"}}),
                 "pretokenizers[0].pattern.Regex: pattern: missing closing parenthesis (at character 2 of '(a')"));
  CHECK(contains(split({{"Regex", "[z-a]"}}), "pattern: range out of order"));
  CHECK(contains(split({{"Regex", "\\p{Nope}"}}), "pattern: unknown property"));
  CHECK(contains(split({{"Regex", "\\C"}}), "pattern: "));
  CHECK(contains(split({{"Regex", "(((a{1,60000}){1,60000}){1,60000})"}}), "pattern: "));
  CHECK(contains(split({{"Regex", std::string(5000, '(') + std::string(5000, ')')}}),
                 "pattern: parentheses are too deeply nested"));
  CHECK(contains(split(json::object()), "pattern: neither 'Regex' nor 'String'"));
  CHECK(contains(split({{"Regex", 7}}), "pattern.Regex: expected a string"));
  CHECK(contains(split({{"String", ""}}), "pattern.String: empty"));
  CHECK(
      contains(split({{"Regex", "a"}}, "Merged"), "behavior: 'Merged' is not supported (supported: Isolated, Removed"));
  CHECK(contains(changed([](json &file) {
                   const json bytes = file["pre_tokenizer"];
                   file["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {bytes, bytes}}};
                 }),
                 "pretokenizers[1]: ByteLevel twice is not supported"));
  CHECK(contains(changed([](json &file) {
                   const json after = {{"type", "Metaspace"}, {"replacement", "_"}};
                   file["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {file["pre_tokenizer"], after}}};
                 }),
                 "pretokenizers[1]: Metaspace after ByteLevel is not supported"));
}

TEST_CASE("unigram and SentencePiece's BPE in a tokenizer.json") {
  const json pieces = json::array({json::array({"<unk>", 0}), json::array({"a", -1.5})});
  const json unigram = {{"model", {{"type", "Unigram"}, {"unk_id", 0}, {"vocab", pieces}}},
                        {"decoder", {{"type", "Metaspace"}, {"replacement", "_"}}}};
  const auto changed_unigram = [&](const char *pointer, const json &value) {
    json file = unigram;
    file[json::json_pointer(pointer)] = value;
    return parse_error(file.dump());
  };
  REQUIRE(parse_error(unigram.dump()) == "(no error)");
  CHECK(contains(changed_unigram("/model/vocab", json::array()), "model.vocab: empty at byte"));
  CHECK(contains(changed_unigram("/model/vocab", json::object()), "model.vocab: expected an array"));
  CHECK(contains(changed_unigram("/model/vocab/1", json::array({"a"})),
                 "model.vocab[1]: expected a piece and its score, found 1"));
  CHECK(contains(changed_unigram("/model/vocab/1/1", "x"), "model.vocab[1][1]: expected a number"));
  CHECK(contains(changed_unigram("/model/vocab/1/1", 1e300), "model.vocab[1][1]: 1e+300 is outside"));
  CHECK(contains(changed_unigram("/model/unk_id", 2), "model.unk_id: 2 is outside 0..1"));
  CHECK(contains(changed_unigram("/pre_tokenizer", {{"type", "ByteLevel"}}), "Unigram with a ByteLevel pre-tokenizer"));
  const auto decoder = [&](const json &value) { return changed_unigram("/decoder", value); };
  CHECK(contains(decoder({{"type", "WordPiece"}}), "decoder.type: 'WordPiece' is not supported (supported: Sequence"));
  CHECK(contains(decoder({{"type", "Replace"}, {"pattern", {{"String", "_"}}}, {"content", "-"}}),
                 "decoder: only a literal that becomes a space is supported"));
  CHECK(contains(decoder({{"type", "Strip"}, {"content", "x"}, {"start", 1}, {"stop", 0}}),
                 "decoder.content: only ' ' is supported"));
  CHECK(contains(decoder({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 1}}),
                 "decoder.stop: only 0 is supported"));
  CHECK(contains(decoder({{"type", "Strip"}, {"content", " "}, {"start", -1}, {"stop", 0}}),
                 "decoder.start: -1 is outside"));
  json bpe = {{"model", {{"type", "BPE"}, {"unk_token", "?"}, {"vocab", {{"a", 0}}}, {"merges", json::array()}}},
              {"decoder", {{"type", "Fuse"}}}};
  CHECK(contains(parse_error(bpe.dump()), "model.unk_token: '?' is not in the vocabulary at byte"));
}

TEST_CASE("a normaliser that makes texts ever longer is stopped") {
  json file = small();
  const json grow = {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", std::string(1000, 'a')}};
  file["normalizer"] = {{"type", "Sequence"}, {"normalizers", {grow, grow, grow, grow}}};
  const auto tokenizer = Tokenizer::parse(file.dump(), "t");
  CHECK_THROWS_WITH_AS(tokenizer->encode("aaaa", false), doctest::Contains("makes too long a text"), Error);
}
