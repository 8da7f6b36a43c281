// What GGUF files that a test has spoiled are refused with.
#pragma once
#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <string>

#include "tests/error_message.h"
#include "tests/gguf_builder.h"
#include "tests/load_all.h"

namespace bittern::test {

template <typename T>
void overwrite(std::string &bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

// What opening the container says.
inline std::string container_error(const std::string &bytes) {
  const ScratchFolder folder;
  folder.write("a.gguf", bytes);
  return message([&] { runtime::GgufFile file(folder.path("a.gguf")); });
}

// What loading the model says.
inline std::string load_error(const std::string &bytes, const runtime::OpenOptions &options = {}) {
  const ScratchFolder folder;
  folder.write("m.gguf", bytes);
  const std::string what = message([&] { load_all(folder.path("m.gguf"), options); });
  if (what != "(no error)") CHECK_MESSAGE(contains(what, "m.gguf: "), what);
  return what;
}

// What a small model with a change is refused with; it must be.
inline std::string refused(const std::function<void(GgufBuilder &)> &change,
                           const std::string &architecture = "bitnet-b1.58") {
  GgufBuilder b = small_gguf(architecture);
  change(b);
  return load_error(b.bytes());
}

}  // namespace bittern::test
