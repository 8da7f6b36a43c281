// Any bytes as kernel text: one error or a kernel that survives printing and parsing; never a crash or a hang.
#include <cstddef>
#include <cstdint>

#include "compiler/parser.h"
#include "kernel_text_property.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  check_kernel_text({reinterpret_cast<const char *>(data), size});
  return 0;
}
