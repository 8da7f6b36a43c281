// Every kind of tokenizer and every file it comes from against what the reference implementations (sentencepiece,
// tokenizers) give. tests/data/tokenizer/make_fixtures.py wrote the files.
#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/error.h"
#include "runtime/io/mapped_file.h"
#include "runtime/io/utf8.h"
#include "runtime/model/gguf_file.h"
#include "runtime/tokenizer/gguf_tokenizer.h"
#include "runtime/tokenizer/open_tokenizer.h"
#include "runtime/tokenizer/pre_names.h"
#include "runtime/tokenizer/sentencepiece_model.h"
#include "runtime/tokenizer/tokenizer_json.h"

using namespace bittern::runtime;
using nlohmann::json;

namespace {

const std::string kFolder = std::string(BITTERN_TEST_DATA) + "/tokenizer/";

json read_json(const std::string &name) {
  std::ifstream in(kFolder + name);
  REQUIRE_MESSAGE(in.good(), name);
  return json::parse(in);
}

TokenizerSpec read_spec(const std::string &name) {
  if (name.ends_with(".gguf")) return read_tokenizer_spec(kFolder + name);
  const MappedFile file(kFolder + name);
  return name.ends_with(".json") ? parse_tokenizer_json(file.text(), name)
                                 : parse_sentencepiece_model(file.text(), name);
}

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

// A file with the ids, and where it differs the text, that a reference gave for each string.
struct Fixture {
  const char *file, *expected;
  bool parse_special;  // sentencepiece finds no special pieces in a text, tokenizers does
};
constexpr Fixture kFixtures[] = {
    {"small_bpe_tokenizer.json", "small_bpe_fixture.json", true},
    {"small_spm.model", "small_spm_fixture.json", false},
    {"small_unigram.model", "small_unigram_fixture.json", false},
    {"types_bpe.model", "types_bpe_fixture.json", false},
    {"types_unigram.model", "types_unigram_fixture.json", false},
    {"llama_tokenizer.json", "llama_fixture.json", true},
    {"gemma_tokenizer.json", "gemma_fixture.json", true},
    {"metaspace_tokenizer.json", "metaspace_fixture.json", true},
    {"unigram_tokenizer.json", "unigram_json_fixture.json", true},
    {"small_bpe.gguf", "small_bpe_fixture.json", true},
    {"small_spm.gguf", "small_spm_fixture.json", false},
    {"small_unigram.gguf", "small_unigram_fixture.json", false},
};

void check_fixture(const Tokenizer &tokenizer, const json &expected, bool parse_special) {
  REQUIRE(expected["cases"].size() > 300);
  for (const json &row : expected["cases"]) {
    const std::string text = row["text"];
    CAPTURE(text);
    const auto ids = row["ids"].get<std::vector<int32_t>>();
    CHECK(tokenizer.encode(text, false, parse_special) == ids);
    const std::string decoded = row.contains("decoded") ? row["decoded"].get<std::string>() : text;
    CHECK(tokenizer.decode(ids) == decoded);
    CHECK(stream(tokenizer, ids) == decoded);
  }
}

}  // namespace

TEST_CASE("every fixture gives the reference's ids and text") {
  for (const Fixture &fixture : kFixtures) {
    CAPTURE(std::string(fixture.file));
    check_fixture(*make_tokenizer(read_spec(fixture.file)), read_json(fixture.expected), fixture.parse_special);
  }
}

// Meta's vocabulary may not be kept here and no package ships it: put tokenizer.model into .deps/llama2 to run this.
TEST_CASE("the Llama-2 tokenizer gives sentencepiece's ids for every string") {
  const std::string path = kFolder + "../../../.deps/llama2/tokenizer.model";
  if (!std::filesystem::exists(path)) {
    MESSAGE("skipped: no .deps/llama2/tokenizer.model");
    return;
  }
  const MappedFile file(path);
  const TokenizerSpec spec = parse_sentencepiece_model(file.text(), path);
  const json expected = read_json("llama2_spm_fixture.json");
  check_fixture(*make_tokenizer(spec), expected, false);
  const TokenizerSpec back = spec_of_gguf(gguf_of_spec(spec, 32000), "gguf");
  check_fixture(*make_tokenizer(back), expected, false);
  check_fixture(*make_tokenizer(parse_tokenizer_json(to_tokenizer_json(back), "json")), expected, false);
}

TEST_CASE("pre-tokenizers and normalizers of every form give the reference's ids") {
  const json fixture = read_json("byte_level_forms_fixture.json");
  json file = read_json("small_bpe_tokenizer.json");
  const json &texts = fixture["texts"];
  REQUIRE(texts.size() > 300);
  for (const auto &[name, form] : fixture["forms"].items()) {
    file["normalizer"] = form["normalizer"];
    file["pre_tokenizer"] = form["pre_tokenizer"];
    const auto tokenizer = Tokenizer::parse(file.dump(), name);
    for (size_t i = 0; i < texts.size(); ++i) {
      const std::string text = texts[i];
      CAPTURE(text);
      CAPTURE(name);
      CHECK(tokenizer->encode(text, false) == form["ids"][i].get<std::vector<int32_t>>());
    }
  }
}

// Whatever a tokenizer came from, written as GGUF's arrays or as a tokenizer.json and read again it is the same.
TEST_CASE("through GGUF metadata and through tokenizer.json every fixture keeps its ids") {
  for (const Fixture &fixture : kFixtures) {
    const std::string name = fixture.file;
    CAPTURE(name);
    const TokenizerSpec spec = read_spec(name);
    const json expected = read_json(fixture.expected);
    // Pieces that only SentencePiece's own file can describe are refused, not changed.
    if (name == "types_bpe.model" || name == "types_unigram.model" || name.starts_with("small_unigram")) {
      CHECK_THROWS_WITH_AS(to_tokenizer_json(spec), doctest::Contains("annot"), Error);
    } else {
      const std::string text = to_tokenizer_json(spec);
      const TokenizerSpec again = parse_tokenizer_json(text, name);
      CHECK(again.prefix == spec.prefix);
      CHECK(again.suffix == spec.suffix);
      check_fixture(*make_tokenizer(again), expected, fixture.parse_special);
      CHECK(to_tokenizer_json(again) == text);
    }
    if (name == "types_bpe.model") {
      CHECK_THROWS_WITH_AS(gguf_of_spec(spec, 3000), doctest::Contains("annot"), Error);
      continue;
    }
    const GgufTokenizer metadata = gguf_of_spec(spec, 3000);
    CHECK(metadata.tokens.size() == 3000);
    CHECK(metadata.types.size() == 3000);
    CHECK((metadata.model == "gpt2" || metadata.scores.size() == 3000));
    const TokenizerSpec back = spec_of_gguf(metadata, name);
    CHECK(back.prefix == spec.prefix);
    CHECK(back.suffix == spec.suffix);
    check_fixture(*make_tokenizer(back), expected, fixture.parse_special);
    // What the arrays cannot say is said by tokenizer.json beside them; the plain kinds need none.
    const bool plain = name.starts_with("small_") || name == "types_unigram.model";
    CHECK(metadata.huggingface_json.empty() == plain);
    // The arrays and back again as a tokenizer.json.
    if (name.starts_with("small_bpe") || name.starts_with("small_spm")) {
      const TokenizerSpec third = parse_tokenizer_json(to_tokenizer_json(back), name);
      check_fixture(*make_tokenizer(third), expected, fixture.parse_special);
    }
    CHECK_THROWS_WITH_AS(gguf_of_spec(spec, 100), doctest::Contains("beyond the model's vocabulary of 100"), Error);
  }
}

TEST_CASE("merges of a tokenizer.json become scores when they mean the same") {
  json file = read_json("llama_tokenizer.json");
  file["added_tokens"].erase(4);  // whose flags GGUF cannot keep
  file["added_tokens"].erase(3);
  const json expected = read_json("small_spm_fixture.json");
  const TokenizerSpec spec = parse_tokenizer_json(file.dump(), "llama");
  const GgufTokenizer metadata = gguf_of_spec(spec, 1500);
  CHECK(metadata.model == "llama");
  CHECK(metadata.huggingface_json.empty());
  check_fixture(*make_tokenizer(spec_of_gguf(metadata, "llama")), expected, false);
  // One pair less, and scores would still merge it.
  json less = file;
  less["model"]["merges"].erase(less["model"]["merges"].size() - 1);
  CHECK_FALSE(gguf_of_spec(parse_tokenizer_json(less.dump(), "less"), 1500).huggingface_json.empty());
  // A token's pairs apart from each other have two ranks, but a token has one score.
  json apart = file;
  json &merges = apart["model"]["merges"];
  for (size_t i = 1; i < merges.size(); ++i) {
    const auto result = [&](size_t at) { return merges[at][0].get<std::string>() + merges[at][1].get<std::string>(); };
    if (result(i) != result(i - 1)) continue;
    const json pair = merges[i];
    merges.erase(i);
    merges.push_back(pair);
    break;
  }
  CHECK_FALSE(gguf_of_spec(parse_tokenizer_json(apart.dump(), "apart"), 1500).huggingface_json.empty());
}

TEST_CASE("an unknown character costs ten more than the worst piece") {
  const char *file = R"({"model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0],["a",0.5],["ab",-9]]},
                         "decoder":{"type":"Fuse"}})";
  const auto tokenizer = Tokenizer::parse(file, "unigram");
  CHECK(tokenizer->encode("ab", false) == std::vector<int32_t>{2});
  CHECK(tokenizer->encode("abbb", false) == std::vector<int32_t>{2, 0});  // neighbours are one
}

// "aa" has exactly twice the score of "a": how sums are rounded decides, and what the pieces before added to them.
TEST_CASE("splits with equal scores are decided as SentencePiece 0.2.3 does") {
  const auto encode = [](float score_of_x, const std::string &text) {
    TokenizerSpec spec;
    spec.model = TokenizerSpec::Model::Unigram;
    spec.single_precision = true;
    spec.unk = 0;
    spec.tokens = {{"<unk>", 0, TokenType::Unknown},
                   {"x", static_cast<double>(score_of_x), TokenType::Normal},
                   {"a", -2.1716766357421875, TokenType::Normal},
                   {"aa", -4.343353271484375, TokenType::Normal},
                   {")", 0, TokenType::UserDefined}};
    return make_tokenizer(spec)->encode(text, false);
  };
  using Ids = std::vector<int32_t>;
  CHECK(encode(-6.067370414733887f, "xaaaaa") == Ids{1, 2, 3, 3});
  CHECK(encode(-1.7293517589569092f, "xaa") == Ids{1, 3});
  CHECK(encode(-0.6630612015724182f, "x))aaaa") == Ids{1, 4, 4, 3, 3});
  CHECK(encode(-0.03172802925109863f, "xxx)aa") == Ids{1, 1, 1, 4, 3});
  CHECK(encode(-0.31662675738334656f, "xx))aaa") == Ids{1, 1, 4, 4, 2, 3});
}

TEST_CASE("runs of one character may share a score where the order of merging makes no difference") {
  const TokenizerSpec spec = read_spec("small_spm.model");
  const auto with_runs = [&](const std::vector<size_t> &lengths) {
    TokenizerSpec more = spec;
    for (const size_t length : lengths) more.tokens.push_back({std::string(length, '~'), -1e9, TokenType::Normal});
    return more;
  };
  const TokenizerSpec four = with_runs({1, 2, 4, 3});  // as Llama-2 has them
  const auto by_score = make_tokenizer(four);
  const auto by_rank = Tokenizer::parse(to_tokenizer_json(four), "four");
  for (size_t length = 1; length < 40; ++length) {
    const std::string text = "x" + std::string(length, '~') + " y";
    CHECK(by_rank->encode(text, false) == by_score->encode(text, false));
  }
  // Of four, scores make a token of three and one of one; ranks make two of two.
  CHECK_THROWS_WITH_AS(to_tokenizer_json(with_runs({1, 2, 3})), doctest::Contains("have the same score"), Error);
}

TEST_CASE("a GGUF file that names no pre-tokenizer gets the one that its tokens tell") {
  std::vector<std::string> notes;
  const auto note = [&](const std::string &what) { notes.push_back(what); };
  const GgufFile file(kFolder + "small_bpe.gguf");
  GgufTokenizer metadata = read_gguf_tokenizer(file);
  CHECK(spec_of_gguf(metadata, "f", note).pre_tokenizer.size() == 2);
  CHECK(notes.empty());
  for (const char *pre : {"", "default"}) {
    metadata.pre = pre;
    check_fixture(*make_tokenizer(spec_of_gguf(metadata, "f", note)), read_json("small_bpe_fixture.json"), true);
    REQUIRE(notes.size() == 1);
    CHECK(notes[0].find("'llama-bpe'") != std::string::npos);
    notes.clear();
  }
  const auto guess = [](const std::vector<std::string> &tokens) {
    return std::string(guess_pre_name(tokens).names[0]);
  };
  CHECK(guess({"a", "1", "9"}) == "qwen2");
  CHECK(guess({"a", "1", "9", "<|begin_of_text|>"}) == "llama-bpe");
  CHECK(guess({"a", "1", "12", "123"}) == "llama-bpe");
  CHECK(guess({"a", "1", "12", "1234"}) == "gpt-2");
  CHECK(guess({"a", "1",
               "\xC4\xA0"
               "1"}) == "gpt-2");
}

TEST_CASE("where the special ids of a GGUF file come from when it has no types, and what is put around a text") {
  const GgufFile file(kFolder + "small_spm.gguf");
  GgufTokenizer metadata = read_gguf_tokenizer(file);
  metadata.types.clear();
  const auto tokenizer = make_tokenizer(spec_of_gguf(metadata, "f"));
  CHECK(tokenizer->is_special(1));
  CHECK(tokenizer->eos() == 2);
  CHECK(tokenizer->bos() == 1);
  CHECK(tokenizer->suffix().empty());
  check_fixture(*tokenizer, read_json("small_spm_fixture.json"), false);
  metadata.add_bos = false;
  metadata.add_eos = true;
  const auto other = make_tokenizer(spec_of_gguf(metadata, "f"));
  CHECK(other->bos() == -1);
  REQUIRE(other->suffix().size() == 1);
  CHECK(other->suffix()[0] == 2);
}

TEST_CASE("a text in pieces: only the first loses the space that encoding adds") {
  const auto tokenizer = make_tokenizer(read_spec("small_spm.model"));
  const auto ids = tokenizer->encode("the the", false);
  REQUIRE(ids.size() == 2);
  CHECK(tokenizer->decode(ids) == "the the");
  CHECK(tokenizer->decode(ids, false, true) == " the the");
  StreamDecoder decoder(*tokenizer, true, true);
  CHECK(decoder.push(ids[1]) == " the");
  // Special tokens that are skipped are not the beginning of the text; those that are shown are.
  CHECK(tokenizer->decode(std::vector<int32_t>{1, ids[0]}, true) == "the");
  CHECK(tokenizer->decode(std::vector<int32_t>{1, ids[0]}) == "<s> the");
}

TEST_CASE("invalid UTF-8 is U+FFFD in every kind, and byte pieces make it again") {
  const json fixture = read_json("llama3_fixture.json");
  for (const char *name : {"small_spm.model", "llama_tokenizer.json", "gemma_tokenizer.json"}) {
    const auto tokenizer = make_tokenizer(read_spec(name));
    for (const json &row : fixture["invalid_utf8"]) {
      const std::string hex = row["hex"], replaced = row["replaced_text"];
      std::string bytes;
      std::vector<int32_t> ids;
      for (size_t i = 0; i < hex.size(); i += 2) {
        bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
        std::string piece = "<0x" + hex.substr(i, 2) + ">";
        for (char &c : piece) c = c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c;
        ids.push_back(tokenizer->find(piece));
      }
      CHECK(tokenizer->encode(bytes, false) == tokenizer->encode(replaced, false));
      CHECK(tokenizer->decode(tokenizer->encode(bytes, false)) == replaced);
      CHECK(tokenizer->decode(ids) == replaced);
      CHECK(stream(*tokenizer, ids) == replaced);
    }
  }
}

// Each of these would take minutes if any step were quadratic.
TEST_CASE("a very long run of one letter, of spaces, of marks, of '<'") {
  const std::string names[] = {"small_bpe_tokenizer.json", "small_spm.model",        "small_unigram.model",
                               "llama_tokenizer.json",     "unigram_tokenizer.json", "types_bpe.model"};
  std::string marks;
  while (marks.size() < 300'000) marks += "\u0301\u0323";
  for (const std::string &name : names) {
    CAPTURE(name);
    const auto tokenizer = make_tokenizer(read_spec(name));
    for (const std::string &text :
         {std::string(300'000, 'a'), std::string(300'000, ' '), std::string(300'000, '<'), marks}) {
      const auto start = std::chrono::steady_clock::now();
      const auto ids = tokenizer->encode(text, false);
      CHECK(ids.size() <= text.size() + 1);
      CHECK(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < 60);
    }
  }
  json file = read_json("small_bpe_tokenizer.json");
  file["normalizer"] = {{"type", "NFC"}};
  file["added_tokens"].push_back({{"id", 2100}, {"content", " "}, {"lstrip", true}, {"special", false}});
  const auto tokenizer = Tokenizer::parse(file.dump(), "nfc");
  CHECK(tokenizer->encode(std::string(300'000, ' '), false).size() == 300'000);
  CHECK(tokenizer->encode(marks, false).size() > 1000);
}
