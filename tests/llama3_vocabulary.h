// The real Llama-3 vocabulary for tests. Meta's file may not be kept here: tools/install-deps --test fetches it into
// .deps; without it tests that need it say so and pass.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/tokenizer/byte_level.h"

namespace bittern::test {

inline std::string base64(const std::string &text) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const auto at = std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/").find(c);
    if (at == std::string_view::npos) break;
    bits = bits << 6 | static_cast<uint32_t>(at);
    count += 6;
    if (count >= 8) out += static_cast<char>(bits >> (count -= 8) & 0xff);
  }
  return out;
}

// The tokenizer.json that Hugging Face's converter makes of a tiktoken file: a token's merges are all its splits into
// two tokens, ordered by the ranks of the halves; merges are ordered by the rank of their result.
inline nlohmann::json from_tiktoken(const std::string &path, const nlohmann::json &fixture) {
  using nlohmann::json;
  std::ifstream in(path);
  std::vector<std::string> tokens;
  std::string line;
  while (std::getline(in, line)) tokens.push_back(base64(line.substr(0, line.find(' '))));
  REQUIRE(tokens.size() == fixture["n_base"].get<size_t>());
  std::unordered_map<std::string, size_t> rank;
  for (size_t i = 0; i < tokens.size(); ++i) rank[tokens[i]] = i;
  json vocab = json::object(), merges = json::array(), added = json::array();
  for (size_t i = 0; i < tokens.size(); ++i) {
    vocab[runtime::byte_level_encode(tokens[i])] = i;
    std::vector<std::pair<size_t, size_t>> splits;
    for (size_t cut = 1; cut < tokens[i].size(); ++cut) {
      const auto left = rank.find(tokens[i].substr(0, cut)), right = rank.find(tokens[i].substr(cut));
      if (left != rank.end() && right != rank.end()) splits.emplace_back(left->second, right->second);
    }
    std::sort(splits.begin(), splits.end());
    for (const auto &[left, right] : splits) {
      merges.push_back({runtime::byte_level_encode(tokens[left]), runtime::byte_level_encode(tokens[right])});
    }
  }
  for (const auto &[content, id] : fixture["special"].items()) {
    added.push_back({{"id", id}, {"content", content}, {"special", true}});
  }
  added.push_back({{"id", 128002}, {"content", "<|reserved_special_token_0|>"}, {"special", true}});
  const json split = {{"type", "Split"}, {"pattern", {{"Regex", fixture["pattern"]}}}, {"behavior", "Isolated"}};
  const json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  return {{"added_tokens", added},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, bytes}}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"ignore_merges", true}, {"vocab", vocab}, {"merges", merges}}}};
}

}  // namespace bittern::test
