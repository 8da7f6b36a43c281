// See model_bench.h.
#include "runtime/bench/model_bench.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/error.h"
#include "runtime/machine/machine.h"
#include "runtime/model/model_source.h"
#include "runtime/roof/roof.h"
#include "runtime/roof/roof_note.h"

extern char **environ;

namespace bittern::runtime {
namespace {

using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC: comparable between processes

double seconds(Clock::time_point t) { return std::chrono::duration<double>(t.time_since_epoch()).count(); }

std::vector<int32_t> prompt_of(int64_t tokens, int64_t vocabulary) {
  std::vector<int32_t> ids(tokens);
  uint64_t state = 1;
  for (int32_t &id : ids) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    id = static_cast<int32_t>((state >> 33) % static_cast<uint64_t>(vocabulary));
  }
  return ids;
}

int32_t best(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

EngineOptions engine_options(const ModelBenchOptions &options) {
  EngineOptions engine = options.engine;
  engine.context = options.prompt + options.generate;
  return engine;
}

std::string head_name(const Engine &engine) { return engine.head_precision(); }

// Runs a prompt as the model is used: to its last token's logits, or to the hidden states of all.
int32_t run_prompt(Engine &engine, std::span<const int32_t> prompt) {
  if (engine.config().has_head) return best(engine.prefill(prompt));
  engine.hidden(prompt, [](int64_t, int64_t, const float *) {});
  return 0;
}

bool is_product(Role role) { return role == Role::W2A8 || role == Role::W2A8Group; }

bool all_tuned(const Engine &engine, int64_t prompt) {
  const int64_t m = std::min(prompt, Engine::kChunk);
  bool tuned = false;
  for (const KernelUse &use : engine.kernels()) {
    if (!is_product(use.role)) continue;
    const bool in_use = use.m_min == 1 || (use.m_min <= m && m <= use.m_max);
    if (in_use && use.origin != KernelOrigin::Tuned) return false;
    tuned = tuned || in_use;
  }
  return tuned;
}

// VmHWM: the most memory this process ever had resident.
double peak_rss_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return std::stod(line.substr(6)) / 1024;
  }
  throw Error("/proc/self/status has no VmHWM line");
}

// Runs a program and gives what it printed. Throws Error when it fails.
std::string output_of(const std::vector<std::string> &arguments) {
  int ends[2];
  if (pipe(ends) != 0) throw Error("cannot make a pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&actions, ends[0]);
  posix_spawn_file_actions_addclose(&actions, ends[1]);
  std::vector<char *> argv;
  for (const std::string &argument : arguments) argv.push_back(const_cast<char *>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t child = 0;
  const int failure = posix_spawn(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string out;
  if (failure == 0) {
    char buffer[4096];
    for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) out.append(buffer, static_cast<size_t>(n));
  }
  close(ends[0]);
  int status = 0;
  if (failure != 0 || waitpid(child, &status, 0) != child || status != 0) {
    throw Error(fmt::format("{} could not be run to measure its start", arguments[0]));
  }
  return out;
}

void measure_start(const ModelBenchOptions &options, const std::string &program, ModelFigures &figures) {
  static constexpr const char *kChoices[] = {"tuned", "default", "scalar"};
  const std::vector<std::string> arguments = {program,       "model",
                                              "--preset",    options.preset,
                                              "-t",          std::to_string(figures.threads),
                                              "-p",          std::to_string(options.prompt),
                                              "-n",          std::to_string(options.generate),
                                              "--kernels",   kChoices[static_cast<int>(options.engine.kernels)],
                                              "--head",      options.engine.head == HeadType::Int8 ? "int8" : "file",
                                              "--kv",        options.engine.kv == KvType::F16 ? "f16" : "f32",
                                              "--start-only"};
  const double begin = seconds(Clock::now());
  const nlohmann::json start = nlohmann::json::parse(output_of(arguments));
  figures.start_s = start.at("first_token_at").get<double>() - begin;
  figures.rss_mib = start.at("rss_mib").get<double>();
  figures.prepacked = start.at("prepacked").get<bool>();
}

}  // namespace

ModelFigures bench_model(const ModelBenchOptions &options, const std::string &program) {
  ModelFigures f;
  f.preset = options.preset;
  f.kv = options.engine.kv == KvType::F16 ? "f16" : "f32";
  {
    Engine engine(synthetic_model(options.preset), engine_options(options));
    f.threads = engine.options().threads;
    f.head = head_name(engine);
    f.tuned = all_tuned(engine, options.prompt);
    for (const KernelUse &use : engine.kernels())
      if (is_product(use.role) && use.m_min == 1) f.kernels = origin_name(use.origin);
    Roof roof(engine.pool());
    const std::vector<int32_t> prompt = prompt_of(options.prompt, engine.config().vocab);

    // At least three prefills and half a second of them, the multiply-add peak sampled around each.
    std::vector<double> prefill, decode, peak, bandwidth;
    int32_t token = 0;
    const auto enough = Clock::now() + std::chrono::milliseconds(500);
    while (prefill.size() < 3 || (Clock::now() < enough && prefill.size() < 200)) {
      for (int i = 0; i < 5; ++i) peak.push_back(roof.sample_multiply());
      engine.reset();
      const auto start = Clock::now();
      token = run_prompt(engine, prompt);
      prefill.push_back(seconds(Clock::now()) - seconds(start));
    }
    const int64_t steps = engine.config().has_head ? options.generate : 0;  // embedding models only read
    for (int64_t i = 0; i < steps; ++i) {
      bandwidth.push_back(roof.sample_read());
      const auto start = Clock::now();
      token = best(engine.decode(token));
      decode.push_back(seconds(Clock::now()) - seconds(start));
    }

    const Footprint footprint = engine.footprint();
    f.prefill_tok_s = static_cast<double>(options.prompt) / median(prefill);
    if (steps > 0) f.decode_tok_s = 1 / median(decode);
    f.bytes_per_token = static_cast<double>(footprint.bytes_per_token(options.prompt + options.generate / 2));
    if (steps > 0) f.roof_gb_s = median(bandwidth);
    f.roof_gop_s = median(peak);
    f.roof_pct_prefill =
        100 * 2 * static_cast<double>(footprint.ternary_weights) * f.prefill_tok_s / (f.roof_gop_s * 1e9);
    if (steps > 0) f.roof_pct_decode = 100 * f.bytes_per_token * f.decode_tok_s / (f.roof_gb_s * 1e9);
    const auto cache = static_cast<double>(last_level_cache_bytes());
    f.note_prefill = roof_note({f.roof_pct_prefill, 2, 0, cache, peak, 0});
    f.note_decode = roof_note({f.roof_pct_decode, 2, f.bytes_per_token, cache, bandwidth, 0});
  }
  measure_start(options, program, f);
  return f;
}

BatchReport bench_batches(const ModelBenchOptions &options, const std::vector<int64_t> &sequences) {
  const int64_t most = *std::max_element(sequences.begin(), sequences.end());
  EngineOptions wanted = engine_options(options);
  wanted.sequences = most;
  const std::unique_ptr<ModelSource> source = synthetic_model(options.preset);
  check_has_head(*source);
  wanted.kv_pages = most * pages_for(wanted.context);
  const int64_t bytes = footprint(engine_program(*source, wanted)).kv_capacity_bytes;
  if (bytes > machine_free_memory())
    throw Error(fmt::format("{} sequences of {} positions take {} MiB of keys and values, {} MiB are free", most,
                            wanted.context, bytes >> 20, machine_free_memory() >> 20));
  Engine engine(synthetic_model(options.preset), wanted);
  BatchReport report{options.preset, engine.options().threads, engine.origin_summary(), {}};
  const int64_t vocab = engine.config().vocab;
  const std::vector<int32_t> prompt = prompt_of(options.prompt + most, vocab);
  for (int s = 0; s < engine.sequences(); ++s)
    for (int64_t at = 0; at < options.prompt; at += engine.most_tokens()) {
      const int64_t count = std::min(engine.most_tokens(), options.prompt - at);
      const Engine::Part part{s, {prompt.data() + s + at, static_cast<size_t>(count)}, false};
      engine.step({&part, 1});
    }
  for (const int64_t count : sequences) {
    std::vector<int32_t> tokens(static_cast<size_t>(count), 1);
    std::vector<Engine::Part> parts;
    for (size_t s = 0; s < tokens.size(); ++s) parts.push_back({static_cast<int>(s), {&tokens[s], 1}});
    std::vector<double> times;
    for (int64_t i = 0; i < options.generate; ++i) {
      const auto start = Clock::now();
      const std::span<const float> logits = engine.step(parts);
      engine.pool().parallel(count, [&](int64_t row, int) {
        tokens[static_cast<size_t>(row)] =
            best(logits.subspan(static_cast<size_t>(row * vocab), static_cast<size_t>(vocab)));
      });
      times.push_back(seconds(Clock::now()) - seconds(start));
    }
    for (size_t s = 0; s < tokens.size(); ++s) engine.rewind(static_cast<int>(s), options.prompt);
    const double step = median(times);
    report.rows.push_back({count, step * 1e3, static_cast<double>(count) / step});
  }
  return report;
}

std::string run_start(const ModelBenchOptions &options) {
  Engine engine(synthetic_model(options.preset), engine_options(options));
  const std::vector<int32_t> prompt = prompt_of(options.prompt, engine.config().vocab);
  int32_t token = run_prompt(engine, {prompt.data(), 1});
  const double first_token_at = seconds(Clock::now());
  engine.reset();
  token = run_prompt(engine, prompt);
  for (int64_t i = 0; engine.config().has_head && i < std::min<int64_t>(options.generate, 8); ++i)
    token = best(engine.decode(token));
  return nlohmann::json{
      {"first_token_at", first_token_at}, {"rss_mib", peak_rss_mib()}, {"prepacked", engine.prepacked()}}
      .dump();
}

}  // namespace bittern::runtime
