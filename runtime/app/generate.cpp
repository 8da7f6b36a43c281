// bitnet-run: text from a prompt.
#include "runtime/engine/generate.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "runtime/app/commands.h"
#include "runtime/app/text.h"
#include "runtime/error.h"

namespace bittern::runtime {
namespace {

void put(std::FILE *out, const std::string &text) {
  if (std::fwrite(text.data(), 1, text.size(), out) != text.size() || std::fflush(out) != 0)
    throw Error("cannot write the text");
}

const char *stop_text(StopReason reason) {
  constexpr const char *kTexts[] = {"", ", ended by a stop token", ", context full", ", stopped"};
  return kTexts[static_cast<int>(reason)];
}

}  // namespace

void run_generate(const GenerateCommand &command, const std::atomic<bool> &stop, std::FILE *out, std::FILE *err) {
  std::unique_ptr<ModelSource> source = open_model(command.model, command.open);
  check_has_head(*source);
  const std::unique_ptr<Tokenizer> tokenizer = open_tokenizer(*source);
  const std::vector<int32_t> prompt = encode_with_bos(*tokenizer, source->config(), command.prompt);
  GenerateOptions options;
  options.count = command.count;
  options.ignore_eos = command.ignore_eos;
  options.interrupt = &stop;
  options.sampling = resolve_sampling(command.sampling, source->config().generation);
  Engine engine(std::move(source), command.engine);

  StreamDecoder decoder(*tokenizer, true, true);
  std::string text;
  const auto emit = [&](const std::string &piece) {
    if (command.json)
      text += piece;
    else
      put(out, piece);
  };
  check_prompt(engine, prompt);
  if (!command.json) put(out, tokenizer->decode(prompt, true));
  const Generation made = generate(engine, prompt, options, [&](int32_t token) {
    emit(decoder.push(token));
    return true;
  });
  emit(decoder.finish());
  const double prefill = tokens_per_second(made.prefilled, made.prefill_seconds),
               decode = tokens_per_second(made.decode_steps, made.decode_seconds);
  if (command.json) {
    const nlohmann::ordered_json json = {{"text", text},
                                         {"tokens", made.tokens},
                                         {"prompt_tokens", prompt.size()},
                                         {"prefill_tok_s", prefill},
                                         {"decode_tok_s", decode}};
    put(out, json.dump() + "\n");
    return;
  }
  put(out, "\n");
  const EngineOptions &used = engine.options();
  fmt::print(err, "\nprefill: {} tokens, {:.1f} tokens/s; decode: {} tokens, {:.1f} tokens/s{}\n", made.prefilled,
             prefill, made.decode_steps, decode, stop_text(made.reason));
  fmt::print(err, "{} kernels, {} thread{}, {} keys and values, {} head, {}\n", engine.origin_summary(), used.threads,
             used.threads == 1 ? "" : "s", used.kv == KvType::F16 ? "f16" : "f32", engine.head_precision(),
             options.sampling.greedy ? std::string("greedy") : fmt::format("seed {}", options.sampling.seed));
}

}  // namespace bittern::runtime
