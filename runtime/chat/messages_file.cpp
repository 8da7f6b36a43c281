// Conversations in files.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "runtime/chat/session.h"
#include "runtime/error.h"
#include "runtime/io/json.h"
#include "runtime/io/mapped_file.h"
#include "runtime/io/utf8.h"

namespace bittern::runtime {
namespace {

constexpr uint64_t kMaxFile = 64 << 20;
constexpr std::array<std::string_view, 3> kRoles = {"system", "user", "assistant"};

bool write_all(int fd, const std::string &bytes) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t wrote = write(fd, bytes.data() + done, bytes.size() - done);
    if (wrote < 0 && errno != EINTR) return false;
    if (wrote > 0) done += static_cast<size_t>(wrote);
  }
  return true;
}

}  // namespace

void save_messages(const std::string &path, const std::vector<Message> &messages) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Message &message : messages)
    list.push_back({{"role", message.role}, {"content", utf8_sanitize(message.content)}});
  const std::string text = nlohmann::ordered_json{{"messages", list}}.dump(2) + "\n";
  const std::string temporary = fmt::format("{}.{}.part", path, getpid());
  unlink(temporary.c_str());  // left by a killed process of the same id
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) throw Error(fmt::format("{}: cannot create: {}", path, std::strerror(errno)));
  const bool written = write_all(fd, text) && fsync(fd) == 0;
  const int failure = errno;
  const bool closed = close(fd) == 0;
  if (!written || !closed || rename(temporary.c_str(), path.c_str()) != 0) {
    const int why = !written ? failure : errno;
    unlink(temporary.c_str());
    throw Error(fmt::format("{}: cannot write: {}", path, std::strerror(why)));
  }
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
