#include "runtime/tokenizer/pre_tokenizer.h"

#include <fmt/format.h>

#include "runtime/error.h"

namespace bittern::runtime {
namespace {

// What ByteLevel splits by when its use_regex is on: GPT-2's pattern.
constexpr const char *kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

Regex compile(const Json &field, const std::string &pattern) {
  try {
    return Regex(pattern);
  } catch (const Error &error) {
    field.fail(error.what());
  }
}

std::string escape_pattern(std::string_view literal) {
  std::string out;
  for (const char c : literal) {
    if (std::string_view("\\^$.[|()?*+{}]-").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

PreTokenizer::PreTokenizer(const Json &field) {
  read(field);
  if (!byte_level_) field.fail("no ByteLevel step: only byte-level tokenizers are supported");
}

void PreTokenizer::read(const Json &field) {
  const Json type = field.get("type");
  const std::string name = type.string();
  if (name == "Sequence") {
    const Json list = field.get("pretokenizers");
    list.expect(Json::Type::Array);
    for (const Json item : list) read(item);
  } else if (name == "Split") {
    if (byte_level_) field.fail("Split after ByteLevel is not supported");
    steps_.push_back(read_split(field));
  } else if (name == "ByteLevel") {
    if (byte_level_) field.fail("ByteLevel twice is not supported");
    byte_level_ = true;
    Step step;
    const auto prefix = field.find_value("add_prefix_space"), regex = field.find_value("use_regex");
    step.prefix_space = !prefix || prefix->boolean();  // absent means true for both
    if (!regex || regex->boolean()) step.pattern = compile(field, kGpt2Pattern);
    if (step.prefix_space || step.pattern) steps_.push_back(step);
  } else {
    type.fail(fmt::format("'{}' is not supported (supported: Sequence, Split, ByteLevel)", name));
  }
}

PreTokenizer::Step PreTokenizer::read_split(const Json &field) {
  Step step;
  const Json pattern = field.get("pattern");
  const auto regex = pattern.find("Regex"), literal = pattern.find("String");
  if (!regex && !literal) pattern.fail("neither 'Regex' nor 'String'");
  step.pattern = regex ? compile(*regex, regex->string()) : compile(*literal, escape_pattern(literal->string()));
  const Json behavior = field.get("behavior");
  const std::string name = behavior.string();
  if (name != "Isolated" && name != "Removed") {
    behavior.fail(fmt::format("'{}' is not supported (supported: Isolated, Removed)", name));
  }
  step.drop_matches = name == "Removed";
  if (const auto invert = field.find_value("invert")) step.invert = invert->boolean();
  return step;
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text, std::deque<std::string> &storage) const {
  std::vector<std::string_view> pieces, cut;
  if (!text.empty()) pieces.push_back(text);
  for (const Step &step : steps_) {
    cut.clear();
    for (std::string_view piece : pieces) {
      if (step.prefix_space && piece[0] != ' ') piece = storage.emplace_back(1, ' ').append(piece);
      if (!step.pattern) {
        cut.push_back(piece);
        continue;
      }
      const auto add = [&](size_t begin, size_t end, bool found) {
        const bool match = found != step.invert;
        if (begin < end && !(match && step.drop_matches)) cut.push_back(piece.substr(begin, end - begin));
      };
      size_t done = 0;
      step.pattern->for_each_match(piece, [&](size_t begin, size_t end) {
        add(done, begin, false);
        add(begin, end, true);
        done = end;
      });
      add(done, piece.size(), false);
    }
    pieces.swap(cut);
  }
  return pieces;
}

}  // namespace bittern::runtime
