#include "runtime/tokenizer/normalizer.h"

#include <algorithm>
#include <memory>

#include "runtime/error.h"
#include "runtime/io/utf8.h"
#include "runtime/tokenizer/charsmap.h"
#include "runtime/tokenizer/normal_forms.h"
#include "runtime/tokenizer/regex.h"
#include "runtime/tokenizer/spaces.h"

namespace bittern::runtime {
namespace {

using Rewrite = std::function<std::string(std::string_view)>;

// The longest expansion of a character in Unicode is 18-fold; a hostile file's replacements could be of any length.
void check_growth(size_t before, size_t after) {
  if (after > before * 64 + (1 << 16)) throw Error("the tokenizer's normaliser makes too long a text");
}

Rewrite prepend(const NormalizerStep &step) {
  return [content = step.content](std::string_view text) {
    return text.empty() ? std::string() : std::string(content).append(text);
  };
}

Rewrite replace(const NormalizerStep &step) {
  if (!step.regex) {
    return [step](std::string_view text) {
      std::string out = replace_all(text, step.pattern, step.content);
      check_growth(text.size(), out.size());
      return out;
    };
  }
  return [content = step.content, regex = Regex(step.pattern)](std::string_view text) {
    std::string out;
    size_t done = 0;
    regex.for_each_match(text, [&](size_t begin, size_t end) {
      out.append(text.substr(done, begin - done)).append(content);
      check_growth(text.size(), out.size());
      done = end;
    });
    return out.append(text.substr(done));
  };
}

Rewrite normal(const NormalizerStep &step) {
  using Kind = NormalizerStep::Kind;
  const bool compose = step.kind == Kind::Nfc || step.kind == Kind::Nfkc;
  const bool compatibility = step.kind == Kind::Nfkc || step.kind == Kind::Nfkd;
  return [=](std::string_view text) { return normal_form(text, compose, compatibility); };
}

Rewrite strip(const NormalizerStep &step) {
  return [left = step.left, right = step.right](std::string_view text) {
    if (left) text = without_space_before(text);
    if (right) text = without_space_after(text);
    return std::string(text);
  };
}

// Hugging Face looks a short grapheme up whole, else character by character, and takes the shortest match for either.
Rewrite precompiled(const NormalizerStep &step) {
  constexpr size_t kShort = 6;
  return [map = std::make_shared<Charsmap>(step.content), graphemes = Regex(R"(\X)")](std::string_view text) {
    std::string out;
    const auto add = [&](std::string_view part) {
      const Charsmap::Match match = map->shortest(part);
      if (match.length > 0) out.append(match.replacement);
      return match.length > 0;
    };
    graphemes.for_each_match(text, [&](size_t begin, size_t end) {
      const std::string_view grapheme = text.substr(begin, end - begin);
      if (grapheme.size() < kShort && add(grapheme)) return;
      for (size_t i = 0; i < grapheme.size();) {
        const std::string_view character = grapheme.substr(i, utf8_step(grapheme.substr(i)).length);
        if (!add(character)) out.append(character);
        i += character.size();
      }
      check_growth(text.size(), out.size());
    });
    return out;
  };
}

// SentencePiece's normaliser, which takes the longest match of its character map.
class SentencePieceRewrite {
 public:
  SentencePieceRewrite(const NormalizerStep &step, const PrefixIndex &kept) : step_(step), kept_(kept) {
    if (!step.content.empty()) map_ = std::make_shared<Charsmap>(step.content);
  }

  std::string operator()(std::string_view text) const {
    const size_t size = text.size();
    if (step_.remove_extra_spaces) {
      while (!text.empty()) {
        const auto [length, replacement] = next(text);
        if (replacement != " ") break;
        text.remove_prefix(length);
      }
    }
    std::string out;
    if (text.empty()) return out;
    const std::string_view space = step_.escape_spaces ? kSpaceMark : " ";
    if (step_.dummy_prefix && !step_.space_as_suffix) out += space;
    bool after_space = step_.remove_extra_spaces;
    while (!text.empty()) {
      auto [length, replacement] = next(text);
      while (after_space && replacement.starts_with(' ')) replacement.remove_prefix(1);
      for (const char c : replacement) {
        if (c == ' ')
          out += space;
        else
          out += c;
      }
      if (!replacement.empty()) after_space = replacement.ends_with(' ');
      if (!step_.remove_extra_spaces) after_space = false;
      text.remove_prefix(length);
      check_growth(size, out.size());
    }
    while (step_.remove_extra_spaces && out.ends_with(space)) out.erase(out.size() - space.size());
    if (step_.dummy_prefix && step_.space_as_suffix) out += space;
    return out;
  }

 private:
  // What comes next in the text, and by what it is replaced.
  std::pair<size_t, std::string_view> next(std::string_view text) const {
    size_t length = 0;
    kept_.for_each_prefix(text, [&](size_t found, int32_t) { length = found; });
    if (length == 0 && map_) {
      if (const Charsmap::Match match = map_->longest(text); match.length > 0) return {match.length, match.replacement};
    }
    if (length == 0) length = utf8_step(text).length;
    return {length, text.substr(0, length)};
  }

  NormalizerStep step_;
  PrefixIndex kept_;
  std::shared_ptr<const Charsmap> map_;
};

}  // namespace

Normalizer::Normalizer(const std::vector<NormalizerStep> &steps, const PrefixIndex &kept) {
  using Kind = NormalizerStep::Kind;
  for (const NormalizerStep &step : steps) {
    switch (step.kind) {
      case Kind::Prepend:
        steps_.emplace_back(prepend(step));
        break;
      case Kind::Replace:
        steps_.emplace_back(replace(step));
        break;
      case Kind::Strip:
        steps_.emplace_back(strip(step));
        break;
      case Kind::Precompiled:
        steps_.emplace_back(precompiled(step));
        break;
      case Kind::SentencePiece:
        steps_.emplace_back(SentencePieceRewrite(step, kept));
        break;
      default:
        steps_.emplace_back(normal(step));
    }
  }
}

std::string Normalizer::operator()(std::string_view text) const {
  std::string out(text);
  // A character map may hold anything; what follows relies on valid UTF-8.
  for (const auto &step : steps_) out = utf8_sanitize(step(out));
  return out;
}

}  // namespace bittern::runtime
