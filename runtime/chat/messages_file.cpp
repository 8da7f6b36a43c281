// Conversations in files.
#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "runtime/chat/session.h"
#include "runtime/io/atomic_file.h"
#include "runtime/io/json.h"
#include "runtime/io/mapped_file.h"
#include "runtime/io/utf8.h"

namespace bittern::runtime {
namespace {

constexpr uint64_t kMaxFile = 64 << 20;
constexpr std::array<std::string_view, 3> kRoles = {"system", "user", "assistant"};

}  // namespace

void save_messages(const std::string &path, const std::vector<Message> &messages) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Message &message : messages)
    list.push_back({{"role", message.role}, {"content", utf8_sanitize(message.content)}});
  const std::string text = nlohmann::ordered_json{{"messages", list}}.dump(2) + "\n";
  write_file_atomically(path, text, {.on_disk = true});
}

std::vector<Message> load_messages(const std::string &path) {
  const MappedFile file(path, kMaxFile);
  const JsonDocument document(file.text(), path);
  const Json root = document.root();
  const Json list = root.is(Json::Type::Array) ? root : root.get("messages");
  list.expect(Json::Type::Array);
  std::vector<Message> messages;
  for (const Json entry : list) {
    Message message{entry.get("role").string(), entry.get("content").string()};
    if (std::find(kRoles.begin(), kRoles.end(), message.role) == kRoles.end())
      entry.get("role").fail(fmt::format("'{}' is not system, user or assistant", message.role));
    if (message.role == "system" && !messages.empty()) entry.get("role").fail("a system message that is not the first");
    messages.push_back(std::move(message));
  }
  return messages;
}

}  // namespace bittern::runtime
