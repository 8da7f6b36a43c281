// bitnet-run logits and perplexity.
#include <fmt/core.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "runtime/app/commands.h"
#include "runtime/app/text.h"
#include "runtime/engine/perplexity.h"
#include "runtime/error.h"
#include "runtime/io/mapped_file.h"
#include "runtime/io/npy.h"

namespace bittern::runtime {

void run_logits(const LogitsCommand &command, std::FILE *err) {
  std::unique_ptr<ModelSource> source = open_model(command.model, command.open);
  check_has_head(*source);
  EngineOptions options = command.engine;
  const auto count = static_cast<int64_t>(command.tokens.size());
  if (options.context == 0) options.context = std::min(source->config().max_positions, std::max<int64_t>(count, 1));
  Engine engine(std::move(source), options);
  const int64_t vocab = engine.config().vocab;
  std::vector<float> all;
  engine.logits(command.tokens,
                [&](int64_t, int64_t rows, const float *data) { all.insert(all.end(), data, data + rows * vocab); });
  check_numbers(all, vocab, "logits");
  write_npy(command.out, all, count, vocab);
  fmt::print(err, "wrote {} x {} logits to {}\n", count, vocab, command.out);
}

void run_perplexity(const PerplexityCommand &command, std::FILE *out, std::FILE *err) {
  std::unique_ptr<ModelSource> source = open_model(command.model, command.open);
  check_has_head(*source);
  const std::unique_ptr<Tokenizer> tokenizer = open_tokenizer(*source);
  const MappedFile text(command.file, uint64_t{1} << 30);
  const std::vector<int32_t> tokens = encode_with_bos(*tokenizer, source->config(), std::string(text.text()));
  EngineOptions options = command.engine;
  if (command.window > source->config().max_positions)
    throw Error(fmt::format("the window of {} exceeds the model's {} positions", command.window,
                            source->config().max_positions));
  if (options.context == 0) options.context = command.window;
  Engine engine(std::move(source), options);
  const bool show = isatty(fileno(err)) != 0;
  const Perplexity result = perplexity(engine, tokens, command.window, [&](int64_t done, int64_t all) {
    if (show) fmt::print(err, "\r{} / {} tokens{}", done, all, done == all ? "\n" : "");
    std::fflush(err);
  });
  if (!std::isfinite(result.nll)) throw Error("perplexity: the model's logits are not numbers");
  if (command.json) {
    const nlohmann::ordered_json json = {
        {"perplexity", result.perplexity()}, {"nll", result.nll}, {"tokens", result.tokens}};
    fmt::print(out, "{}\n", json.dump());
  } else {
    fmt::print(out, "perplexity {:.4f}, nll {:.6f} nats, {} tokens in windows of {}\n", result.perplexity(), result.nll,
               result.tokens, command.window);
  }
}

}  // namespace bittern::runtime
