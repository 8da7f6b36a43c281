// See engine.h: options, loading, the self-check, and the calls that cut tokens into passes of the forward pass.
#include "runtime/engine/engine.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>

#include "runtime/engine/forward.h"
#include "runtime/engine/plan.h"
#include "runtime/engine/prepacked.h"
#include "runtime/engine/self_check.h"
#include "runtime/engine/weights.h"
#include "runtime/error.h"
#include "runtime/machine/machine.h"

namespace bittern::runtime {
namespace {

// Rows of logits made at once when every position is wanted.
constexpr int64_t kLogitRows = 16;

// What a reader cannot rule out alone: a model that the kernels cannot run. Everything else in ModelConfig runs.
void check_config(const ModelSource &source) {
  const ModelConfig &c = source.config();
  if (c.scale_group == 0) return;
  if (c.scale_group < 0 || c.scale_group % 64 != 0)
    throw Error(source.path() + ": a scale for every " + std::to_string(c.scale_group) +
                " weights is not supported: groups must be a multiple of 64");
  for (const int64_t width : {c.hidden, c.heads * c.head_dim, c.ffn})
    if (width % c.scale_group != 0)
      throw Error(source.path() + ": groups of " + std::to_string(c.scale_group) + " weights do not divide rows of " +
                  std::to_string(width));
}

EngineOptions resolve(EngineOptions options, const ModelConfig &config) {
  if (options.threads == 0) options.threads = machine_physical_cores();
  if (options.context < 0) throw Error("the context size must be positive, not " + std::to_string(options.context));
  if (options.context > config.max_positions)
    throw Error("the context size " + std::to_string(options.context) + " exceeds the model's " +
                std::to_string(config.max_positions) + " positions");
  if (options.context == 0) options.context = std::min<int64_t>(config.max_positions, 4096);
  if (!options.warn) options.warn = warn_stderr;
  return options;
}

Plan make_plan(const ModelSource &source, const EngineOptions &options, const KernelSet &kernels) {
  check_config(source);
  return Plan(kernel_needs(source, options.context, options.kv, options.head), kernels, Engine::kChunk);
}

// Runs of M that use the same kernel.
std::vector<KernelUse> uses_of(const Plan &plan, const KernelSet &kernels) {
  std::vector<KernelUse> uses;
  for (const Choice &choice : plan.choices())
    for (size_t i = 0; i < choice.by_m.size(); ++i) {
      const auto m = static_cast<int64_t>(i) + 1;
      if (i > 0 && choice.by_m[i] == uses.back().kernel) {
        uses.back().m_max = m;
        continue;
      }
      uses.push_back({choice.need.what, choice.need.role, choice.need.sizes, m, m, choice.by_m[i],
                      kernels.origin(choice.by_m[i])});
      uses.back().sizes[0] = m;
    }
  return uses;
}

}  // namespace

void check_has_head(const ModelSource &source) {
  if (!source.config().has_head)
    throw Error(source.path() + ": a " + source.config().architecture +
                " has no output head and predicts no tokens; it makes embeddings (bitnet-run embed)");
}

PlannedKernels planned_kernels(const ModelSource &source, const EngineOptions &given) {
  const EngineOptions options = resolve(given, source.config());
  auto set = std::make_shared<const KernelSet>(options.kernels, options.threads, options.warn);
  std::vector<KernelUse> uses = uses_of(make_plan(source, options, *set), *set);
  return {std::move(set), std::move(uses)};
}

struct Engine::State {
  State(std::unique_ptr<ModelSource> model, const EngineOptions &given);

  void load();
  void check_ids(std::span<const int32_t> tokens) const;
  void check_tokens(std::span<const int32_t> tokens) const;
  // Runs the tokens in passes; each(index of the pass's first token, its tokens) follows every pass.
  // When `stop` turns true between two passes, the rest is left out and each(index, 0) says so.
  void run(std::span<const int32_t> tokens, bool last_only, FunctionRef<void(int64_t, int64_t)> each,
           const std::atomic<bool> *stop = nullptr);

  std::unique_ptr<ModelSource> source;
  EngineOptions options;
  const ModelConfig config;
  ThreadPool pool;
  KernelSet kernel_set;
  Plan plan;
  std::unique_ptr<Weights> weights;
  std::unique_ptr<Forward> forward;
  HugeBuffer last_logits, all_logits, hidden;
};

Engine::State::State(std::unique_ptr<ModelSource> model, const EngineOptions &given)
    : source(std::move(model)),
      options(resolve(given, source->config())),
      config(source->config()),
      pool(options.threads),
      kernel_set(options.kernels, options.threads, options.warn),
      plan(make_plan(*source, options, kernel_set)) {
  load();
  forward = std::make_unique<Forward>(*source, plan, *weights, pool, kChunk, options.context, options.kv);
  const auto floats = [](int64_t count) { return count * static_cast<int64_t>(sizeof(float)); };
  hidden = HugeBuffer(floats(forward->most_tokens() * config.hidden), "hidden states");
  if (config.has_head) last_logits = HugeBuffer(floats(config.vocab), "logits");
}

// Packs or reads the weights, then checks every kernel on them. A kernel that fails leaves the set; when it was the
// last one for its layout, the weights are packed again in another.
void Engine::State::load() {
  const std::string cache =
      options.prepacked_cache && prepacked_limit() > 0 ? cache_folder() + "/prepacked" : std::string();
  for (;;) {
    weights = std::make_unique<Weights>(*source, plan, options.head, cache, pool, options.warn);
    for (bool again = true; again;) {
      const std::vector<const bt_kernel *> wrong = self_check(plan, *weights, config, options.warn);
      for (const bt_kernel *kernel : wrong) kernel_set.exclude(kernel);
      again = !wrong.empty() && plan.choose_again(kernel_set);
      if (wrong.empty()) return;
    }
    weights.reset();
    plan = make_plan(*source, options, kernel_set);
  }
}

void Engine::State::check_ids(std::span<const int32_t> tokens) const {
  if (tokens.empty()) throw Error("there are no tokens to run");
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < 0 || tokens[i] >= config.vocab)
      throw Error("token " + std::to_string(i) + " is " + std::to_string(tokens[i]) + ", outside the vocabulary of " +
                  std::to_string(config.vocab));
}

void Engine::State::check_tokens(std::span<const int32_t> tokens) const {
  check_ids(tokens);
  const int64_t count = static_cast<int64_t>(tokens.size()), length = forward->length(0);
  if (count > options.context - length)
    throw Error((length ? std::to_string(length) + " tokens and " : std::string()) + std::to_string(count) +
                (length ? " more" : " tokens") + " do not fit in the context of " + std::to_string(options.context));
}

void Engine::State::run(std::span<const int32_t> tokens, bool last_only, FunctionRef<void(int64_t, int64_t)> each,
                        const std::atomic<bool> *stop) {
  const auto count = static_cast<int64_t>(tokens.size()), chunk = forward->most_tokens();
  for (int64_t at = 0; at < count; at += chunk) {
    const int64_t rows = std::min(chunk, count - at);
    if (stop && stop->load(std::memory_order_relaxed)) {
      each(at, 0);
      return;
    }
    forward->run(tokens.subspan(static_cast<size_t>(at), static_cast<size_t>(rows)), last_only);
    each(at, rows);
  }
}

Engine::Engine(std::unique_ptr<ModelSource> source, const EngineOptions &options)
    : state_(std::make_unique<State>(std::move(source), options)) {}
Engine::~Engine() = default;

std::span<const float> Engine::prefill(std::span<const int32_t> tokens, const std::atomic<bool> *stop) {
  State &s = *state_;
  check_has_head(*s.source);
  s.check_tokens(tokens);
  int64_t last = -1;
  s.run(tokens, true, [&](int64_t, int64_t rows) { last = rows - 1; }, stop);
  if (last < 0) return {};
  s.forward->head(s.forward->states() + last * s.config.hidden, 1, s.last_logits.as<float>());
  return {s.last_logits.as<float>(), static_cast<size_t>(s.config.vocab)};
}

void Engine::logits(std::span<const int32_t> tokens, FunctionRef<void(int64_t, int64_t, const float *)> sink) {
  State &s = *state_;
  check_has_head(*s.source);
  s.check_tokens(tokens);
  if (!s.all_logits.data())
    s.all_logits = HugeBuffer(kLogitRows * s.config.vocab * static_cast<int64_t>(sizeof(float)), "logits");
  s.run(tokens, false, [&](int64_t at, int64_t rows) {
    for (int64_t row = 0; row < rows; row += kLogitRows) {
      const int64_t m = std::min(kLogitRows, rows - row);
      s.forward->head(s.forward->states() + row * s.config.hidden, m, s.all_logits.as<float>());
      sink(at + row, m, s.all_logits.as<float>());
    }
  });
}

void Engine::hidden(std::span<const int32_t> tokens, FunctionRef<void(int64_t, int64_t, const float *)> sink) {
  State &s = *state_;
  s.check_tokens(tokens);
  s.run(tokens, false, [&](int64_t at, int64_t rows) {
    s.forward->final_norm(s.forward->states(), rows, s.hidden.as<float>());
    sink(at, rows, s.hidden.as<float>());
  });
}

void Engine::hidden_of_texts(std::span<const std::vector<int32_t>> texts,
                             FunctionRef<void(size_t, int64_t, int64_t, const float *)> sink) {
  State &s = *state_;
  Forward &forward = *s.forward;
  for (size_t i = 0; i < texts.size(); ++i) {
    try {
      s.check_ids(texts[i]);
      if (static_cast<int64_t>(texts[i].size()) > s.options.context)
        throw Error(std::to_string(texts[i].size()) + " tokens do not fit in the context of " +
                    std::to_string(s.options.context));
    } catch (const Error &error) {
      throw Error("text " + std::to_string(i) + ": " + error.what());
    }
  }
  std::vector<Forward::Part> parts;
  for (size_t next = 0; next < texts.size();) {
    // As many whole texts as one pass and the cache hold.
    const size_t begin = next;
    int64_t tokens = 0, pages = 0;
    parts.clear();
    for (; next < texts.size() && parts.size() < static_cast<size_t>(forward.sequences()); ++next) {
      const auto count = static_cast<int64_t>(texts[next].size());
      tokens += count, pages += KvCache::pages_for(count);
      if (tokens > forward.most_tokens() || pages > cache_pages(s.config, s.options.context)) break;
      parts.push_back({static_cast<int>(next - begin), texts[next]});
    }
    forward.clear();
    if (parts.empty()) {  // too long for one pass
      hidden(texts[next], [&](int64_t at, int64_t rows, const float *data) { sink(next, at, rows, data); });
      ++next;
      continue;
    }
    forward.run(parts, false);
    const float *data = s.hidden.as<float>();
    forward.final_norm(forward.states(),
                       std::accumulate(parts.begin(), parts.end(), int64_t{0},
                                       [](int64_t sum, const Forward::Part &part) {
                                         return sum + static_cast<int64_t>(part.tokens.size());
                                       }),
                       s.hidden.as<float>());
    for (const Forward::Part &part : parts) {
      const auto rows = static_cast<int64_t>(part.tokens.size());
      sink(begin + static_cast<size_t>(part.sequence), 0, rows, data);
      data += rows * s.config.hidden;
    }
  }
  forward.clear();
}

void Engine::reset() { state_->forward->clear(); }
void Engine::rewind(int64_t position) {
  const int64_t length = state_->forward->length(0);
  if (position < 0 || position > length)
    throw Error("cannot go back to position " + std::to_string(position) + " of a sequence of " +
                std::to_string(length) + " tokens");
  state_->forward->truncate(0, position);
}
int64_t Engine::position() const { return state_->forward->length(0); }
int64_t Engine::context() const { return state_->options.context; }
const ModelConfig &Engine::config() const { return state_->config; }
const ModelSource &Engine::source() const { return *state_->source; }
const EngineOptions &Engine::options() const { return state_->options; }
bool Engine::prepacked() const { return state_->weights->from_cache(); }
ThreadPool &Engine::pool() { return state_->pool; }

Footprint Engine::footprint() const {
  const State &s = *state_;
  const ModelConfig &c = s.config;
  Footprint f;
  for (size_t i = 0; i < kLinearCount; ++i) {
    const auto [rows, cols] = linear_shape(c, static_cast<Linear>(i));
    f.ternary_weights += c.layers * rows * cols;
  }
  f.ternary_bytes = f.ternary_weights / 4;
  f.head_bytes = s.weights->head().bytes();
  f.kv_bytes_per_position = 2 * c.layers * c.kv_heads * c.head_dim * s.forward->kv_element_bytes();
  f.kv_capacity_bytes = s.forward->kv_bytes();
  return f;
}

std::vector<KernelUse> Engine::kernels() const { return uses_of(state_->plan, state_->kernel_set); }

bool Engine::tuned() const {
  const std::vector<KernelUse> uses = kernels();
  return std::any_of(uses.begin(), uses.end(), [](const KernelUse &use) { return use.origin == KernelOrigin::Tuned; });
}

std::string Engine::origin_summary() const {
  bool used[3] = {};
  for (const KernelUse &use : kernels()) used[static_cast<int>(use.origin)] = true;
  std::string text;
  for (int i = 0; i < 3; ++i)
    if (used[i]) text += (text.empty() ? "" : " and ") + std::string(origin_name(static_cast<KernelOrigin>(i)));
  return text;
}

const char *Engine::head_precision() const {
  const Head &head = state_->weights->head();
  if (!state_->config.has_head) return "no";
  return head.int8 ? "int8" : head.dtype == DType::BF16 ? "bf16" : "f32";
}

}  // namespace bittern::runtime
