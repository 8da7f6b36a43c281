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

bool AddedTokens::spells_special(std::string_view part, size_t begin, const ParseSpecial &special,
                                 const Normalize &normalize) const {
  const std::vector<TextRange> literal = special.literal_within(begin, begin + part.size());
  for (const AddedToken &token : tokens_) {
    if (!token.special || !token.normalized) continue;
    for (size_t at = part.find(token.content); at != std::string_view::npos; at = part.find(token.content, at + 1))
      if (!special.at(begin + at, begin + at + token.content.size())) return true;
    const std::string normal = normalize(token.content);
    for (const TextRange &range : literal)
      if (normalize(part.substr(range.begin - begin, range.end - range.begin)).find(normal) != std::string::npos)
        return true;
  }
  return false;
}

void AddedTokens::split(std::string_view text, const ParseSpecial &special, const Normalize &normalize,
                        const std::function<void(std::string_view, bool)> &ordinary,
                        const std::function<void(int32_t)> &token) const {
  const auto second = [&](std::string_view part, bool first) {
    const std::string normal = normalize(part);
    // Places in normal form are not places in the text, so that a part counts as a whole: special tokens are found in
    // it unless what is literal spells one.
    const auto begin = static_cast<size_t>(part.data() - text.data());
    const bool found = special.at(begin, begin + part.size()) ||
                       (special.enabled() && !spells_special(part, begin, special, normalize));
    split_by(
        normalized_, normal, found, [&](std::string_view rest, bool start) { ordinary(rest, first && start); }, token);
  };
  split_by(as_written_, text, special, second, token);
}

AddedTokens::Match AddedTokens::match(const PrefixIndex &index, std::string_view text, size_t at,
                                      const ParseSpecial &special) const {
  Match longest;
  index.for_each_prefix(text.substr(at), [&](size_t length, int32_t i) {
    const AddedToken &token = tokens_[static_cast<size_t>(i)];
    if (!token.special || special.at(at, at + length)) longest = {&token, length};
  });
  return longest;
}

void AddedTokens::split_by(const PrefixIndex &index, std::string_view text, const ParseSpecial &special,
                           const std::function<void(std::string_view, bool)> &ordinary,
                           const std::function<void(int32_t)> &token) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size() && !index.empty();) {
    const Match found = match(index, text, at, special);
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
