// See engine.h: options, and the calls that cut tokens into passes.
#include "runtime/engine/engine.h"

#include <algorithm>
#include <utility>

#include "runtime/device/cpu/cpu_device.h"
#include "runtime/device/cpu/prepacked.h"
#include "runtime/engine/pages.h"
#include "runtime/error.h"
#include "runtime/machine/machine.h"
#include "runtime/program/build.h"
#include "runtime/program/needs.h"

namespace bittern::runtime {
namespace {

// Rows of logits made at once when every position is wanted.
constexpr int64_t kLogitRows = 16;
constexpr int64_t kMostPages = int64_t{1} << 24;

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
  if (options.sequences < 1 || options.sequences > Engine::kMostSequences)
    throw Error("the number of sequences must be between 1 and " + std::to_string(Engine::kMostSequences) + ", not " +
                std::to_string(options.sequences));
  if (options.kv_pages < 0 || options.kv_pages > kMostPages)
    throw Error("the number of pages of the KV cache must be between 1 and " + std::to_string(kMostPages) + ", not " +
                std::to_string(options.kv_pages));
  if (options.kv_pages > 0) options.context = std::min(options.context, options.kv_pages * kPagePositions);
  if (!options.warn) options.warn = warn_stderr;
  return options;
}

// Four full sequences' pages, as far as memory is free beside the weights, but no fewer than one's.
int64_t pages_for_several(const Program &program) {
  const Footprint f = footprint(program);
  const int64_t one = pages_for(program.options.context), page_bytes = kPagePositions * f.kv_bytes_per_position;
  return std::max(one, std::min(4 * one, (machine_free_memory() - f.ternary_bytes - f.head_bytes) / page_bytes));
}

}  // namespace

void check_has_head(const ModelSource &source) {
  if (!source.config().has_head)
    throw Error(source.path() + ": a " + source.config().architecture +
                " has no output head and predicts no tokens; it makes embeddings (bitnet-run embed)");
}

Program engine_program(const ModelSource &source, const EngineOptions &given) {
  check_config(source);
  const EngineOptions options = resolve(given, source.config());
  ProgramOptions program;
  program.kv = options.kv;
  program.head = options.head;
  program.context = options.context;
  program.pages = options.kv_pages;
  program = with_formats_of(source, program);
  if (source.config().has_head) program.sequences = options.sequences;
  if (program.sequences > 1 && program.pages == 0)
    program.pages = pages_for_several(build_program(source.config(), program));
  return build_program(source.config(), program);
}

PlannedKernels planned_kernels(const ModelSource &source, const EngineOptions &given) {
  const EngineOptions options = resolve(given, source.config());
  auto set = std::make_shared<const KernelSet>(options.kernels, options.threads, options.warn);
  std::vector<KernelUse> uses =
      uses_of(Plan(kernel_needs(engine_program(source, options)), *set, Engine::kChunk), *set);
  return {std::move(set), std::move(uses)};
}

struct Engine::State {
  State(std::unique_ptr<ModelSource> model, const EngineOptions &given);

  Sequence &sequence(int index) { return *sequences[static_cast<size_t>(index)]; }
  void check_sequence(int index) const;
  void check_ids(std::span<const int32_t> tokens) const;
  void check_pages(int64_t count) const;
  void check_tokens(int index, std::span<const int32_t> tokens) const;
  // Runs the parts in one pass; `all`: every token's state is wanted, not only those of the wanted parts' last tokens.
  void pass(std::span<const Part> parts, bool all);
  // Runs the tokens of the first sequence in passes; each(index of the pass's first token, its tokens) follows every
  // pass. When `stop` turns true between two passes, the rest is left out and each(index, 0) says so.
  void run(std::span<const int32_t> tokens, bool all, FunctionRef<void(int64_t, int64_t)> each,
           const std::atomic<bool> *stop = nullptr);

  std::unique_ptr<ModelSource> source;
  EngineOptions options;
  const ModelConfig config;
  ThreadPool pool;
  std::shared_ptr<const Program> program;
  int64_t most_tokens;
  std::unique_ptr<Device> device;
  PagePool pages;
  std::vector<std::unique_ptr<Sequence>> sequences;
  // Of the pass that runs; never larger than at first.
  std::vector<int32_t> ids, positions, sequence_ids, wanted;
  std::vector<Batch::Pages> tables;
};

Engine::State::State(std::unique_ptr<ModelSource> model, const EngineOptions &given)
    : source(std::move(model)),
      options(resolve(given, source->config())),
      config(source->config()),
      pool(options.threads),
      program(std::make_shared<const Program>(engine_program(*source, options))),
      most_tokens(std::min(kChunk, options.context * program->options.sequences)),
      pages(program->options.pages) {
  const std::string cache = options.prepacked_cache ? prepacked_folder(options.warn) : std::string();
  device = std::make_unique<CpuDevice>(pool, options.kernels, cache, options.warn);
  device->upload(program, *source, most_tokens);
  for (int64_t i = 0; i < program->options.sequences; ++i)
    sequences.push_back(std::make_unique<Sequence>(pages, options.context));
  for (auto *list : {&ids, &positions, &sequence_ids, &wanted}) list->reserve(static_cast<size_t>(most_tokens));
  tables.reserve(sequences.size());
}

void Engine::State::check_sequence(int index) const {
  if (index < 0 || static_cast<size_t>(index) >= sequences.size())
    throw Error("there is no sequence " + std::to_string(index) + ": the engine has " +
                std::to_string(sequences.size()));
}

void Engine::State::check_ids(std::span<const int32_t> tokens) const {
  if (tokens.empty()) throw Error("there are no tokens to run");
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < 0 || tokens[i] >= config.vocab)
      throw Error("token " + std::to_string(i) + " is " + std::to_string(tokens[i]) + ", outside the vocabulary of " +
                  std::to_string(config.vocab));
}

void Engine::State::check_tokens(int index, std::span<const int32_t> tokens) const {
  check_ids(tokens);
  const int64_t count = static_cast<int64_t>(tokens.size()), length = sequences[static_cast<size_t>(index)]->length();
  if (count > options.context - length)
    throw Error((length ? std::to_string(length) + " tokens and " : std::string()) + std::to_string(count) +
                (length ? " more" : " tokens") + " do not fit in the context of " + std::to_string(options.context));
  check_pages(sequences[static_cast<size_t>(index)]->pages_to_take(count));
}

void Engine::State::check_pages(int64_t count) const {
  if (count > pages.free_pages())
    throw Error("the KV cache is full: " + std::to_string(count) + " pages are wanted, " +
                std::to_string(pages.free_pages()) + " of " + std::to_string(pages.pages()) + " are free");
}

void Engine::State::pass(std::span<const Part> parts, bool all) {
  for (auto *list : {&ids, &positions, &sequence_ids, &wanted}) list->clear();
  tables.clear();
  for (const Part &part : parts) {
    Sequence &s = sequence(part.sequence);
    s.reserve(static_cast<int64_t>(part.tokens.size()), [&](int32_t from, int32_t to) { device->copy_page(from, to); });
    tables.push_back({part.sequence, s.pages()});
    for (size_t i = 0; i < part.tokens.size(); ++i) {
      if (all || (part.wanted && i + 1 == part.tokens.size())) wanted.push_back(static_cast<int32_t>(ids.size()));
      ids.push_back(part.tokens[i]);
      positions.push_back(static_cast<int32_t>(s.length() + static_cast<int64_t>(i)));
      sequence_ids.push_back(part.sequence);
    }
  }
  device->execute({ids, positions, sequence_ids, wanted, tables});
  for (const Part &part : parts) sequence(part.sequence).advance(static_cast<int64_t>(part.tokens.size()));
}

void Engine::State::run(std::span<const int32_t> tokens, bool all, FunctionRef<void(int64_t, int64_t)> each,
                        const std::atomic<bool> *stop) {
  const auto count = static_cast<int64_t>(tokens.size());
  for (int64_t at = 0; at < count; at += most_tokens) {
    const int64_t rows = std::min(most_tokens, count - at);
    if (stop && stop->load(std::memory_order_relaxed)) {
      each(at, 0);
      return;
    }
    const Part part{0, tokens.subspan(static_cast<size_t>(at), static_cast<size_t>(rows)), at + rows == count};
    pass({&part, 1}, all);
    each(at, rows);
  }
}

Engine::Engine(std::unique_ptr<ModelSource> source, const EngineOptions &options)
    : state_(std::make_unique<State>(std::move(source), options)) {}
Engine::~Engine() = default;

std::span<const float> Engine::prefill(std::span<const int32_t> tokens, const std::atomic<bool> *stop) {
  State &s = *state_;
  check_has_head(*s.source);
  s.check_tokens(0, tokens);
  bool whole = true;
  s.run(tokens, false, [&](int64_t, int64_t rows) { whole = rows > 0; }, stop);
  if (!whole) return {};
  s.device->execute(Section::Logits, 0, 1);
  return s.device->read(s.program->logits, 1);
}

std::span<const float> Engine::step(std::span<const Part> parts) {
  State &s = *state_;
  check_has_head(*s.source);
  int64_t tokens = 0, pages = 0, wanted = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Part &part = parts[i];
    s.check_sequence(part.sequence);
    s.check_tokens(part.sequence, part.tokens);
    for (size_t j = 0; j < i; ++j)
      if (parts[j].sequence == part.sequence)
        throw Error("sequence " + std::to_string(part.sequence) + " is in a step twice");
    tokens += static_cast<int64_t>(part.tokens.size());
    pages += s.sequence(part.sequence).pages_to_take(static_cast<int64_t>(part.tokens.size()));
    wanted += part.wanted ? 1 : 0;
  }
  if (tokens > s.most_tokens)
    throw Error("a step of " + std::to_string(tokens) + " tokens is more than " + std::to_string(s.most_tokens));
  s.check_pages(pages);
  if (parts.empty()) return {};
  s.pass(parts, false);
  if (wanted == 0) return {};
  s.device->execute(Section::Logits, 0, wanted);
  return s.device->read(s.program->logits, wanted);
}

void Engine::logits(std::span<const int32_t> tokens, FunctionRef<void(int64_t, int64_t, const float *)> sink) {
  State &s = *state_;
  check_has_head(*s.source);
  s.check_tokens(0, tokens);
  s.run(tokens, true, [&](int64_t at, int64_t rows) {
    for (int64_t row = 0; row < rows; row += kLogitRows) {
      const int64_t m = std::min(kLogitRows, rows - row);
      s.device->execute(Section::Logits, row, m);
      sink(at + row, m, s.device->read(s.program->logits, m).data());
    }
  });
}

void Engine::hidden(std::span<const int32_t> tokens, FunctionRef<void(int64_t, int64_t, const float *)> sink) {
  State &s = *state_;
  s.check_tokens(0, tokens);
  s.run(tokens, true, [&](int64_t at, int64_t rows) {
    s.device->execute(Section::Hidden, 0, rows);
    sink(at, rows, s.device->read(s.program->hidden, rows).data());
  });
}

void Engine::hidden_of_texts(std::span<const std::vector<int32_t>> texts,
                             FunctionRef<void(size_t, int64_t, int64_t, const float *)> sink) {
  State &s = *state_;
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
  std::vector<Part> parts;
  for (size_t next = 0; next < texts.size();) {
    // As many whole texts as one pass and the cache hold.
    const size_t begin = next;
    int64_t tokens = 0, pages = 0, rows = 0;
    parts.clear();
    for (; next < texts.size() && parts.size() < s.sequences.size(); ++next) {
      const auto count = static_cast<int64_t>(texts[next].size());
      tokens += count, pages += pages_for(count);
      if (tokens > s.most_tokens || pages > s.pages.pages()) break;
      parts.push_back({static_cast<int>(next - begin), texts[next]});
      rows = tokens;
    }
    reset();
    if (parts.empty()) {  // too long for one pass
      hidden(texts[next], [&](int64_t at, int64_t count, const float *data) { sink(next, at, count, data); });
      ++next;
      continue;
    }
    s.pass(parts, true);
    s.device->execute(Section::Hidden, 0, rows);
    const float *data = s.device->read(s.program->hidden, rows).data();
    for (const Part &part : parts) {
      const auto count = static_cast<int64_t>(part.tokens.size());
      sink(begin + static_cast<size_t>(part.sequence), 0, count, data);
      data += count * s.config.hidden;
    }
  }
  reset();
}

void Engine::reset() {
  for (const auto &sequence : state_->sequences) sequence->clear();
}
void Engine::rewind(int sequence, int64_t position) {
  state_->check_sequence(sequence);
  Sequence &s = state_->sequence(sequence);
  if (position < 0 || position > s.length())
    throw Error("cannot go back to position " + std::to_string(position) + " of a sequence of " +
                std::to_string(s.length()) + " tokens");
  s.truncate(position);
}
void Engine::rewind(int64_t position) { rewind(0, position); }
void Engine::begin_as(int sequence, int other, int64_t length) {
  state_->check_sequence(sequence);
  state_->check_sequence(other);
  if (length < 0 || length > position(other) || sequence == other)
    throw Error("sequence " + std::to_string(sequence) + " cannot begin as " + std::to_string(length) +
                " positions of sequence " + std::to_string(other));
  state_->sequence(sequence).begin_as(state_->sequence(other), length);
}
int64_t Engine::most_tokens() const { return state_->most_tokens; }
int Engine::sequences() const { return static_cast<int>(state_->sequences.size()); }
int64_t Engine::position(int sequence) const {
  state_->check_sequence(sequence);
  return state_->sequence(sequence).length();
}
int64_t Engine::position() const { return position(0); }
int64_t Engine::pages() const { return state_->pages.pages(); }
int64_t Engine::free_pages() const { return state_->pages.free_pages(); }
int64_t Engine::pages_to_take(int sequence, int64_t count) const {
  state_->check_sequence(sequence);
  return state_->sequence(sequence).pages_to_take(count);
}
int64_t Engine::context() const { return state_->options.context; }
const ModelConfig &Engine::config() const { return state_->config; }
const ModelSource &Engine::source() const { return *state_->source; }
const EngineOptions &Engine::options() const { return state_->options; }
const Program &Engine::program() const { return *state_->program; }
bool Engine::prepacked() const { return state_->device->prepacked(); }
ThreadPool &Engine::pool() { return state_->pool; }
Footprint Engine::footprint() const { return bittern::runtime::footprint(*state_->program); }
std::vector<KernelUse> Engine::kernels() const { return state_->device->kernels(); }

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
  const Program &program = *state_->program;
  if (program.head == kNoBuffer) return "no";
  const ElementType type = program[program.head].type;
  return type == ElementType::I8 ? "int8" : element_name(type);
}

}  // namespace bittern::runtime
