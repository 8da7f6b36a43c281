#include "tuning_db/workers/worker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <new>
#include <thread>
#include <utility>

extern char **environ;

namespace bittern::tuning {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kLongestReply = size_t{64} << 20;

// Out of the way of the numbers that the child's descriptors get.
int moved_up(int fd) {
  const int moved = fcntl(fd, F_DUPFD_CLOEXEC, 20);
  close(fd);
  return moved;
}

int memory_file(const char *name) { return moved_up(memfd_create(name, MFD_CLOEXEC)); }

std::string signal_name(int signal) {
  switch (signal) {
    case SIGSEGV:
      return "memory fault";
    case SIGBUS:
      return "bus error";
    case SIGILL:
      return "illegal instruction";
    case SIGFPE:
      return "arithmetic fault";
    case SIGALRM:
      return "hang";
    case SIGABRT:
      return "aborted";
    case SIGKILL:
      return "killed";
    default:
      return fmt::format("signal {}", signal);
  }
}

}  // namespace

Worker::Worker(WorkerCommand command, const std::atomic<bool> *cancel)
    : command_(std::move(command)), cancel_(cancel) {}

Worker::~Worker() { stop(); }

void Worker::start() {
  ++restarts_;
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    throw Error(fmt::format("worker: no socket: {}", std::strerror(errno)));
  socket_ = moved_up(ends[0]);
  const int theirs = moved_up(ends[1]);
  const int status = memory_file("worker-status");
  errors_ = memory_file("worker-errors");
  if (socket_ < 0 || theirs < 0 || status < 0 || errors_ < 0 || ftruncate(status, sizeof(WorkerStatus)) != 0)
    throw Error("worker: no file descriptors");
  void *page = mmap(nullptr, sizeof(WorkerStatus), PROT_READ | PROT_WRITE, MAP_SHARED, status, 0);
  if (page == MAP_FAILED) throw Error("worker: no memory");
  status_ = new (page) WorkerStatus;

  const int error = spawn(theirs, status);
  close(theirs);
  close(status);
  if (error != 0) {
    pid_ = -1;
    throw Error(fmt::format("worker: cannot start {}: {}", command_.program, std::strerror(error)));
  }
}

// Gives the error's number, or 0.
int Worker::spawn(int socket, int status) {
  if (command_.serve) {
    pid_ = fork();
    if (pid_ != 0) return pid_ < 0 ? errno : 0;
    const int quiet = open("/dev/null", O_RDWR | O_CLOEXEC);
    const std::pair<int, int> descriptors[] = {
        {quiet, 0}, {quiet, 1}, {errors_, 2}, {socket, kWorkerSocket}, {status, kWorkerStatus}};
    bool good = setpgid(0, 0) == 0;
    for (const auto &[from, to] : descriptors) good = good && dup2(from, to) == to;
    close(socket_);  // else this process would keep its own end of the conversation open
    close(socket);
    _exit(good ? command_.serve() : 1);
  }
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  if (command_.over_stdio) {
    posix_spawn_file_actions_adddup2(&files, socket, 0);
    posix_spawn_file_actions_adddup2(&files, socket, 1);
    posix_spawn_file_actions_adddup2(&files, errors_, 2);
  } else {
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&files, errors_, 2);
    posix_spawn_file_actions_adddup2(&files, socket, kWorkerSocket);
    posix_spawn_file_actions_adddup2(&files, status, kWorkerStatus);
  }
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // A group of its own: Ctrl-C is for the tuner, which finishes in order.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setpgroup(&attributes, 0);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);

  std::vector<char *> argv = {command_.program.data()};
  for (std::string &argument : command_.arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const int error = posix_spawn(&pid_, command_.program.c_str(), &files, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  return error;
}

void Worker::stop() {
  if (pid_ > 0) {
    kill(command_.over_stdio ? -pid_ : pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  pid_ = -1;
  if (socket_ >= 0) close(socket_);
  if (errors_ >= 0) close(errors_);
  socket_ = errors_ = -1;
  if (status_) munmap(status_, sizeof(WorkerStatus));
  status_ = nullptr;
}

std::string Worker::last_words() const {
  char tail[400];
  const off_t size = lseek(errors_, 0, SEEK_END);
  const off_t from = std::max<off_t>(0, size - static_cast<off_t>(sizeof tail));
  const ssize_t got = size > 0 ? pread(errors_, tail, sizeof tail, from) : 0;
  std::string text(tail, got > 0 ? static_cast<size_t>(got) : 0);
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

void Worker::fail(RejectionKind kind, const std::string &why) {
  std::string message = why;
  const int64_t kernel = status_ ? status_->kernel : -1;
  if (status_ && status_->text[0] != 0)
    message += fmt::format(" during {}", std::string(status_->text, strnlen(status_->text, sizeof status_->text)));
  if (const std::string words = last_words(); !words.empty()) message += fmt::format(": {}", words);
  stop();
  throw WorkerFailure(kind, message, kernel);
}

// How the process ended, or -1 when it has not within two seconds of closing its end; then it is still there.
int Worker::end_status() {
  const auto deadline = Clock::now() + std::chrono::seconds(2);
  for (int state = 0; Clock::now() < deadline;) {
    if (waitpid(pid_, &state, WNOHANG) != 0) {
      if (command_.over_stdio) kill(-pid_, SIGKILL);  // children that it left behind
      pid_ = -1;
      return state;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return -1;
}

IncomingAnswer Worker::exchange(const std::string &line, double limit_seconds) {
  if (pid_ < 0) start();
  const auto deadline = Clock::now() + std::chrono::duration<double>(limit_seconds);
  // Waits a little for the socket; gives up when told to or when the time is over.
  const auto wait_for = [&](short event) {
    if (cancel_ && cancel_->load()) {
      stop();
      throw Interrupted();
    }
    if (Clock::now() > deadline_) {
      stop();
      throw OutOfTime();
    }
    if (Clock::now() > deadline) fail(RejectionKind::Timeout, fmt::format("no answer after {:.0f} s", limit_seconds));
    pollfd waiting{socket_, event, 0};
    return poll(&waiting, 1, 50) > 0;
  };
  for (size_t sent = 0; sent < line.size();) {
    if (!wait_for(POLLOUT)) continue;
    const ssize_t n = send(socket_, line.data() + sent, line.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EINTR && errno != EAGAIN) break;  // the read below says why it died
    if (n > 0) sent += static_cast<size_t>(n);
  }
  std::string reply;
  while (reply.empty() || reply.back() != '\n') {
    if (!wait_for(POLLIN)) continue;
    char buffer[16384];
    const ssize_t n = read(socket_, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int state = end_status();
      if (state < 0) fail(RejectionKind::Crash, "closed its output and went on");
      if (!WIFSIGNALED(state)) fail(RejectionKind::Crash, fmt::format("exit with status {}", WEXITSTATUS(state)));
      // The alarm is the worker's own, set for each call of generated code.
      fail(WTERMSIG(state) == SIGALRM ? RejectionKind::Timeout : RejectionKind::Crash, signal_name(WTERMSIG(state)));
    }
    reply.append(buffer, static_cast<size_t>(n));
    if (reply.size() > kLongestReply) fail(RejectionKind::Crash, "endless answer");
  }
  try {
    return read_answer(reply);
  } catch (const BadMessage &bad) {
    fail(RejectionKind::Crash, fmt::format("garbled answer: {}", bad.what()));
  }
}

}  // namespace bittern::tuning
