// See generate.h.
#include "runtime/engine/generate.h"

#include <algorithm>
#include <chrono>
#include <string>

#include "runtime/error.h"

namespace bittern::runtime {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

void check_prompt(const Engine &engine, std::span<const int32_t> prompt) {
  if (prompt.empty()) throw Error("the prompt is empty and the model has no beginning-of-text token");
  if (static_cast<int64_t>(prompt.size()) > engine.context())
    throw Error("the prompt is longer than the context: " + std::to_string(prompt.size()) +
                " tokens, the context holds " + std::to_string(engine.context()) + " (-c sets it, the model allows " +
                std::to_string(engine.config().max_positions) +
                (engine.options().kv_pages > 0 ? ", --kv-pages bounds it)" : ")"));
}

Generation generate(Engine &engine, std::span<const int32_t> prompt, const GenerateOptions &options,
                    FunctionRef<bool(int32_t)> on_token) {
  check_prompt(engine, prompt);
  const auto prompt_size = static_cast<int64_t>(prompt.size());
  Generation result;
  std::vector<int32_t> history(prompt.begin(), prompt.end());
  history.reserve(prompt.size() + static_cast<size_t>(std::min(options.count, engine.context() - prompt_size + 1)));
  Sampler sampler(options.sampling);
  std::vector<int32_t> stops = engine.config().eos;
  stops.insert(stops.end(), options.stops.begin(), options.stops.end());

  // The last token is always run: its logits are wanted.
  engine.rewind(std::min(options.kept, prompt_size - 1));
  const std::span<const int32_t> fresh = prompt.subspan(static_cast<size_t>(engine.position()));
  auto start = Clock::now();
  const int64_t before = engine.position();
  std::span<const float> logits = engine.prefill(fresh, options.interrupt);
  result.prefilled = engine.position() - before;
  result.prefill_seconds = seconds_since(start);
  if (logits.empty()) {
    result.reason = StopReason::Caller;
    return result;
  }
  start = Clock::now();
  while (static_cast<int64_t>(result.tokens.size()) < options.count) {
    const int32_t token = sampler.sample(logits, history, static_cast<uint64_t>(history.size()));
    history.push_back(token);
    result.tokens.push_back(token);
    const bool stop = std::find(stops.begin(), stops.end(), token) != stops.end();
    if (!on_token(token) || (options.interrupt && options.interrupt->load(std::memory_order_relaxed))) {
      result.reason = StopReason::Caller;
      break;
    }
    if (stop && !options.ignore_eos) {
      result.reason = StopReason::StopId;
      break;
    }
    if (static_cast<int64_t>(result.tokens.size()) == options.count) break;
    if (engine.position() == engine.context()) {
      result.reason = StopReason::Context;
      break;
    }
    logits = engine.decode(token);
    ++result.decode_steps;
  }
  result.decode_seconds = seconds_since(start);
  return result;
}

}  // namespace bittern::runtime
