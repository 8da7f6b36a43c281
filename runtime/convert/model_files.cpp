#include "runtime/convert/model_files.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "runtime/io/json.h"
#include "runtime/io/mapped_file.h"
#include "runtime/model/bittern_file.h"
#include "runtime/model/gguf_file.h"
#include "runtime/tokenizer/open_tokenizer.h"
#include "runtime/tokenizer/tokenizer_json.h"

namespace bittern::runtime {
namespace {

constexpr uint64_t kMaxFile = 256 << 20;
// Configurations are written anew from what was understood of them.
constexpr std::array<const char *, 6> kNames{"tokenizer.json",          "tokenizer.model",   "tokenizer_config.json",
                                             "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"};

bool begins_with(const std::string &path, std::string_view magic) {
  const MappedFile file(path);
  return file.text().starts_with(magic);
}

// What transformers wants to know beside tokenizer.json, and chat templates use by name.
std::string tokenizer_config(const TokenizerSpec &spec) {
  nlohmann::ordered_json out;
  out["tokenizer_class"] = "PreTrainedTokenizerFast";
  const auto token = [&](const char *name, int32_t id) {
    if (id >= 0 && static_cast<size_t>(id) < spec.tokens.size()) out[name] = spec.tokens[static_cast<size_t>(id)].text;
  };
  token("bos_token", spec.bos);
  token("eos_token", spec.eos);
  token("unk_token", spec.unk);
  token("pad_token", spec.pad);
  return out.dump(2) + "\n";
}

ModelFiles files_of_gguf(const std::string &path, const std::function<void(const std::string &)> &note) {
  const GgufFile file(path);
  ModelFiles files;
  if (file.find("tokenizer.ggml.tokens")) {
    const TokenizerSpec spec = read_tokenizer_spec(path, note);
    files["tokenizer.json"] = to_tokenizer_json(spec);
    files["tokenizer_config.json"] = tokenizer_config(spec);
  }
  if (const GgufValue *text = file.find("tokenizer.chat_template")) files["chat_template.jinja"] = text->string();
  return files;
}

}  // namespace

ModelFiles read_model_files(const std::string &model_path, const std::function<void(const std::string &)> &note) {
  ModelFiles files;
  std::error_code status;
  if (std::filesystem::is_directory(model_path, status)) {
    for (const char *name : kNames) {
      const std::string path = fmt::format("{}/{}", model_path, name);
      if (std::filesystem::is_regular_file(path, status)) files[name] = std::string(MappedFile(path, kMaxFile).text());
    }
  } else if (begins_with(model_path, kBitternMagic)) {
    const BitternFile file(model_path);
    for (const auto &[name, section] : file.files()) files[name] = file.text(section);
  } else if (begins_with(model_path, "GGUF")) {
    files = files_of_gguf(model_path, note);
  }
  return files;
}

std::string chat_template_of(const ModelFiles &files) {
  if (const auto found = files.find("chat_template.jinja"); found != files.end()) return found->second;
  const auto config = files.find("tokenizer_config.json");
  if (config == files.end()) return "";
  const JsonDocument document(config->second, config->first);
  const auto text = document.root().find_value("chat_template");
  return text && text->is(Json::Type::String) ? text->string() : "";
}

}  // namespace bittern::runtime
