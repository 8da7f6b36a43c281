// What every program's main has: exit statuses, an end on Ctrl-C that leaves everything in order, and errors as one
// line.
#pragma once
#include <signal.h>

#include <atomic>
#include <cstdio>
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

// run(argc, argv), with whatever it throws said in one line that begins with "error: ".
template <typename Run>
int main_of(const Run &run, int argc, char **argv) {
  try {
    return run(argc, argv);
  } catch (const std::bad_alloc &) {
    std::fprintf(stderr, "error: out of memory\n");
  } catch (const std::exception &error) {
    std::fprintf(stderr, "error: %s\n", error.what());
  }
  return kBadInput;
}
