// The forward pass. Small steps of one token run on the calling thread; only steps with enough work are split, since
// each split costs a barrier.
#include "runtime/engine/engine.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "runtime/engine/kv_cache.h"
#include "runtime/engine/plan.h"
#include "runtime/engine/prepacked.h"
#include "runtime/engine/rope_angles.h"
#include "runtime/engine/self_check.h"
#include "runtime/engine/weights.h"
#include "runtime/error.h"
#include "runtime/io/float_formats.h"
#include "runtime/kernels/launch.h"
#include "runtime/machine/machine.h"

namespace bittern::runtime {
namespace {

// Elements below which a step is not worth a barrier.
constexpr int64_t kWorthSplitting = 1 << 14;
// Rows of logits made at once when every position is wanted.
constexpr int64_t kLogitRows = 16;

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
  return Plan(kernel_needs(source.config(), source.embedding().dtype, source.head().dtype, options.context, options.kv,
                           options.head),
              kernels, Engine::kChunk);
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

PlannedKernels planned_kernels(const ModelSource &source, const EngineOptions &given) {
  const EngineOptions options = resolve(given, source.config());
  auto set = std::make_shared<const KernelSet>(options.kernels, options.threads, options.warn);
  std::vector<KernelUse> uses = uses_of(make_plan(source, options, *set), *set);
  return {std::move(set), std::move(uses)};
}

struct Engine::State {
  State(std::unique_ptr<ModelSource> model, const EngineOptions &given);

  void load();
  void plan_buffers();
  void check_tokens(std::span<const int32_t> tokens) const;
  void embed(const int32_t *ids, int64_t m);
  void layer(int64_t index, int64_t m, bool last_only);
  void store_keys_values(int64_t index, int64_t m);
  void forward(const int32_t *ids, int64_t m, bool last_only);
  void head(const float *x, int64_t m, float *out);

  // Runs a step for m tokens; `work` is its elements per token.
  void step(const Choice &choice, int64_t m, int64_t work, std::initializer_list<bt_tensor> tensors,
            const float *scalars = nullptr);
  void matmul(const Choice &choice, const PackedMatrix &matrix, int64_t m, float *out);
  void quantise(const Choice &choice, const float *x, const float *norm, int64_t width, int64_t m);

  std::unique_ptr<ModelSource> source;
  EngineOptions options;
  const ModelConfig config;
  ThreadPool pool;
  KernelSet kernel_set;
  Plan plan;
  std::unique_ptr<Weights> weights;
  RopeAngles angles;
  KvCache kv;
  Sequence sequence;
  Scratch scratch;
  FloatMatrix embedding;
  bool embed_from_head = false;

  // Steps of the plan by role in the forward pass.
  struct {
    const Choice *gate_up, *down, *qkv, *o, *head, *attention, *activation, *norm, *attn_sub_norm, *ffn_sub_norm,
        *final_norm, *rope_q, *rope_k, *store_v, *residual, *embedding;
  } steps{};

  // Activations of one chunk, all in one buffer.
  HugeBuffer activations, all_logits;
  float *x, *wide, *queries, *attended, *narrow, *gated, *cosines, *sines, *inverse, *normed, *last_logits;
  int8_t *codes;
  int32_t *code_sums, *ids_buffer, *positions, *sequences;
  uint8_t *embedding_rows;
  int64_t code_stride = 0;
};

Engine::State::State(std::unique_ptr<ModelSource> model, const EngineOptions &given)
    : source(std::move(model)),
      options(resolve(given, source->config())),
      config(source->config()),
      pool(options.threads),
      kernel_set(options.kernels, options.threads, options.warn),
      plan(make_plan(*source, options, kernel_set)),
      angles(config.head_dim, config.rope_theta),
      kv(config.layers, config.kv_heads, config.head_dim, KvCache::pages_for(options.context), options.kv),
      sequence(kv, options.context),
      scratch(options.threads),
      embedding(source->embedding()) {
  load();
  plan_buffers();
}

// Packs or reads the weights, then checks every kernel on them. A kernel that fails leaves the set; when it was the
// last one for its layout, the weights are packed again in another.
void Engine::State::load() {
  const std::string cache =
      options.prepacked_cache && prepacked_limit() > 0 ? cache_folder() + "/prepacked" : std::string();
  for (;;) {
    weights = std::make_unique<Weights>(*source, plan, options.head, cache, pool, options.warn);
    for (bool again = true; again;) {
      const std::vector<const bt_kernel *> wrong = self_check(plan, *weights, config.rms_eps, options.warn);
      for (const bt_kernel *kernel : wrong) kernel_set.exclude(kernel);
      again = !wrong.empty() && plan.choose_again(kernel_set);
      if (wrong.empty()) return;
    }
    weights.reset();
    plan = make_plan(*source, options, kernel_set);
  }
}

void Engine::State::plan_buffers() {
  steps = {&plan["gate_up"],       &plan["down"],         &plan["qkv"],        &plan["o"],
           &plan["head"],          &plan["attention"],    &plan["activation"], &plan["norm"],
           &plan["attn_sub_norm"], &plan["ffn_sub_norm"], &plan["final_norm"], &plan["rope_q"],
           &plan["rope_k"],        &plan["store_v"],      &plan["residual"],   &plan["embedding"]};
  for (const Choice &choice : plan.choices()) {
    std::vector<int64_t> sizes = choice.need.sizes;
    for (size_t m = 1; m <= choice.by_m.size(); ++m) {
      sizes[0] = static_cast<int64_t>(m);
      scratch.reserve(*choice.by_m[m - 1], sizes.data());
    }
  }
  embed_from_head = config.tied_head && !weights->head().int8;

  const ModelConfig &c = config;
  const int64_t q = c.heads * c.head_dim, rows = std::min(kChunk, options.context);
  code_stride = padded(std::max({c.hidden, q, c.ffn}));
  // Two passes: count, then give addresses.
  for (int pass = 0; pass < 2; ++pass) {
    int64_t used = 0;
    const auto take = [&]<typename T>(T *&pointer, int64_t count) {
      used = (used + 63) / 64 * 64;
      if (pass == 1) pointer = reinterpret_cast<T *>(activations.data() + used);
      used += count * static_cast<int64_t>(sizeof(T));
    };
    take(x, rows * c.hidden);
    take(wide, rows * std::max(q + 2 * c.kv_heads * c.head_dim, 2 * c.ffn));
    take(queries, rows * q);
    take(attended, rows * q);
    take(narrow, rows * c.hidden);
    take(gated, rows * c.ffn);
    take(cosines, rows * c.head_dim / 2);
    take(sines, rows * c.head_dim / 2);
    take(inverse, rows);
    take(normed, rows * c.hidden);
    take(last_logits, c.vocab);
    take(codes, rows * code_stride);
    take(code_sums, rows);
    take(ids_buffer, rows);
    take(positions, rows);
    take(sequences, rows);
    take(embedding_rows, embed_from_head ? 0 : rows * c.hidden * 4);
    if (pass == 0) activations = HugeBuffer(used, "activations");
  }
}

void Engine::State::step(const Choice &choice, int64_t m, int64_t work, std::initializer_list<bt_tensor> tensors,
                         const float *scalars) {
  const bt_kernel &kernel = *choice.at(m);
  int64_t sizes[BT_MAX_SIZES];
  std::copy(choice.need.sizes.begin(), choice.need.sizes.end(), sizes);
  sizes[0] = m;
  if (m * work < kWorthSplitting)
    launch_serial(kernel, tensors.begin(), sizes, scalars, scratch);
  else
    launch(pool, kernel, tensors.begin(), sizes, scalars, scratch);
}

void Engine::State::matmul(const Choice &choice, const PackedMatrix &matrix, int64_t m, float *out) {
  step(choice, m, matrix.n * matrix.k,
       {tensor(matrix.packed), tensor(matrix.scales), tensor(codes, {code_stride, 1}), tensor(inverse),
        tensor(code_sums), tensor(out, {matrix.n, 1})});
}

void Engine::State::quantise(const Choice &choice, const float *in, const float *norm, int64_t width, int64_t m) {
  const bt_tensor q = tensor(codes, {code_stride, 1});
  if (norm)
    step(choice, m, width, {tensor(in, {width, 1}), tensor(norm), q, tensor(inverse), tensor(code_sums)},
         &config.rms_eps);
  else
    step(choice, m, width, {tensor(in, {width, 1}), q, tensor(inverse), tensor(code_sums)});
}

void Engine::State::embed(const int32_t *ids, int64_t m) {
  const int64_t k = config.hidden;
  const bt_tensor out = tensor(x, {k, 1});
  if (embed_from_head) {
    step(*steps.embedding, m, k, {tensor(ids), tensor(weights->head().data, {k, 1}), out});
    return;
  }
  // Rows come one by one from the source: no second copy of a table that is read a row a token.
  const int64_t row_bytes = k * (embedding.dtype == DType::F32 ? 4 : 2);
  for (int64_t i = 0; i < m; ++i) {
    embedding.fill(ids[i], 1, embedding_rows + i * row_bytes);
    ids_buffer[i] = static_cast<int32_t>(i);
  }
  if (embedding.dtype == DType::F16) {
    const auto *half = reinterpret_cast<const uint16_t *>(embedding_rows);
    for (int64_t i = 0; i < m * k; ++i) x[i] = f16_to_f32(half[i]);
  } else {
    step(*steps.embedding, m, k, {tensor(ids_buffer), tensor(embedding_rows, {k, 1}), out});
  }
}

// Turns the keys and copies the values of m tokens into their pages, a page at a time.
void Engine::State::store_keys_values(int64_t index, int64_t m) {
  const ModelConfig &c = config;
  const int64_t d = c.head_dim, r = d / 2, row = (c.heads + 2 * c.kv_heads) * d;
  const int64_t bytes = kv.element_bytes();
  const float *keys = wide + c.heads * d, *values = keys + c.kv_heads * d;
  for (int64_t i = 0; i < m;) {
    const int64_t p = positions[i], slot = p % KvCache::kPage, count = std::min(KvCache::kPage - slot, m - i);
    const int64_t offset =
        (sequence.pages()[p / KvCache::kPage] * kv.page_stride() + slot * kv.position_stride()) * bytes;
    step(*steps.rope_k, count, c.kv_heads * d,
         {tensor(keys + i * row, {row, d, r, 1}), tensor(cosines + i * r, {r, 1}), tensor(sines + i * r, {r, 1}),
          tensor(kv.keys(index) + offset, {kv.position_stride(), kv.head_stride(), r, 1})});
    step(*steps.store_v, count, c.kv_heads * d,
         {tensor(values + i * row, {row, d, 1}),
          tensor(kv.values(index) + offset, {kv.position_stride(), kv.head_stride(), 1})});
    i += count;
  }
}

void Engine::State::layer(int64_t index, int64_t m, bool last_only) {
  const ModelConfig &c = config;
  const LayerWeights &w = weights->layers()[static_cast<size_t>(index)];
  const int64_t d = c.head_dim, r = d / 2, q = c.heads * d, row = q + 2 * c.kv_heads * d, k = c.hidden;

  quantise(*steps.norm, x, w.input_norm, k, m);
  matmul(*steps.qkv, w.qkv, m, wide);
  store_keys_values(index, m);
  // In the last layer, only the tokens whose logits are wanted go on.
  const int64_t first = last_only ? m - 1 : 0, rows = m - first;
  step(*steps.rope_q, rows, q,
       {tensor(wide + first * row, {row, d, r, 1}), tensor(cosines + first * r, {r, 1}),
        tensor(sines + first * r, {r, 1}), tensor(queries, {q, d, r, 1})});
  const float scale = 1.0f / std::sqrt(static_cast<float>(d));
  const int64_t length = positions[m - 1] + 1;
  step(*steps.attention, rows, q * length,
       {tensor(queries, {q, d, 1}),
        tensor(kv.keys(index), {kv.page_stride(), kv.head_stride(), kv.position_stride(), 1}),
        tensor(kv.values(index), {kv.page_stride(), kv.head_stride(), kv.position_stride(), 1}),
        tensor(sequence.pages(), {sequence.page_count(), 1}), tensor(sequences), tensor(positions + first),
        tensor(attended, {q, d, 1})},
       &scale);
  float *in = x + first * k;
  const auto add = [&] {
    step(*steps.residual, rows, k, {tensor(in, {k, 1}), tensor(narrow, {k, 1}), tensor(in, {k, 1})});
  };
  quantise(*steps.attn_sub_norm, attended, w.attention_sub_norm, q, rows);
  matmul(*steps.o, w.o, rows, narrow);
  add();
  quantise(*steps.norm, in, w.post_attention_norm, k, rows);
  matmul(*steps.gate_up, w.gate_up, rows, wide);
  step(*steps.activation, rows, c.ffn, {tensor(wide, {2 * c.ffn, 1}), tensor(gated, {c.ffn, 1})});
  quantise(*steps.ffn_sub_norm, gated, w.ffn_sub_norm, c.ffn, rows);
  matmul(*steps.down, w.down, rows, narrow);
  add();
}

// Runs all layers; leaves the hidden states in x, [m, hidden], or only that of the last token.
void Engine::State::forward(const int32_t *ids, int64_t m, bool last_only) {
  sequence.reserve(m);
  for (int64_t i = 0; i < m; ++i) {
    positions[i] = static_cast<int32_t>(sequence.length() + i);
    sequences[i] = 0;
    angles.fill(positions[i], cosines + i * config.head_dim / 2, sines + i * config.head_dim / 2);
  }
  embed(ids, m);
  for (int64_t l = 0; l < config.layers; ++l) layer(l, m, last_only && l == config.layers - 1);
  sequence.advance(m);
}

void Engine::State::head(const float *in, int64_t m, float *out) {
  const Head &h = weights->head();
  const int64_t k = config.hidden;
  const bt_tensor y = tensor(out, {h.rows, 1});
  if (h.int8) {
    quantise(*steps.norm, in, weights->final_norm(), k, m);
    step(*steps.head, m, h.rows * k,
         {tensor(h.data, {k, 1}), tensor(h.scales), tensor(codes, {code_stride, 1}), tensor(inverse), y});
  } else {
    step(*steps.final_norm, m, k, {tensor(in, {k, 1}), tensor(weights->final_norm()), tensor(normed, {k, 1})},
         &config.rms_eps);
    step(*steps.head, m, h.rows * k, {tensor(h.data, {k, 1}), tensor(normed, {k, 1}), y});
  }
}

void Engine::State::check_tokens(std::span<const int32_t> tokens) const {
  if (tokens.empty()) throw Error("there are no tokens to run");
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < 0 || tokens[i] >= config.vocab)
      throw Error("token " + std::to_string(i) + " is " + std::to_string(tokens[i]) + ", outside the vocabulary of " +
                  std::to_string(config.vocab));
  const auto count = static_cast<int64_t>(tokens.size());
  if (count > options.context - sequence.length())
    throw Error((sequence.length() ? std::to_string(sequence.length()) + " tokens and " : std::string()) +
                std::to_string(count) + (sequence.length() ? " more" : " tokens") + " do not fit in the context of " +
                std::to_string(options.context));
}

Engine::Engine(std::unique_ptr<ModelSource> source, const EngineOptions &options)
    : state_(std::make_unique<State>(std::move(source), options)) {}
Engine::~Engine() = default;

std::span<const float> Engine::prefill(std::span<const int32_t> tokens, const std::atomic<bool> *stop) {
  State &s = *state_;
  s.check_tokens(tokens);
  int64_t rows = 0;
  for (size_t at = 0; at < tokens.size(); at += static_cast<size_t>(rows)) {
    rows = std::min<int64_t>(kChunk, static_cast<int64_t>(tokens.size() - at));
    if (stop && stop->load(std::memory_order_relaxed)) return {};
    s.forward(tokens.data() + at, rows, true);
  }
  s.head(s.x + (rows - 1) * s.config.hidden, 1, s.last_logits);
  return {s.last_logits, static_cast<size_t>(s.config.vocab)};
}

void Engine::logits(std::span<const int32_t> tokens, FunctionRef<void(int64_t, int64_t, const float *)> sink) {
  State &s = *state_;
  s.check_tokens(tokens);
  if (!s.all_logits.data())
    s.all_logits = HugeBuffer(kLogitRows * s.config.vocab * static_cast<int64_t>(sizeof(float)), "logits");
  const auto count = static_cast<int64_t>(tokens.size());
  for (int64_t at = 0; at < count; at += kChunk) {
    const int64_t rows = std::min(kChunk, count - at);
    s.forward(tokens.data() + at, rows, false);
    for (int64_t row = 0; row < rows; row += kLogitRows) {
      const int64_t m = std::min(kLogitRows, rows - row);
      s.head(s.x + row * s.config.hidden, m, s.all_logits.as<float>());
      sink(at + row, m, s.all_logits.as<float>());
    }
  }
}

void Engine::reset() { state_->sequence.clear(); }
void Engine::rewind(int64_t position) {
  if (position < 0 || position > state_->sequence.length())
    throw Error("cannot go back to position " + std::to_string(position) + " of a sequence of " +
                std::to_string(state_->sequence.length()) + " tokens");
  state_->sequence.truncate(position);
}
int64_t Engine::position() const { return state_->sequence.length(); }
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
  const LayerWeights &layer = s.weights->layers()[0];
  for (const PackedMatrix *m : {&layer.qkv, &layer.o, &layer.gate_up, &layer.down})
    f.ternary_weights += c.layers * m->n * m->k;
  f.ternary_bytes = f.ternary_weights / 4;
  f.head_bytes = s.weights->head().bytes();
  f.kv_bytes_per_position = 2 * c.layers * c.kv_heads * c.head_dim * s.kv.element_bytes();
  f.kv_capacity_bytes = s.kv.bytes();
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
  return head.int8 ? "int8" : head.dtype == DType::BF16 ? "bf16" : "f32";
}

}  // namespace bittern::runtime
