// bitnet-run embed: vectors of the lines of a file, or of one list of token ids.
#include "runtime/engine/embed.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/app/commands.h"
#include "runtime/app/text.h"
#include "runtime/error.h"
#include "runtime/io/mapped_file.h"
#include "runtime/io/npy.h"

namespace bittern::runtime {
namespace {

constexpr size_t kBatch = 256;  // texts whose vectors are made before any is written

// Every line with what the tokenizer puts around a whole text. The model's own BOS is not added: embedding models are
// trained on what their tokenizer gives.
std::vector<std::vector<int32_t>> read_lines(const EmbedCommand &command, const ModelSource &source, Pooling pooling,
                                             std::FILE *err) {
  const std::unique_ptr<Tokenizer> tokenizer = open_tokenizer(source);
  const std::span<const int32_t> suffix = tokenizer->suffix();
  if (suffix.empty() && pooling == Pooling::Last)
    fmt::print(err, "note: {}: the tokenizer ends a text with no token of its own; the text's last token is pooled\n",
               source.path());
  const MappedFile file(command.file, uint64_t{1} << 30);
  std::vector<std::vector<int32_t>> texts;
  for (std::string_view rest = file.text(); !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    std::vector<int32_t> ids = tokenizer->encode(line, true);
    ids.insert(ids.end(), suffix.begin(), suffix.end());
    const auto limit = command.engine.context > 0 ? command.engine.context : source.config().max_positions;
    if (ids.empty()) throw Error(fmt::format("{}: line {} is empty", command.file, texts.size() + 1));
    if (static_cast<int64_t>(ids.size()) > limit)
      throw Error(fmt::format("{}: line {} has {} tokens, the context holds {}", command.file, texts.size() + 1,
                              ids.size(), limit));
    texts.push_back(std::move(ids));
  }
  if (texts.empty()) throw Error(fmt::format("{}: there are no lines", command.file));
  return texts;
}

void print_vector(const EmbedCommand &command, size_t index, size_t tokens, std::span<const float> vector,
                  std::FILE *out) {
  std::string text;
  if (command.json) {
    text = fmt::format("{{\"index\":{},\"tokens\":{},\"embedding\":[", index, tokens);
    for (size_t i = 0; i < vector.size(); ++i) text += fmt::format("{}{}", i > 0 ? "," : "", vector[i]);
    text += "]}";
  } else {
    for (size_t i = 0; i < vector.size(); ++i) text += fmt::format("{}{}", i > 0 ? " " : "", vector[i]);
  }
  text += '\n';
  if (std::fwrite(text.data(), 1, text.size(), out) != text.size()) throw Error("cannot write the vectors");
}

}  // namespace

void run_embed(const EmbedCommand &command, std::FILE *out, std::FILE *err) {
  std::unique_ptr<ModelSource> source = open_model(command.model, command.open);
  const Pooling pooling = command.pooling.empty() ? source->config().pooling : parse_pooling_name(command.pooling);
  if (pooling == Pooling::None)
    throw Error(fmt::format("{}: a {} is no embedding model; --pooling last or mean makes vectors of it all the same",
                            source->path(), source->config().architecture));
  std::vector<std::vector<int32_t>> texts;
  if (command.file.empty())
    texts.push_back(command.tokens);
  else
    texts = read_lines(command, *source, pooling, err);
  EngineOptions options = command.engine;
  if (options.context == 0) {
    size_t longest = 1;
    for (const auto &text : texts) longest = std::max(longest, text.size());
    options.context = std::min(source->config().max_positions, static_cast<int64_t>(longest));
  }
  Engine engine(std::move(source), options);
  const auto hidden = static_cast<size_t>(engine.config().hidden);
  std::vector<float> all;
  for (size_t at = 0; at < texts.size(); at += kBatch) {
    const std::span batch(texts.data() + at, std::min(kBatch, texts.size() - at));
    const std::vector<float> vectors = embed(engine, batch, pooling);
    check_numbers(vectors, engine.config().hidden, "vectors");
    if (!command.out.empty()) {
      all.insert(all.end(), vectors.begin(), vectors.end());
      continue;
    }
    for (size_t i = 0; i < batch.size(); ++i)
      print_vector(command, at + i, batch[i].size(), {vectors.data() + i * hidden, hidden}, out);
    if (std::fflush(out) != 0) throw Error("cannot write the vectors");
  }
  if (command.out.empty()) return;
  write_npy(command.out, all, static_cast<int64_t>(texts.size()), engine.config().hidden);
  fmt::print(err, "wrote {} x {} vectors to {}\n", texts.size(), hidden, command.out);
}

}  // namespace bittern::runtime
