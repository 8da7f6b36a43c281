#include "runtime/convert/model_files.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>

#include "runtime/io/json.h"
#include "runtime/io/mapped_file.h"
#include "runtime/model/bittern_file.h"

namespace bittern::runtime {
namespace {

constexpr uint64_t kMaxFile = 256 << 20;
// Configurations are written anew from what was understood of them.
constexpr std::array<const char *, 8> kNames{
    "tokenizer.json",    "tokenizer.model",     "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "chat_template.jinja", "modules.json",          "config_sentence_transformers.json"};

bool begins_with(const std::string &path, std::string_view magic) {
  const MappedFile file(path);
  return file.text().starts_with(magic);
}

}  // namespace

ModelFiles read_model_files(const std::string &model_path, const std::function<void(const std::string &)> &) {
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
