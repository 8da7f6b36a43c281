#include "runtime/tokenizer/added_tokens.h"

#include <algorithm>

#include "runtime/io/utf8.h"
#include "runtime/tokenizer/regex.h"

namespace bittern::runtime {
namespace {

bool flag(const Json &entry, const char *name) {
  const auto found = entry.find_value(name);
  return found && found->boolean();
}

size_t white_space_before(std::string_view text) {
  size_t begin = text.size();
  while (begin > 0) {
    size_t start = begin - 1;
    while (start > 0 && (static_cast<uint8_t>(text[start]) & 0xC0) == 0x80) --start;
    if (!is_white_space(utf8_code_point(text.substr(start, begin - start)))) break;
    begin = start;
  }
  return begin;
}

size_t white_space_after(std::string_view text) {
  size_t end = 0;
  while (end < text.size()) {
    const size_t length = utf8_step(text.substr(end)).length;
    if (!is_white_space(utf8_code_point(text.substr(end, length)))) break;
    end += length;
  }
  return end;
}

}  // namespace

AddedTokens::AddedTokens(const Json &field, int64_t id_limit) : as_written_(256), normalized_(256) {
  field.expect(Json::Type::Array);
  for (const Json entry : field) {
    AddedToken token;
    token.id = static_cast<int32_t>(entry.get("id").integer(0, id_limit - 1));
    token.content = entry.get("content").string();
    if (token.content.empty()) entry.get("content").fail("empty");
    token.special = flag(entry, "special");
    token.normalized = flag(entry, "normalized");
    token.strip_left = flag(entry, "lstrip");
    token.strip_right = flag(entry, "rstrip");
    if (flag(entry, "single_word")) entry.get("single_word").fail("true is not supported");
    Index &index = token.normalized ? normalized_ : as_written_;
    index[static_cast<uint8_t>(token.content[0])].push_back(static_cast<uint32_t>(tokens_.size()));
    tokens_.push_back(std::move(token));
  }
  const auto longer = [&](uint32_t a, uint32_t b) { return tokens_[a].content.size() > tokens_[b].content.size(); };
  for (Index *index : {&as_written_, &normalized_}) {
    for (auto &list : *index) std::stable_sort(list.begin(), list.end(), longer);
  }
}

void AddedTokens::split(std::string_view text, const ParseSpecial &special,
                        const std::function<void(std::string_view)> &ordinary,
                        const std::function<void(int32_t)> &token) const {
  const auto second = [&](std::string_view part) {
    split_by(normalized_, part, text.data(), special, ordinary, token);
  };
  split_by(as_written_, text, text.data(), special, second, token);
}

const AddedToken *AddedTokens::match(const Index &index, std::string_view rest, const char *origin,
                                     const ParseSpecial &special) const {
  const auto begin = static_cast<size_t>(rest.data() - origin);
  for (const uint32_t i : index[static_cast<uint8_t>(rest[0])]) {
    const AddedToken &token = tokens_[i];
    if (rest.starts_with(token.content) && (!token.special || special.at(begin, begin + token.content.size())))
      return &token;
  }
  return nullptr;
}

void AddedTokens::split_by(const Index &index, std::string_view text, const char *origin, const ParseSpecial &special,
                           const std::function<void(std::string_view)> &ordinary,
                           const std::function<void(int32_t)> &token) const {
  if (tokens_.empty()) {
    if (!text.empty()) ordinary(text);
    return;
  }
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const AddedToken *found = match(index, text.substr(at), origin, special);
    if (!found) {
      ++at;
      continue;
    }
    const size_t end = at + found->content.size();
    const size_t begin = found->strip_left ? std::max(done, white_space_before(text.substr(0, at))) : at;
    if (done < begin) ordinary(text.substr(done, begin - done));
    token(found->id);
    done = end + (found->strip_right ? white_space_after(text.substr(end)) : 0);
    at = done;
  }
  if (done < text.size()) ordinary(text.substr(done));
}

}  // namespace bittern::runtime
