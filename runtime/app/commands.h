// What bitnet-run does, apart from reading its command line: one function a command. Results go to `out`, timings and
// notes to `err`. Every function throws Error on bad input and returns when its work is done.
#pragma once
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "runtime/engine/engine.h"
#include "runtime/sampling/sampling.h"

namespace bittern::runtime {

struct GenerateCommand {
  std::string model, prompt;
  OpenOptions open;
  int64_t count = 128;
  bool ignore_eos = false, json = false;
  SamplingParams sampling;
  EngineOptions engine;
};
// Streams the prompt and its continuation as valid UTF-8 and ends with the speeds; with `json` one object instead.
// `stop` ends it after the current token (Ctrl-C).
void run_generate(const GenerateCommand &command, const std::atomic<bool> &stop, std::FILE *out, std::FILE *err);

struct PromptsCommand {
  std::string model;
  OpenOptions open;
  std::string file;  // a prompt a line; .jsonl: objects with "prompt" and, optional, "n", "seed", "temperature"
  int64_t count = 128;
  bool ignore_eos = false, json = false;
  SamplingParams sampling;  // of prompts that say nothing else
  EngineOptions engine;
};
// Generates for all prompts, many at once; what is printed is in the order of the file. With `json` an object a line:
// {"index", "text", "tokens", "prompt_tokens", "stop"}. `stop` ends it after the current step.
void run_prompts(const PromptsCommand &command, const std::atomic<bool> &stop, std::FILE *out, std::FILE *err);

struct ChatCommand {
  std::string model, system, chat_template, prompt;
  OpenOptions open;
  bool has_prompt = false;  // one turn with `prompt`, instead of lines from standard input
  int64_t count = int64_t{1} << 40;
  bool json = false;
  SamplingParams sampling;
  EngineOptions engine;
};
// A conversation in the model's chat format. `interrupt` is set by the handler of SIGINT and ends an answer. Returns
// false when a line from a pipe failed.
bool run_chat(const ChatCommand &command, std::atomic<bool> &interrupt, std::FILE *out, std::FILE *err);

struct LogitsCommand {
  std::string model, out;
  OpenOptions open;
  std::vector<int32_t> tokens;
  EngineOptions engine;
};
// Writes float32 logits, tokens x vocabulary, as .npy.
void run_logits(const LogitsCommand &command, std::FILE *err);

struct PerplexityCommand {
  std::string model, file;
  OpenOptions open;
  int64_t window = 512;
  bool json = false;
  EngineOptions engine;
};
void run_perplexity(const PerplexityCommand &command, std::FILE *out, std::FILE *err);

struct EmbedCommand {
  std::string model;
  OpenOptions open;
  std::string file;             // a text a line; or, when empty,
  std::vector<int32_t> tokens;  // one text as token ids, to which nothing is added
  std::string out;              // .npy file to write, texts x hidden; empty: print
  std::string pooling;          // "last", "mean", or empty for the model's own
  bool json = false;
  EngineOptions engine;
};
// Vectors of length 1: a line each of numbers, or with `json` of {"index", "tokens", "embedding"}; or a .npy file.
void run_embed(const EmbedCommand &command, std::FILE *out, std::FILE *err);

// A line per distinct kernel: shape, range of M, backend, schedule, proof, % of roof, tuned or default.
void run_explain(const std::string &model, const OpenOptions &open, const EngineOptions &engine, std::FILE *out);

struct ProgramCommand {
  std::string model;
  OpenOptions open;
  bool json = false;
  std::string svg;  // file to write a picture to instead; "-" is standard output
  EngineOptions engine;
};
// The buffers and steps that the model is made of.
void run_program(const ProgramCommand &command, std::FILE *out);

// What the model is and what it will take.
void run_info(const std::string &model, const OpenOptions &open, std::FILE *out);

}  // namespace bittern::runtime
