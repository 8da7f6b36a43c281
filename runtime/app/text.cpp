// See text.h.
#include "runtime/app/text.h"

#include <sys/stat.h>

#include "runtime/error.h"

namespace bittern::runtime {

std::unique_ptr<Tokenizer> open_tokenizer(const ModelSource &source) {
  const std::string path = source.path() + "/tokenizer.json";
  struct stat info;
  if (stat(path.c_str(), &info) != 0)
    throw Error(source.path() + ": there is no tokenizer.json, which text needs (logits, info and explain do not)");
  std::unique_ptr<Tokenizer> tokenizer = Tokenizer::load(path);
  if (tokenizer->vocab_size() > source.config().vocab)
    throw Error(path + ": has ids up to " + std::to_string(tokenizer->vocab_size() - 1) +
                ", beyond the model's vocabulary of " + std::to_string(source.config().vocab));
  return tokenizer;
}

std::vector<int32_t> encode_with_bos(const Tokenizer &tokenizer, const ModelConfig &config, const std::string &text) {
  std::vector<int32_t> ids = tokenizer.encode(text, true);
  if (tokenizer.bos() < 0 && config.bos >= 0) ids.insert(ids.begin(), config.bos);
  return ids;
}

}  // namespace bittern::runtime
