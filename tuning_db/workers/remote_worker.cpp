#include "tuning_db/workers/remote_worker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sodium.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>

#include "compiler/error.h"
#include "runtime/machine/machine.h"
#include "tuning_db/proof/problem.h"
#include "tuning_db/workers/run_folder.h"
#include "tuning_db/workers/worker.h"

namespace bittern::tuning {
namespace {

using nlohmann::json;

constexpr size_t kLongestRequest = size_t{256} << 20;

// A file that its owner alone may read, as the pack loader demands.
void write_private(const std::string &path, const std::string &bytes) {
  unlink(path.c_str());
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  size_t done = 0;
  while (file >= 0 && done < bytes.size()) {
    const ssize_t n = write(file, bytes.data() + done, bytes.size() - done);
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  const std::string why = std::strerror(errno);
  if (file >= 0) close(file);
  if (file < 0 || done != bytes.size()) throw Error(fmt::format("cannot write {}: {}", path, why));
}

std::string from_base64(const std::string &text) {
  std::string bytes(text.size() / 4 * 3 + 3, '\0');
  size_t length = 0;
  if (sodium_base642bin(reinterpret_cast<unsigned char *>(bytes.data()), bytes.size(), text.data(), text.size(),
                        nullptr, &length, nullptr, sodium_base64_VARIANT_ORIGINAL) != 0)
    throw Error("the bytes are not base64");
  bytes.resize(length);
  return bytes;
}

class Session {
 public:
  Session()
      : folder_(std::filesystem::temp_directory_path() / fmt::format("bittern-worker-{}", getuid())),
        worker_({"", {}, false, [] { return serve_worker({}); }}) {}

  json answer(const json &request) {
    const auto op = request.at("op").get<std::string>();
    if (op == "hello") return describe_machine();
    if (op == "put") return put(request);
    if (op != "prove" && op != "time") throw Error(fmt::format("unknown request \"{}\"", op));
    json own = request;
    own["references"] = folder_.path();
    if (op == "prove") own["library"] = place(request.at("library"));
    if (op == "time") {
      if (runtime::machine_is_emulated()) throw Error("an emulator times nothing");
      for (json &library : own.at("libraries")) library = place(library);
    }
    return worker_.call(own, request.at("limit"));
  }

 private:
  std::string place(const std::string &name) const {
    if (name.empty() || name.find('/') != std::string::npos || name[0] == '.')
      throw Error(fmt::format("\"{}\" is not a plain file name", name));
    return folder_.path() + "/" + name;
  }

  json put(const json &request) {
    const std::string bytes = from_base64(request.at("bytes").get<std::string>());
    const std::string hash = sha256_hex(bytes);
    if (hash != request.at("sha256").get<std::string>()) throw Error("the bytes that arrived have another hash");
    write_private(place(request.at("name")), bytes);
    return {{"sha256", hash}};
  }

  RunFolder folder_;
  Worker worker_;
};

bool write_all(int output, const std::string &text) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t n = write(output, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

}  // namespace

json describe_machine() {
  const runtime::Fingerprint &f = runtime::machine_fingerprint();
  return {{"protocol", kRunnerProtocol},
          {"fingerprint", f.id()},
          {"vendor", f.vendor},
          {"brand", f.brand},
          {"family", f.family},
          {"model", f.model},
          {"stepping", f.stepping},
          {"isa", f.isa},
          {"generator", f.generator},
          {"emulated", runtime::machine_is_emulated()},
          {"cores", runtime::machine_cores()},
          {"cache_bytes", runtime::last_level_cache_bytes()}};
}

int serve_runner(int input, int output) {
  Session session;
  std::string pending;
  char buffer[65536];
  for (;;) {
    const size_t end = pending.find('\n');
    if (end == std::string::npos) {
      if (pending.size() > kLongestRequest) return 1;
      const ssize_t n = read(input, buffer, sizeof buffer);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return 0;
      pending.append(buffer, static_cast<size_t>(n));
      continue;
    }
    const json request =
        json::parse(pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    pending.erase(0, end + 1);
    json reply;
    try {
      if (!request.is_object()) throw Error("the request is not a JSON object");
      reply = session.answer(request);
      reply["ok"] = true;
    } catch (const WorkerFailure &failure) {
      reply = {{"ok", false}, {"died", true}, {"error", failure.what()}};
    } catch (const std::exception &error) {
      reply = {{"ok", false}, {"error", error.what()}};
    }
    if (request.is_object() && request.contains("seq")) reply["seq"] = request["seq"];
    if (!write_all(output, reply.dump(-1, ' ', false, json::error_handler_t::replace) + "\n")) return 1;
  }
}

}  // namespace bittern::tuning
