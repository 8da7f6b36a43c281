#include "runtime/tokenizer/tokenizer.h"

#include <fmt/format.h>

#include "runtime/error.h"
#include "runtime/io/mapped_file.h"
#include "runtime/io/utf8.h"
#include "runtime/tokenizer/tokenizer_json.h"

namespace bittern::runtime {
namespace {

constexpr uint64_t kMaxTokenizerFile = 256 << 20;
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

// `bytes` without up to `strip` spaces at the beginning; the first other byte ends the stripping.
std::string_view without_first_spaces(std::string_view bytes, int32_t &strip) {
  for (; strip > 0 && !bytes.empty(); --strip) {
    if (bytes[0] != ' ') {
      strip = 0;
      break;
    }
    bytes.remove_prefix(1);
  }
  return bytes;
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::load(const std::string &path) {
  const MappedFile file(path, kMaxTokenizerFile);
  return parse(file.text(), path);
}

std::unique_ptr<Tokenizer> Tokenizer::parse(std::string_view json, const std::string &name) {
  return make_tokenizer(parse_tokenizer_json(json, name));
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special, bool continuation) const {
  std::string bytes;
  int32_t strip = continuation ? 0 : strip_spaces();
  for (const int32_t id : ids) {
    if (!(skip_special && is_special(id))) bytes += without_first_spaces(token_bytes(id), strip);
  }
  return utf8_sanitize(bytes);
}

std::string StreamDecoder::push(int32_t id) {
  std::string text;
  if (skip_special_ && tokenizer_->is_special(id)) return text;
  held_ += without_first_spaces(tokenizer_->token_bytes(id), strip_spaces_);
  take_decided(held_, text);
  return text;
}

std::string StreamDecoder::finish() {
  const std::string text = utf8_sanitize(held_);
  held_.clear();
  return text;
}

}  // namespace bittern::runtime
