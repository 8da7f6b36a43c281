#include "runtime/tokenizer/pre_tokenizer.h"

#include <algorithm>

#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/spaces.h"

namespace bittern::runtime {

const char *const kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

namespace {

std::string literal(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("\\^$.[|()?*+{}]-").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

struct Part {
  size_t begin, end;
  bool match;
};

// A match joins the part before it, unless that ends with a match that has joined as well.
void merge_with_previous(std::vector<Part> &parts) {
  std::vector<Part> merged;
  bool after_match = false;
  for (const Part &part : parts) {
    if (part.match && !after_match && !merged.empty())
      merged.back().end = part.end;
    else
      merged.push_back(part);
    after_match = part.match;
  }
  parts = std::move(merged);
}

void merge_with_next(std::vector<Part> &parts) {
  std::vector<Part> merged;
  bool before_match = false;
  for (size_t i = parts.size(); i-- > 0;) {
    if (parts[i].match && !before_match && !merged.empty())
      merged.back().begin = parts[i].begin;
    else
      merged.push_back(parts[i]);
    before_match = parts[i].match;
  }
  std::reverse(merged.begin(), merged.end());
  parts = std::move(merged);
}

void merge_equal(std::vector<Part> &parts) {
  std::vector<Part> merged;
  for (const Part &part : parts) {
    if (!merged.empty() && merged.back().match == part.match)
      merged.back().end = part.end;
    else
      merged.push_back(part);
  }
  parts = std::move(merged);
}

void remove_matches(std::vector<Part> &parts) {
  std::erase_if(parts, [](const Part &part) { return part.match; });
}

void as_they_are(std::vector<Part> &) {}

// By SplitBehavior's order.
constexpr void (*kSplitters[])(std::vector<Part> &) = {as_they_are, remove_matches, merge_with_previous,
                                                       merge_with_next, merge_equal};

std::optional<Regex> pattern_of(const PreTokenizerStep &step) {
  using Kind = PreTokenizerStep::Kind;
  if (step.kind == Kind::ByteLevel) return step.use_regex ? std::optional(Regex(kGpt2Pattern)) : std::nullopt;
  if (step.kind == Kind::Metaspace) return step.split ? std::optional(Regex(literal(step.pattern))) : std::nullopt;
  return Regex(step.regex ? step.pattern : literal(step.pattern));
}

}  // namespace

PreTokenizer::PreTokenizer(const std::vector<PreTokenizerStep> &steps) {
  for (const PreTokenizerStep &step : steps) {
    steps_.push_back({step, pattern_of(step)});
    if (step.kind == PreTokenizerStep::Kind::Metaspace) steps_.back().what.behavior = SplitBehavior::MergedWithNext;
  }
}

void PreTokenizer::cut(const Step &step, std::string_view piece, Pieces &out) {
  if (!step.pattern) {
    out.push_back(piece);
    return;
  }
  std::vector<Part> parts;
  const auto add = [&](size_t begin, size_t end, bool found) {
    if (begin < end) parts.push_back({begin, end, found != step.what.invert});
  };
  size_t done = 0;
  step.pattern->for_each_match(piece, [&](size_t begin, size_t end) {
    add(done, begin, false);
    add(begin, end, true);
    done = end;
  });
  add(done, piece.size(), false);
  kSplitters[static_cast<size_t>(step.what.behavior)](parts);
  for (const Part &part : parts) out.push_back(piece.substr(part.begin, part.end - part.begin));
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text, bool first,
                                                  std::deque<std::string> &storage) const {
  using Kind = PreTokenizerStep::Kind;
  using Prefix = PreTokenizerStep::Prefix;
  Pieces pieces, next;
  if (!text.empty()) pieces.push_back(text);
  bool alphabet = false;  // the pieces are in GPT-2's alphabet
  for (const Step &step : steps_) {
    next.clear();
    for (std::string_view piece : pieces) {
      const bool at_start = first && piece.data() == pieces[0].data();
      if (step.what.kind == Kind::Metaspace) {
        piece = storage.emplace_back(replace_all(piece, " ", step.what.pattern));
      }
      const std::string_view mark = step.what.kind == Kind::Metaspace ? std::string_view(step.what.pattern) : " ";
      const bool wanted = step.what.prefix == Prefix::Always || (step.what.prefix == Prefix::First && at_start);
      if (wanted && !piece.starts_with(mark)) piece = storage.emplace_back(mark).append(piece);
      cut(step, piece, next);
    }
    pieces.swap(next);
    // Only what follows a ByteLevel step sees its alphabet; without followers the bytes can stay as they are.
    if (step.what.kind == Kind::ByteLevel && &step != &steps_.back()) {
      alphabet = true;
      for (std::string_view &piece : pieces) piece = storage.emplace_back(byte_level_encode(piece));
    }
  }
  if (alphabet) {
    for (std::string_view &piece : pieces) piece = storage.emplace_back(byte_level_decode(piece).value());
  }
  return pieces;
}

}  // namespace bittern::runtime
