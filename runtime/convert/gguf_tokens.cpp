#include "runtime/convert/gguf_tokens.h"

#include <fmt/format.h>

#include <array>

#include "runtime/convert/model_files.h"
#include "runtime/tokenizer/gguf_tokenizer.h"

namespace bittern::runtime {
namespace {

void add_id(GgufMetadata &metadata, const char *key, int32_t id) {
  if (id >= 0) metadata.u32(key, static_cast<uint32_t>(id));
}

void add_flag(GgufMetadata &metadata, const char *key, const std::optional<bool> &flag) {
  if (flag) metadata.boolean(key, *flag);
}

// The tokenizer's own arrays.
void add_vocabulary(const GgufTokenizer &t, GgufMetadata &metadata) {
  metadata.string("tokenizer.ggml.model", t.model);
  if (!t.pre.empty()) metadata.string("tokenizer.ggml.pre", t.pre);
  metadata.strings("tokenizer.ggml.tokens", t.tokens);
  if (!t.scores.empty()) metadata.f32s("tokenizer.ggml.scores", t.scores);
  if (!t.types.empty()) metadata.i32s("tokenizer.ggml.token_type", t.types);
  if (!t.merges.empty()) metadata.strings("tokenizer.ggml.merges", t.merges);
  add_id(metadata, "tokenizer.ggml.unknown_token_id", t.unk);
  add_id(metadata, "tokenizer.ggml.padding_token_id", t.pad);
  add_flag(metadata, "tokenizer.ggml.add_eos_token", t.add_eos);
  add_flag(metadata, "tokenizer.ggml.add_space_prefix", t.add_space_prefix);
  add_flag(metadata, "tokenizer.ggml.remove_extra_whitespaces", t.remove_extra_whitespaces);
  if (!t.charsmap.empty()) metadata.u8s("tokenizer.ggml.precompiled_charsmap", t.charsmap);
  if (!t.huggingface_json.empty()) metadata.string("tokenizer.huggingface.json", t.huggingface_json);
}

}  // namespace

void add_gguf_tokens(const Conversion &conversion, GgufMetadata &metadata) {
  const ModelConfig &c = conversion.config();
  const std::optional<TokenizerSpec> spec = conversion.tokenizer ? conversion.tokenizer() : std::nullopt;
  GgufTokenizer t;
  if (spec) {
    t = gguf_of_spec(*spec, c.vocab);
    add_vocabulary(t, metadata);
  } else {
    // No vocabulary, in the word that llama.cpp of any age knows; "none" is a newer one.
    metadata.string("tokenizer.ggml.model", "no_vocab");
  }
  // A model's own BOS goes in front of a text also where its tokenizer.json does not say so.
  const bool own_bos = c.bos >= 0 && !(t.add_bos && *t.add_bos);
  add_id(metadata, "tokenizer.ggml.bos_token_id", own_bos ? c.bos : t.bos);
  add_flag(metadata, "tokenizer.ggml.add_bos_token", own_bos ? std::optional(true) : t.add_bos);
  // The first is EOS, which some tokenizers append; then what else ends a text.
  std::vector<int32_t> stops = c.eos;
  if (t.eos >= 0 && (stops.empty() || (t.add_eos && *t.add_eos && stops[0] != t.eos))) {
    stops.insert(stops.begin(), t.eos);
  }
  constexpr std::array<const char *, 3> kStops{"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                               "tokenizer.ggml.eom_token_id"};
  for (size_t i = 0; i < stops.size() && i < kStops.size(); ++i) add_id(metadata, kStops[i], stops[i]);
  if (stops.size() > kStops.size() && conversion.note) {
    conversion.note(
        fmt::format("GGUF names {} tokens that end a text, this model has {}: the others are not in the file",
                    kStops.size(), stops.size()));
  }
  std::vector<std::string> named;
  for (const auto &[name, text] : chat_templates_of(conversion.files)) {
    metadata.string(name.empty() ? "tokenizer.chat_template" : "tokenizer.chat_template." + name, text);
    if (!name.empty()) named.push_back(name);
  }
  if (!named.empty()) metadata.strings("tokenizer.chat_templates", named);
}

}  // namespace bittern::runtime
