// See memory.h. The largest buffer is placed first, each at the lowest place that no buffer of an overlapping lifetime
// holds.
#include "runtime/program/memory.h"

#include <algorithm>

namespace bittern::runtime {
namespace {

constexpr int64_t kAlign = 64;

struct Placed {
  int64_t begin, end;
};

}  // namespace

int64_t buffer_bytes(const Program &program, const Buffer &buffer, int64_t tokens) {
  const int64_t rows = buffer.axis == Axis::None        ? 1
                       : buffer.axis == Axis::Sequences ? program.options.sequences
                                                        : tokens;
  return rows * buffer.row_elements() * element_bytes(buffer.type);
}

BufferPlan plan_buffers(const Program &program, int64_t most_tokens) {
  const std::vector<Buffer> &buffers = program.buffers;
  BufferPlan plan{std::vector<int64_t>(buffers.size(), -1)};
  std::vector<size_t> order;
  for (size_t i = 0; i < buffers.size(); ++i)
    if (buffers[i].first >= 0 && (buffers[i].kind == BufferKind::Activation || buffers[i].kind == BufferKind::Input))
      order.push_back(i);
  const auto bytes = [&](size_t i) {
    return (buffer_bytes(program, buffers[i], most_tokens) + kAlign - 1) / kAlign * kAlign;
  };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return bytes(a) > bytes(b); });
  std::vector<size_t> done;
  for (const size_t i : order) {
    std::vector<Placed> taken;  // by buffers that live at the same time
    for (const size_t other : done)
      if (buffers[other].first <= buffers[i].last && buffers[i].first <= buffers[other].last)
        taken.push_back({plan.offsets[other], plan.offsets[other] + bytes(other)});
    std::sort(taken.begin(), taken.end(), [](const Placed &a, const Placed &b) { return a.begin < b.begin; });
    int64_t at = 0;
    for (const Placed &place : taken) {
      if (place.begin - at >= bytes(i)) break;
      at = std::max(at, place.end);
    }
    plan.offsets[i] = at;
    plan.bytes = std::max(plan.bytes, at + bytes(i));
    done.push_back(i);
  }
  return plan;
}

}  // namespace bittern::runtime
