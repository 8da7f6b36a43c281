// See scheduler.h. Older requests come first: to a sequence of the engine, to pages, to a place in a step. So the
// oldest always goes on, and what the newest lacks is only time.
#include "runtime/engine/scheduler.h"

#include <algorithm>
#include <string>
#include <utility>

#include "runtime/error.h"

namespace bittern::runtime {
namespace {

// Of a page that another sequence holds, so many positions are worth a copy of the page.
constexpr int64_t kWorthCopying = 8;

int64_t common(std::span<const int32_t> a, std::span<const int32_t> b) {
  return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

int64_t worth_sharing(int64_t length) {
  const int64_t rest = length % kPagePositions;
  return rest < kWorthCopying ? length - rest : length;
}

}  // namespace

Scheduler::Scheduler(Engine &engine) : engine_(engine) {
  check_has_head(engine.source());
  engine_.reset();
  for (int slot = engine.sequences() - 1; slot >= 0; --slot) free_slots_.push_back(slot);
}

bool Scheduler::older(const Owner &a, const Owner &b) { return a->id < b->id; }

int64_t Scheduler::todo(const Running &r) const {
  return static_cast<int64_t>(r.tokens.size()) - engine_.position(r.slot);
}

int64_t Scheduler::add(Request request) {
  check_prompt(engine_, request.prompt);
  for (const int32_t id : request.prompt)
    if (id < 0 || id >= engine_.config().vocab)
      throw Error("token " + std::to_string(id) + " is outside the vocabulary of " +
                  std::to_string(engine_.config().vocab));
  const int64_t id = next_++;
  if (request.count <= 0) {
    finished_.push_back({id, {}, StopReason::Count});
    return id;
  }
  Sampler sampler(request.sampling);
  std::vector<int32_t> stops = engine_.config().eos, tokens = request.prompt;
  stops.insert(stops.end(), request.stops.begin(), request.stops.end());
  waiting_.push_back(std::make_unique<Running>(
      Running{id, std::move(request), std::move(sampler), std::move(stops), std::move(tokens)}));
  return id;
}

void Scheduler::cancel(int64_t id) {
  const auto is = [&](const Owner &r) { return r->id == id; };
  std::erase_if(waiting_, is);
  const auto found = std::find_if(running_.begin(), running_.end(), is);
  if (found == running_.end()) return;
  finish(static_cast<size_t>(found - running_.begin()), StopReason::Caller);
  finished_.pop_back();
}

// The running sequence that begins most like a waiting one, and how many positions of it are worth sharing. `soon`:
// more of them will be computed before long, since another's prompt has more in common.
const Scheduler::Running *Scheduler::best_beginning(const Running &r, int64_t &length, bool &soon) const {
  const Running *best = nullptr;
  int64_t later = 0;
  length = 0;
  for (const Owner &other : running_) {
    // The last token is always run: its logits are wanted.
    const int64_t alike = std::min(common(r.tokens, other->tokens), static_cast<int64_t>(r.tokens.size()) - 1);
    const int64_t now = worth_sharing(std::min(alike, engine_.position(other->slot)));
    later = std::max(later, worth_sharing(std::min(alike, static_cast<int64_t>(other->request.prompt.size()))));
    if (now > length) best = other.get(), length = now;
  }
  soon = later > length;
  return best;
}

// Whether pages are free for all tokens of a waiting sequence that begins with `begun` positions of another, beside
// what the running ones still need for the tokens they have.
bool Scheduler::fits(const Running &r, int64_t begun) const {
  int64_t needed = pages_for(static_cast<int64_t>(r.tokens.size())) - begun / kPagePositions;
  for (const Owner &other : running_) needed += engine_.pages_to_take(other->slot, todo(*other));
  return needed <= engine_.free_pages();
}

void Scheduler::admit() {
  for (auto at = waiting_.begin(); at != waiting_.end() && !free_slots_.empty();) {
    int64_t begun = 0;
    bool soon = false;
    const Running *other = best_beginning(**at, begun, soon);
    if (soon) {  // wait for what another computes anyway
      ++at;
      continue;
    }
    if (!fits(**at, begun)) return;
    Owner r = std::move(*at);
    at = waiting_.erase(at);
    r->slot = free_slots_.back();
    free_slots_.pop_back();
    if (other) engine_.begin_as(r->slot, other->slot, begun);
    figures_.shared += begun;
    const auto after = std::upper_bound(running_.begin(), running_.end(), r, older);
    running_.insert(after, std::move(r));
  }
}

void Scheduler::plan_step() {
  parts_.clear();
  wanted_.clear();
  int64_t room = engine_.most_tokens(), pages = engine_.free_pages();
  // Single tokens first: a long prompt beside them must not hold them up.
  for (const bool single : {true, false})
    for (const Owner &r : running_) {
      int64_t count = todo(*r);
      if ((count == 1) != single || room == 0) continue;
      count = std::min(count, room);
      while (count > 0 && engine_.pages_to_take(r->slot, count) > pages)
        count -= (engine_.position(r->slot) + count - 1) % kPagePositions + 1;  // to the end of the page before
      if (count <= 0) continue;
      pages -= engine_.pages_to_take(r->slot, count);
      room -= count;
      const bool whole = count == todo(*r);
      parts_.push_back(
          {r->slot,
           std::span(r->tokens).subspan(static_cast<size_t>(engine_.position(r->slot)), static_cast<size_t>(count)),
           whole});
      if (whole) wanted_.push_back(r.get());
    }
}

void Scheduler::put_off_newest() {
  Owner r = std::move(running_.back());
  running_.pop_back();
  engine_.rewind(r->slot, 0);
  free_slots_.push_back(std::exchange(r->slot, -1));
  const auto after = std::upper_bound(waiting_.begin(), waiting_.end(), r, older);
  waiting_.insert(after, std::move(r));
  ++figures_.put_off;
}

void Scheduler::finish(size_t index, StopReason reason) {
  Running &r = *running_[index];
  engine_.rewind(r.slot, 0);
  free_slots_.push_back(r.slot);
  finished_.push_back({r.id, {r.tokens.end() - static_cast<std::ptrdiff_t>(r.made), r.tokens.end()}, reason});
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(index));
}

void Scheduler::take(Running &r, int32_t token) {
  r.tokens.push_back(token);
  ++r.made;
  made_.push_back({r.id, token});
  StopReason reason = StopReason::Caller;
  if (!r.request.ignore_eos && std::find(r.stops.begin(), r.stops.end(), token) != r.stops.end())
    reason = StopReason::StopId;
  else if (static_cast<int64_t>(r.made) == r.request.count)
    reason = StopReason::Count;
  else if (engine_.position(r.slot) == engine_.context())
    reason = StopReason::Context;
  if (reason == StopReason::Caller) return;
  const auto at = std::find_if(running_.begin(), running_.end(), [&](const Owner &o) { return o.get() == &r; });
  finish(static_cast<size_t>(at - running_.begin()), reason);
}

std::span<const Scheduler::Made> Scheduler::step() {
  made_.clear();
  admit();
  for (plan_step(); parts_.empty() && running_.size() > 1; plan_step()) put_off_newest();
  if (parts_.empty()) return {};
  ++figures_.steps;
  for (const Engine::Part &part : parts_) figures_.computed += static_cast<int64_t>(part.tokens.size());
  const std::span<const float> logits = engine_.step(parts_);
  const auto vocab = static_cast<size_t>(engine_.config().vocab);
  drawn_.resize(wanted_.size());
  engine_.pool().parallel(static_cast<int64_t>(wanted_.size()), [&](int64_t i, int) {
    const auto row = static_cast<size_t>(i);
    Running &r = *wanted_[row];
    drawn_[row] = r.sampler.sample(logits.subspan(row * vocab, vocab), r.tokens, r.tokens.size());
  });
  for (size_t i = 0; i < wanted_.size(); ++i) take(*wanted_[i], drawn_[i]);
  return made_;
}

std::optional<Finished> Scheduler::collect() {
  if (finished_.empty()) return std::nullopt;
  Finished first = std::move(finished_.front());
  finished_.pop_front();
  return first;
}

}  // namespace bittern::runtime
