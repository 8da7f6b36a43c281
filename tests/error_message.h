// What a test says about errors: the message that an action ends with, and whether it names what it must.
#pragma once
#include <string>

#include "runtime/error.h"

namespace bittern::test {

// The message of the Error that `action` throws, or "(no error)".
template <typename Action>
std::string message(const Action &action) {
  try {
    action();
  } catch (const runtime::Error &error) {
    return error.what();
  }
  return "(no error)";
}

inline bool contains(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

}  // namespace bittern::test
