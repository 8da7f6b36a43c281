#include "runtime/tokenizer/tokenizer.h"

#include <fmt/format.h>

#include "runtime/error.h"
#include "runtime/io/json.h"
#include "runtime/io/mapped_file.h"
#include "runtime/io/utf8.h"
#include "runtime/tokenizer/byte_level_bpe.h"

namespace bittern::runtime {
namespace {

constexpr uint64_t kMaxFile = 256 << 20;
constexpr JsonLimits kLimits{.depth = 32, .values = 1 << 23};

// A kind of tokenizer.json, by model.type.
struct Kind {
  const char *type;
  std::unique_ptr<Tokenizer> (*make)(const Json &root);
};
constexpr Kind kKinds[] = {
    {"BPE", [](const Json &root) -> std::unique_ptr<Tokenizer> { return std::make_unique<ByteLevelBpe>(root); }},
};

// Moves the decided part of `bytes` to `text`: whole characters, and U+FFFD for what cannot become one.
void take_decided(std::string &bytes, std::string &text) {
  size_t done = 0;
  while (done < bytes.size()) {
    const std::string_view rest = std::string_view(bytes).substr(done);
    const Utf8Step step = utf8_step(rest);
    if (step.incomplete) break;
    text += step.valid ? rest.substr(0, step.length) : kReplacement;
    done += step.length;
  }
  bytes.erase(0, done);
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::load(const std::string &path) {
  const MappedFile file(path, kMaxFile);
  return parse(file.text(), path);
}

std::unique_ptr<Tokenizer> Tokenizer::parse(std::string_view json, const std::string &name) {
  const JsonDocument document(json, name, kLimits);
  const Json root = document.root();
  root.expect(Json::Type::Object);
  const Json type = root.get("model").get("type");
  const std::string type_name = type.string();
  for (const Kind &kind : kKinds) {
    if (type_name == kind.type) return kind.make(root);
  }
  type.fail(fmt::format("'{}' is not supported (supported: byte-level BPE)", type_name));
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string bytes;
  for (const int32_t id : ids) {
    if (!(skip_special && is_special(id))) bytes += token_bytes(id);
  }
  return utf8_sanitize(bytes);
}

std::string StreamDecoder::push(int32_t id) {
  std::string text;
  if (skip_special_ && tokenizer_->is_special(id)) return text;
  held_ += tokenizer_->token_bytes(id);
  take_decided(held_, text);
  return text;
}

std::string StreamDecoder::finish() {
  const std::string text = utf8_sanitize(held_);
  held_.clear();
  return text;
}

}  // namespace bittern::runtime
