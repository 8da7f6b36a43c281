// Where a model keeps its chat template and the texts of its special tokens: files of its folder, the same inside a
// Bittern file, or GGUF metadata.
#include <fmt/format.h>
#include <sys/stat.h>

#include <memory>
#include <optional>

#include "runtime/chat/chat_template.h"
#include "runtime/chat/jinja/lexer.h"
#include "runtime/error.h"
#include "runtime/io/json.h"
#include "runtime/io/mapped_file.h"
#include "runtime/model/bittern_file.h"
#include "runtime/model/gguf_file.h"

namespace bittern::runtime {
namespace {

constexpr uint64_t kMaxConfig = 64 << 20;  // a tokenizer_config.json that lists every added token is large

bool is_file(const std::string &path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}
bool is_folder(const std::string &path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

ChatTemplateText read_template_file(const std::string &path) {
  return {path, std::string(MappedFile(path, jinja::kMaxTemplate).text())};
}

// What a model's files say.
struct Found {
  std::optional<ChatTemplateText> main;
  std::vector<std::pair<std::string, ChatTemplateText>> named;  // tokenizer_config.json may have several
  std::optional<std::string> bos, eos;
};

// A token as tokenizer_config.json writes it: its text, or an object with it as "content".
std::optional<std::string> token_text(const Json &root, const char *key) {
  const auto found = root.find_value(key);
  if (!found) return std::nullopt;
  return found->is(Json::Type::Object) ? found->get("content").string() : found->string();
}

void read_config(std::string_view json, const std::string &path, Found &found) {
  const JsonDocument document(json, path);
  const Json root = document.root();
  root.expect(Json::Type::Object);
  found.bos = token_text(root, "bos_token");
  found.eos = token_text(root, "eos_token");
  const auto field = root.find_value("chat_template");
  if (!field) return;
  const std::string name = path + ": chat_template";
  if (field->is(Json::Type::String)) {
    found.main = ChatTemplateText{name, field->string()};
    return;
  }
  if (!field->is(Json::Type::Array)) field->fail("must be a string or a list of named templates");
  for (const Json entry : *field) {
    const std::string key = entry.get("name").string();
    ChatTemplateText text{fmt::format("{} '{}'", name, key), entry.get("template").string()};
    if (key == "default") found.main = text;
    found.named.emplace_back(key, std::move(text));
  }
}

Found read_folder(const std::string &folder) {
  Found found;
  const std::string config = folder + "/tokenizer_config.json";
  if (is_file(config)) read_config(MappedFile(config, kMaxConfig).text(), config, found);
  if (is_file(folder + "/chat_template.jinja")) found.main = read_template_file(folder + "/chat_template.jinja");
  return found;
}

// The same files, inside a Bittern file.
Found read_bittern(const std::string &path) {
  Found found;
  const BitternFile file(path);
  const auto with = [&](const char *name, const auto &use) {
    if (const auto at = file.files().find(name); at != file.files().end())
      use(path + ": " + name, file.text(at->second));
  };
  with("tokenizer_config.json",
       [&](const std::string &name, const std::string &text) { read_config(text, name, found); });
  with("chat_template.jinja",
       [&](const std::string &name, std::string text) { found.main = ChatTemplateText{name, std::move(text)}; });
  return found;
}

// "tokenizer.chat_template" is the default, "tokenizer.chat_template.NAME" are others.
Found read_gguf(const std::string &path) {
  constexpr std::string_view kKey = "tokenizer.chat_template";
  Found found;
  const GgufFile file(path);
  for (const GgufValue &value : file.metadata()) {
    if (!value.key().starts_with(kKey) || value.type() != GgufType::String) continue;
    const std::string_view rest = value.key().substr(kKey.size());
    ChatTemplateText text{fmt::format("{}: {}", path, value.key()), std::string(value.string())};
    if (rest.empty())
      found.main = std::move(text);
    else if (rest[0] == '.')
      found.named.emplace_back(rest.substr(1), std::move(text));
  }
  return found;
}

std::string token_of(const Tokenizer &tokenizer, int32_t id) {
  return id >= 0 && id < tokenizer.vocab_size() ? tokenizer.token_bytes(id) : "";
}

std::string builtin_names() {
  std::string names;
  for (const BuiltinTemplate &row : builtin_templates()) names += (names.empty() ? "" : ", ") + std::string(row.name);
  return names;
}

ChatTemplateText builtin(const BuiltinTemplate &row) {
  return {fmt::format("built-in template {}", row.name), std::string(row.text)};
}

ChatTemplateText choose(const Found &found, const std::string &model_path, const ModelConfig &config,
                        const Tokenizer &tokenizer, const std::string &wanted) {
  if (!wanted.empty()) {
    for (const auto &[name, text] : found.named)
      if (name == wanted) return text;
    for (const BuiltinTemplate &row : builtin_templates())
      if (row.name == wanted) return builtin(row);
    if (is_file(wanted)) return read_template_file(wanted);
    throw Error(
        fmt::format("--chat-template {}: neither a file nor a known template (known: {})", wanted, builtin_names()));
  }
  if (found.main) return *found.main;
  if (const BuiltinTemplate *row = recognise_template(tokenizer, config.architecture)) return builtin(*row);
  throw Error(
      fmt::format("{}: has no chat template, and its vocabulary is that of no family with a built-in one; "
                  "--chat-template names one of {}, or a file",
                  model_path, builtin_names()));
}

}  // namespace

ChatTemplate find_chat_template(const std::string &model_path, const ModelConfig &config, const Tokenizer &tokenizer,
                                const std::string &wanted) {
  Found found;
  if (is_folder(model_path))
    found = read_folder(model_path);
  else if (is_file(model_path) && MappedFile(model_path).text().starts_with("GGUF"))
    found = read_gguf(model_path);
  else if (is_file(model_path) && MappedFile(model_path).text().starts_with(kBitternMagic))
    found = read_bittern(model_path);
  ChatVariables variables;
  const int32_t bos = tokenizer.bos() >= 0 ? tokenizer.bos() : config.bos;
  const int32_t eos = tokenizer.eos() >= 0 ? tokenizer.eos() : config.eos.empty() ? -1 : config.eos[0];
  variables.bos_token = found.bos ? *found.bos : token_of(tokenizer, bos);
  variables.eos_token = found.eos ? *found.eos : token_of(tokenizer, eos);
  return ChatTemplate(choose(found, model_path, config, tokenizer, wanted), std::move(variables));
}

}  // namespace bittern::runtime
