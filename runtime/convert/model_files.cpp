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
constexpr std::array<const char *, 6> kFileNames{"tokenizer.json",        "tokenizer.model",
                                                 "tokenizer_config.json", "special_tokens_map.json",
                                                 "added_tokens.json",     "chat_template.jinja"};

bool begins_with(const std::string &path, std::string_view magic) {
  const MappedFile file(path);
  return file.text().starts_with(magic);
}

// What transformers wants to know beside tokenizer.json, and chat templates use by name.
std::string tokenizer_config(const TokenizerSpec &spec, const std::map<std::string, std::string> &templates) {
  nlohmann::ordered_json out;
  out["tokenizer_class"] = "PreTrainedTokenizerFast";
  const auto token = [&](const char *name, int32_t id) {
    if (id >= 0 && static_cast<size_t>(id) < spec.tokens.size()) out[name] = spec.tokens[static_cast<size_t>(id)].text;
  };
  token("bos_token", spec.bos);
  token("eos_token", spec.eos);
  token("unk_token", spec.unk);
  token("pad_token", spec.pad);
  // One template has a file of its own; several stand here by name.
  for (const auto &[name, text] : templates) {
    if (templates.size() > 1) out["chat_template"].push_back({{"name", name}, {"template", text}});
  }
  return out.dump(2) + "\n";
}

ModelFiles files_of_gguf(const std::string &path, const std::function<void(const std::string &)> &note) {
  const GgufFile file(path);
  ModelFiles files;
  constexpr std::string_view kTemplate = "tokenizer.chat_template";
  std::map<std::string, std::string> templates;
  for (const GgufValue &value : file.metadata()) {
    if (value.type() != GgufType::String || !value.key().starts_with(kTemplate)) continue;
    const std::string_view rest = value.key().substr(kTemplate.size());
    if (rest.empty()) templates["default"] = value.string();
    if (rest.starts_with('.')) templates[std::string(rest.substr(1))] = value.string();
  }
  if (file.find("tokenizer.ggml.tokens")) {
    const TokenizerSpec spec = read_tokenizer_spec(path, note);
    files["tokenizer.json"] = to_tokenizer_json(spec);
    files["tokenizer_config.json"] = tokenizer_config(spec, templates);
  }
  if (templates.size() == 1) files["chat_template.jinja"] = templates.begin()->second;
  return files;
}

}  // namespace

ModelFiles read_model_files(const std::string &model_path, const std::function<void(const std::string &)> &note) {
  ModelFiles files;
  std::error_code status;
  if (std::filesystem::is_directory(model_path, status)) {
    for (const char *name : kFileNames) {
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

std::map<std::string, std::string> chat_templates_of(const ModelFiles &files) {
  std::map<std::string, std::string> out;
  if (const auto config = files.find("tokenizer_config.json"); config != files.end()) {
    const JsonDocument document(config->second, config->first);
    const auto field = document.root().find_value("chat_template");
    if (field && field->is(Json::Type::String)) out[""] = field->string();
    if (field && field->is(Json::Type::Array)) {
      for (const Json entry : *field) {
        const std::string name = entry.get("name").string();
        out[name == "default" ? "" : name] = entry.get("template").string();
      }
    }
  }
  if (const auto found = files.find("chat_template.jinja"); found != files.end()) out[""] = found->second;
  return out;
}

}  // namespace bittern::runtime
