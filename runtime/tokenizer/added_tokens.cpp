#include "runtime/tokenizer/added_tokens.h"

#include "runtime/io/utf8.h"
#include "runtime/tokenizer/regex.h"
#include "runtime/tokenizer/spaces.h"

namespace bittern::runtime {
namespace {

// Whether a character is of a word in the sense of Rust's \w, which Hugging Face's single_word goes by.
bool is_word(std::string_view character) {
  static const Regex word(R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}])");
  bool found = false;
  word.for_each_match(character, [&](size_t, size_t) { found = true; });
  return found;
}

bool stands_alone(std::string_view text, size_t begin, size_t end) {
  const std::string_view before = text.substr(0, begin), after = text.substr(end);
  return (before.empty() || !is_word(before.substr(last_character(before)))) &&
         (after.empty() || !is_word(after.substr(0, utf8_step(after).length)));
}

}  // namespace

AddedTokens::AddedTokens(const std::vector<AddedToken> &tokens, const Normalize &normalize) : tokens_(tokens) {
  std::vector<std::pair<std::string, int32_t>> as_written, normalized;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const AddedToken &token = tokens_[i];
    const int32_t index = static_cast<int32_t>(i);
    if (token.normalized)
      normalized.emplace_back(normalize(token.content), index);
    else
      as_written.emplace_back(token.content, index);
  }
  as_written_ = PrefixIndex(std::move(as_written));
  normalized_ = PrefixIndex(std::move(normalized));
}

void AddedTokens::split(std::string_view text, bool with_special, const Normalize &normalize,
                        const std::function<void(std::string_view, bool)> &ordinary,
                        const std::function<void(int32_t)> &token) const {
  const auto second = [&](std::string_view part, bool first) {
    const std::string normal = normalize(part);
    split_by(
        normalized_, normal, with_special, [&](std::string_view rest, bool start) { ordinary(rest, first && start); },
        token);
  };
  split_by(as_written_, text, with_special, second, token);
}

AddedTokens::Match AddedTokens::match(const PrefixIndex &index, std::string_view rest, bool with_special) const {
  Match longest;
  index.for_each_prefix(rest, [&](size_t length, int32_t i) {
    const AddedToken &token = tokens_[static_cast<size_t>(i)];
    if (with_special || !token.special) longest = {&token, length};
  });
  return longest;
}

void AddedTokens::split_by(const PrefixIndex &index, std::string_view text, bool with_special,
                           const std::function<void(std::string_view, bool)> &ordinary,
                           const std::function<void(int32_t)> &token) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size() && !index.empty();) {
    const Match found = match(index, text.substr(at), with_special);
    if (!found.token) {
      ++at;
      continue;
    }
    const size_t end = at + found.length;
    if (found.token->single_word && !stands_alone(text, at, end)) {
      at = end;  // it stays text, and nothing is looked for inside it
      continue;
    }
    const size_t begin = found.token->strip_left ? done + without_space_after(text.substr(done, at - done)).size() : at;
    if (done < begin) ordinary(text.substr(done, begin - done), done == 0);
    token(found.token->id);
    done = found.token->strip_right ? text.size() - without_space_before(text.substr(end)).size() : end;
    at = done;
  }
  if (done < text.size()) ordinary(text.substr(done), done == 0);
}

}  // namespace bittern::runtime
