#include "runtime/convert/gguf_tokens.h"

namespace bittern::runtime {

void add_gguf_tokens(const Conversion &, GgufMetadata &) {}

}  // namespace bittern::runtime
