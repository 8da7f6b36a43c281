// Many requests on one engine: each step of it runs the next tokens of as many sequences as there is room for, prompts
// in chunks beside single tokens. A request's text depends on its prompt and options alone: draws are keyed by seed and
// position, logits do not depend on what else is in a step, and a sequence that had to give up its pages is computed
// again.
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "runtime/engine/engine.h"
#include "runtime/engine/generate.h"
#include "runtime/sampling/sampling.h"

namespace bittern::runtime {

struct Request {
  std::vector<int32_t> prompt;
  int64_t count = 128;      // most tokens to make
  bool ignore_eos = false;  // go on after a stop id
  Sampling sampling;
  std::vector<int32_t> stops = {};  // ids that stop it as the model's own do
};

struct Finished {
  int64_t id = 0;
  std::vector<int32_t> tokens;  // as Generation::tokens
  StopReason reason = StopReason::Count;
};

class Scheduler {
 public:
  // Uses all sequences of the engine, and forgets what they held.
  explicit Scheduler(Engine &engine);

  // Queues a request and gives its number, counted from 0. Throws Error as check_prompt() does, or when an id is
  // outside the vocabulary.
  int64_t add(Request request);
  // Ends a request as if its caller had; it is not collected.
  void cancel(int64_t id);

  // A token that a step made.
  struct Made {
    int64_t id;
    int32_t token;
  };
  // Runs one pass. The tokens that it made, valid until the next call. Throws Error when logits are no numbers.
  std::span<const Made> step();
  bool idle() const { return running_.empty() && waiting_.empty(); }
  // The next request that is done, in the order of their ends.
  std::optional<Finished> collect();

  struct Figures {
    int64_t steps = 0;
    int64_t computed = 0;  // tokens that were run through the model
    int64_t shared = 0;    // tokens that were taken over from a sequence that began alike
    int64_t put_off = 0;   // sequences that gave their pages up, to be computed again
  };
  const Figures &figures() const { return figures_; }

 private:
  struct Running {
    int64_t id;
    Request request;
    Sampler sampler;
    std::vector<int32_t> stops;
    std::vector<int32_t> tokens;  // the prompt and what was made
    int slot = -1;                // the engine's sequence; -1: waiting
    size_t made = 0;
  };
  using Owner = std::unique_ptr<Running>;

  static bool older(const Owner &a, const Owner &b);
  int64_t todo(const Running &r) const;
  void admit();
  bool fits(const Running &r, int64_t begun) const;
  const Running *best_beginning(const Running &r, int64_t &length, bool &soon) const;
  void plan_step();
  void put_off_newest();
  void take(Running &r, int32_t token);
  void finish(size_t index, StopReason reason);

  Engine &engine_;
  int64_t next_ = 0;
  std::deque<Owner> waiting_;   // in the order of their numbers
  std::vector<Owner> running_;  // likewise
  std::vector<int> free_slots_;
  std::deque<Finished> finished_;
  std::vector<Engine::Part> parts_;
  std::vector<Running *> wanted_;  // whose logits the step gives, in the order of the parts
  std::vector<int32_t> drawn_;
  std::vector<Made> made_;
  Figures figures_;
};

}  // namespace bittern::runtime
