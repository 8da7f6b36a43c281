// See worker_server.h.
#include "tuning_db/workers/worker_server.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "tuning_db/workers/kernel_service.h"

namespace bittern::tuning {
namespace {

WorkerStatus *status_page = nullptr;

bool read_line(std::string &line) {
  line.clear();
  static std::string rest;
  for (;;) {
    if (const size_t end = rest.find('\n'); end != std::string::npos) {
      line = rest.substr(0, end);
      rest.erase(0, end + 1);
      return true;
    }
    char buffer[65536];
    const ssize_t n = read(kWorkerSocket, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    rest.append(buffer, static_cast<size_t>(n));
  }
}

}  // namespace

bool write_all(int file, const std::string &text) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t n = write(file, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

std::string WorkerOps::serve(const std::string &line) const {
  int64_t seq = 0;
  RejectionKind kind = RejectionKind::BadRequest;
  try {
    const IncomingRequest request = read_request(line);
    seq = request.envelope.seq;
    const auto row = rows_.find(request.op);
    if (row == rows_.end()) throw BadMessage(fmt::format("unknown request \"{}\"", request.op));
    kind = row->second.kind;
    return row->second.answer(request);
  } catch (const WorkerFailure &failure) {  // of this worker's own worker
    return failure_line({failure.kind, failure.kernel, failure.what()}, seq);
  } catch (const Rejected &rejected) {
    return failure_line({rejected.kind, -1, rejected.what()}, seq);
  } catch (const BadMessage &bad) {
    return failure_line({RejectionKind::BadRequest, -1, bad.what()}, seq);
  } catch (const std::exception &error) {
    return failure_line({kind, -1, error.what()}, seq);
  }
}

void say_status(const std::string &text, int64_t kernel) {
  if (!status_page) return;
  status_page->kernel = kernel;
  const size_t length = std::min(text.size(), sizeof status_page->text - 1);
  std::memcpy(status_page->text, text.data(), length);
  status_page->text[length] = 0;
}

int serve_worker(const WorkerOps &more) {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  void *page = mmap(nullptr, sizeof(WorkerStatus), PROT_READ | PROT_WRITE, MAP_SHARED, kWorkerStatus, 0);
  if (page != MAP_FAILED) status_page = static_cast<WorkerStatus *>(page);
  // A parent that is killed cannot say goodbye; its end of the socket closes, even while a kernel hangs here.
  std::thread([] {
    pollfd parent{kWorkerSocket, 0, 0};
    while (poll(&parent, 1, -1) < 0 || (parent.revents & (POLLHUP | POLLERR)) == 0) {
    }
    _exit(0);
  }).detach();

  WorkerOps ops = more;
  add_kernel_service(ops);
  for (std::string line; read_line(line);) {
    const std::string answer = ops.serve(line);
    set_call_alarm(0);
    say_status("");
    if (!write_all(kWorkerSocket, answer)) break;
  }
  return 0;
}

}  // namespace bittern::tuning
