// What every program's main has: exit statuses, an end on Ctrl-C that leaves everything in order, and errors as one
// line.
#pragma once
#include <fcntl.h>
#include <signal.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <new>

constexpr int kBadInput = 1, kUsage = 2;

// Set by the first Ctrl-C. Whoever works in steps looks at it between them.
inline std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");

// The first signal asks the program to end in order; the next one of its kind ends it.
extern "C" inline void request_stop(int number) {
  stop_requested = true;
  signal(number, SIG_DFL);
}
inline void stop_on(std::initializer_list<int> signals) {
  for (const int number : signals) signal(number, request_stop);
}

// Descriptors 0 to 2 that the caller closed would be given to the next files that are opened, and messages would go
// into those. Standard error becomes one that forgets; the other two stay without use, but taken.
inline void take_standard_streams() {
  constexpr int kModes[] = {O_WRONLY, O_RDONLY, O_WRONLY};  // reads from the first, writes to the second fail
  for (int fd = 0; fd <= 2; ++fd)
    if (fcntl(fd, F_GETFD) < 0) (void)!open("/dev/null", kModes[fd]);  // the lowest that is free: this one
}

// run(argc, argv), with whatever it throws said in one line that begins with `name`. What did not reach standard output
// (a full disk) is an error like any other.
template <typename Run>
int main_of(const char *name, const Run &run, int argc, char **argv) {
  take_standard_streams();
  signal(SIGXFSZ, SIG_IGN);  // then a write beyond a limit fails, and is told as a full disk is
  int status = kBadInput;
  try {
    status = run(argc, argv);
  } catch (const std::bad_alloc &) {
    std::fprintf(stderr, "%s: out of memory\n", name);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "%s: %s\n", name, error.what());
  }
  errno = 0;
  const bool lost = std::fflush(stdout) != 0 || std::ferror(stdout) != 0;
  if (!lost || status != 0) return status;
  std::fprintf(stderr, "%s: cannot write the output%s%s\n", name, errno ? ": " : "", errno ? std::strerror(errno) : "");
  return kBadInput;
}
