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
#include "tuning_db/workers/worker_server.h"

namespace bittern::tuning {
namespace {

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

  WorkerOps ops() {
    WorkerOps ops;
    ops.add<HelloRequest>(RejectionKind::BadRequest, [](const HelloRequest &) { return describe_machine(); });
    ops.add<PutRequest>(RejectionKind::BadRequest, [this](const PutRequest &request) { return put(request); });
    ops.add<ProveRequest>(RejectionKind::Unproved, [this](ProveRequest request, double limit) {
      request.question.references = folder_.path();
      request.library = place(request.library);
      return worker_.call(request, limit);
    });
    ops.add<TimeRequest>(RejectionKind::Unproved, [this](TimeRequest request, double limit) {
      if (runtime::machine_is_emulated()) throw Error("an emulator times nothing");
      for (std::string &library : request.libraries) library = place(library);
      return worker_.call(request, limit);
    });
    return ops;
  }

 private:
  std::string place(const std::string &name) const {
    if (name.empty() || name.find('/') != std::string::npos || name[0] == '.')
      throw Error(fmt::format("\"{}\" is not a plain file name", name));
    return folder_.path() + "/" + name;
  }

  PutAnswer put(const PutRequest &request) {
    const std::string bytes = from_base64(request.bytes), hash = sha256_hex(bytes);
    if (hash != request.sha256) throw Error("the bytes that arrived have another hash");
    write_private(place(request.name), bytes);
    return {hash};
  }

  RunFolder folder_;
  Worker worker_;
};

}  // namespace

HelloAnswer describe_machine() {
  const runtime::Fingerprint &f = runtime::machine_fingerprint();
  return {kRunnerProtocol,
          f.id(),
          f.vendor,
          f.brand,
          f.family,
          f.model,
          f.stepping,
          f.isa,
          f.generator,
          runtime::machine_is_emulated(),
          runtime::machine_cores(),
          runtime::last_level_cache_bytes()};
}

int serve_runner(int input, int output) {
  Session session;
  const WorkerOps ops = session.ops();
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
    const std::string line = pending.substr(0, end);
    pending.erase(0, end + 1);
    if (!write_all(output, ops.serve(line))) return 1;
  }
}

}  // namespace bittern::tuning
