#include "runtime/tokenizer/merges.h"

#include <bit>
#include <functional>
#include <queue>

namespace bittern::runtime {
namespace {

uint64_t pair_of(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

}  // namespace

Merges::Merges(size_t expected) : slots_(std::bit_ceil(expected * 2 + 2)) {}

size_t Merges::slot_of(uint64_t pair) const {
  const size_t mask = slots_.size() - 1;
  size_t at = pair * 0x9e3779b97f4a7c15u >> 20 & mask;
  while (slots_[at].pair != pair && slots_[at].pair != UINT64_MAX) at = (at + 1) & mask;
  return at;
}

void Merges::add(int32_t left, int32_t right, int32_t merged) {
  const uint64_t pair = pair_of(left, right);
  slots_[slot_of(pair)] = {pair, count_++, merged};
}

const Merges::Slot *Merges::find(int32_t left, int32_t right) const {
  const Slot &slot = slots_[slot_of(pair_of(left, right))];
  return slot.pair == UINT64_MAX ? nullptr : &slot;
}

void Merges::apply(std::vector<int32_t> &ids) const {
  constexpr uint32_t kEnd = UINT32_MAX;
  const uint32_t count = static_cast<uint32_t>(ids.size());
  if (count < 2) return;
  // A linked list over the positions; a merged right neighbour is unlinked and its id set to -1.
  std::vector<uint32_t> previous(count), next(count);
  struct Candidate {
    uint32_t rank, at;
    int32_t merged;
    bool operator>(const Candidate &other) const { return rank != other.rank ? rank > other.rank : at > other.at; }
  };
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto consider = [&](uint32_t left) {
    if (left == kEnd || next[left] == kEnd) return;
    if (const Slot *slot = find(ids[left], ids[next[left]])) queue.push({slot->rank, left, slot->merged});
  };
  for (uint32_t i = 0; i < count; ++i) {
    previous[i] = i == 0 ? kEnd : i - 1;
    next[i] = i + 1 == count ? kEnd : i + 1;
  }
  for (uint32_t i = 0; i < count; ++i) consider(i);
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    const uint32_t right = ids[top.at] < 0 ? kEnd : next[top.at];
    if (right == kEnd) continue;
    const Slot *slot = find(ids[top.at], ids[right]);
    if (!slot || slot->rank != top.rank) continue;  // a neighbour has merged since
    ids[top.at] = top.merged;
    ids[right] = -1;
    next[top.at] = next[right];
    if (next[right] != kEnd) previous[next[right]] = top.at;
    consider(previous[top.at]);
    consider(top.at);
  }
  uint32_t kept = 0;
  for (uint32_t i = 0; i < count; ++i) {
    if (ids[i] >= 0) ids[kept++] = ids[i];
  }
  ids.resize(kept);
}

}  // namespace bittern::runtime
