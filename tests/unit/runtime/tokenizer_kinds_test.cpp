// Every kind of tokenizer and every file it comes from against what the reference implementations (sentencepiece,
// tokenizers) give. tests/data/tokenizer/make_fixtures.py wrote the files.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/io/mapped_file.h"
#include "runtime/io/utf8.h"
#include "runtime/tokenizer/gguf_tokenizer.h"
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
  check_fixture(*make_tokenizer(spec), read_json("llama2_spm_fixture.json"), false);
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
