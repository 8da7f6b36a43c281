#include "runtime/tokenizer/open_tokenizer.h"

#include <fmt/format.h>

#include <filesystem>
#include <string_view>

#include "runtime/error.h"
#include "runtime/io/json.h"
#include "runtime/io/mapped_file.h"
#include "runtime/model/bittern_file.h"
#include "runtime/model/gguf_file.h"
#include "runtime/tokenizer/gguf_tokenizer.h"
#include "runtime/tokenizer/sentencepiece_model.h"
#include "runtime/tokenizer/tokenizer_json.h"

namespace bittern::runtime {
namespace {

constexpr uint64_t kMaxFile = 256 << 20;

TokenizerSpec read_json(const std::string &path, const TokenizerNote &) {
  const MappedFile file(path, kMaxFile);
  return parse_tokenizer_json(file.text(), path);
}

// A tokenizer.model does not say what is put around a text; the file that Hugging Face keeps beside it may.
void read_ends(const std::string &path, TokenizerSpec &spec) {
  std::error_code status;
  if (!std::filesystem::exists(path, status)) return;
  const MappedFile file(path, kMaxFile);
  const JsonDocument document(file.text(), path);
  const Json root = document.root();
  root.expect(Json::Type::Object);
  const auto bos = root.find_value("add_bos_token"), eos = root.find_value("add_eos_token");
  if (bos && !bos->boolean()) spec.prefix.clear();
  if (eos && eos->boolean() && spec.eos >= 0) spec.suffix = {spec.eos};
}

// tokenizer.model is SentencePiece's name, which Meta used again for Llama-3's list of base64 tokens.
TokenizerSpec read_model(const std::string &path, const TokenizerNote &) {
  const MappedFile file(path, kMaxFile);
  if (file.text().starts_with("IQ== 0\n")) {
    throw Error(path + ": a tiktoken vocabulary, which does not say how text is cut; a tokenizer.json does");
  }
  TokenizerSpec spec = parse_sentencepiece_model(file.text(), path);
  read_ends(std::filesystem::path(path).replace_filename("tokenizer_config.json"), spec);
  return spec;
}

TokenizerSpec read_gguf(const std::string &path, const TokenizerNote &note) {
  const GgufFile file(path);
  return read_gguf_spec(file, note);
}

// The file that a Bittern file holds under one of the names that a folder has, if any.
const BitternSection *tokenizer_in(const BitternFile &file) {
  for (const char *name : {"tokenizer.json", "tokenizer.model"}) {
    if (const auto found = file.files().find(name); found != file.files().end()) return &found->second;
  }
  return nullptr;
}

TokenizerSpec read_bittern(const std::string &path, const TokenizerNote &) {
  const BitternFile file(path);
  const BitternSection *section = tokenizer_in(file);
  if (!section) throw Error(path + ": there is no tokenizer in it, which text needs (logits, info and explain do not)");
  const std::string name = fmt::format("{}: {}", path, section->name), text = file.text(*section);
  return section->name == "tokenizer.json" ? parse_tokenizer_json(text, name) : parse_sentencepiece_model(text, name);
}

struct Reader {
  std::string_view what;  // a name in a folder, or a file's first bytes
  TokenizerSpec (*read)(const std::string &path, const TokenizerNote &note);
};
constexpr Reader kFolderFiles[] = {{"tokenizer.json", read_json}, {"tokenizer.model", read_model}};
constexpr Reader kFileFormats[] = {{"GGUF", read_gguf}, {kBitternMagic, read_bittern}};

struct Found {
  std::string path;
  const Reader *reader = nullptr;
};

Found find(const std::string &model_path) {
  std::error_code status;
  if (std::filesystem::is_directory(model_path, status)) {
    for (const Reader &reader : kFolderFiles) {
      const std::string path = fmt::format("{}/{}", model_path, reader.what);
      if (std::filesystem::exists(path, status)) return {path, &reader};
    }
    return {};
  }
  const MappedFile file(model_path);
  for (const Reader &reader : kFileFormats) {
    if (file.text().starts_with(reader.what)) return {model_path, &reader};
  }
  return {};
}

}  // namespace

TokenizerSpec read_tokenizer_spec(const std::string &model_path, const TokenizerNote &note) {
  const Found found = find(model_path);
  if (!found.reader) {
    throw Error(model_path +
                ": there is no tokenizer.json or tokenizer.model, which text needs (logits, info and explain do not)");
  }
  return found.reader->read(found.path, note);
}

std::unique_ptr<Tokenizer> open_tokenizer(const std::string &model_path, const TokenizerNote &note) {
  return make_tokenizer(read_tokenizer_spec(model_path, note));
}

std::string find_tokenizer(const std::string &model_path) { return find(model_path).path; }

}  // namespace bittern::runtime
