// Where inputs and activations of one pass lie: buffers whose contents never matter at the same time share bytes.
#pragma once
#include <cstdint>
#include <vector>

#include "runtime/program/program.h"

namespace bittern::runtime {

struct BufferPlan {
  std::vector<int64_t> offsets;  // by BufferId, in bytes, multiples of 64; -1 for what lies elsewhere
  int64_t bytes = 0;
};

// For passes of up to `most_tokens` tokens.
BufferPlan plan_buffers(const Program &program, int64_t most_tokens);
// Bytes of one buffer for so many tokens (and as many rows).
int64_t buffer_bytes(const Program &program, const Buffer &buffer, int64_t tokens);

}  // namespace bittern::runtime
