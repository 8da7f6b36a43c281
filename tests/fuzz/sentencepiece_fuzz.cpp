// tokenizer.model files. What follows the last zero byte is a text as well.
#include <cstddef>
#include <cstdint>

#include "runtime/tokenizer/sentencepiece_model.h"
#include "tests/fuzz/tokenizer_property.h"

using namespace bittern::runtime;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char *>(data), size);
  const std::string_view text = bytes.substr(bytes.rfind('\0') + 1).substr(0, 200);
  try {
    const TokenizerSpec spec = parse_sentencepiece_model(bytes, "tokenizer.model");
    const auto tokenizer = make_tokenizer(spec);
    bittern::test::check_text(*tokenizer, text);
    bittern::test::check_text(*tokenizer, bytes.substr(0, 200));
  } catch (const Error &) {
  }
  return 0;
}
