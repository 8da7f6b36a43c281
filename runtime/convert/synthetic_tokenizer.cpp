#include "runtime/convert/synthetic_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "runtime/error.h"
#include "runtime/io/utf8.h"

namespace bittern::runtime {
namespace {

using nlohmann::json;  // sorted, since an ordered one takes quadratic time for a vocabulary

// GPT-2's names of bytes: printable Latin-1 stands for itself, the others for characters from U+0100 on.
std::vector<std::string> byte_names() {
  std::vector<std::string> names(256);
  char32_t next = 0x100;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
    utf8_append(names[byte], printable ? byte : next);
    next += !printable;
  }
  return names;
}

}  // namespace

std::string synthetic_tokenizer_json(const ModelConfig &config) {
  std::map<int32_t, std::string> special;
  if (config.bos >= 0) special[config.bos] = "<|begin_of_text|>";
  for (const int32_t id : config.eos) special.try_emplace(id, fmt::format("<|end_{}|>", id));
  if (config.vocab < 256 + static_cast<int64_t>(special.size())) {
    throw Error(fmt::format("a vocabulary of {} is too small for all bytes", config.vocab));
  }
  std::vector<std::string> names = byte_names();
  json vocab, merges = json::array(), added = json::array();
  int32_t id = 0;
  const auto place = [&](const std::string &name) {
    while (special.contains(id)) ++id;
    vocab[name] = id++;
  };
  for (size_t i = 0; i < 256; ++i) place(names[i]);
  // Token 256 + n merges token n / 256 and byte n % 256: its left part is always earlier, and no two are equal.
  const size_t ordinary = static_cast<size_t>(config.vocab) - special.size();
  names.reserve(ordinary);
  for (size_t n = 0; names.size() < ordinary; ++n) {
    const std::string left = names[n / 256], right = names[n % 256];
    merges.push_back({left, right});
    names.push_back(left + right);
    place(names.back());
  }
  for (const auto &[special_id, content] : special) {
    added.push_back({{"id", special_id},
                     {"content", content},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  const json byte_level{
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  json out;
  out["version"] = "1.0";
  out["truncation"] = out["padding"] = nullptr;
  out["added_tokens"] = std::move(added);
  out["normalizer"] = nullptr;
  out["pre_tokenizer"] = byte_level;
  out["post_processor"] = nullptr;
  out["decoder"] = byte_level;
  json &model = out["model"];
  model["type"] = "BPE";
  for (const char *absent : {"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"}) {
    model[absent] = nullptr;
  }
  model["fuse_unk"] = model["byte_fallback"] = model["ignore_merges"] = false;
  model["vocab"] = std::move(vocab);
  model["merges"] = std::move(merges);
  return out.dump();
}

}  // namespace bittern::runtime
