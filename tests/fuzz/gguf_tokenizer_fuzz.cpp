// The tokenizer's metadata of GGUF files: what is read, made and written again.
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include "runtime/model/gguf_file.h"
#include "tests/fuzz/tokenizer_property.h"

using namespace bittern::runtime;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const int file = memfd_create("fuzz", 0);
  bittern::test::require(file >= 0 && write(file, data, size) == static_cast<ssize_t>(size));
  const std::string_view text = std::string_view(reinterpret_cast<const char *>(data), size).substr(0, 200);
  try {
    const GgufFile gguf(fmt::format("/proc/self/fd/{}", file));
    const TokenizerSpec spec = read_gguf_spec(gguf);
    bittern::test::check_text(*make_tokenizer(spec), text);
    bittern::test::check_text(*make_tokenizer(spec), "ab the  <s> \xC3\xA9\xFF 12");
    bittern::test::check_gguf_round_trip(spec, "ab the  <s> \xC3\xA9\xFF 12");
  } catch (const Error &) {
  }
  close(file);
  return 0;
}
