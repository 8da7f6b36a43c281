#include "runtime/tokenizer/json_steps.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <span>

#include "runtime/error.h"
#include "runtime/tokenizer/charsmap.h"
#include "runtime/tokenizer/regex.h"
#include "runtime/tokenizer/sentencepiece.h"

namespace bittern::runtime {
namespace {

constexpr size_t kMostContent = 1024;  // what one match may be replaced by

bool flag(const Json &field, const char *name, bool otherwise) {
  const auto found = field.find_value(name);
  return found ? found->boolean() : otherwise;
}

std::string content(const Json &field, const char *name) {
  const Json value = field.get(name);
  std::string text = value.string();
  if (text.size() > kMostContent) value.fail(fmt::format("longer than {} bytes", kMostContent));
  return text;
}

// {"Regex": "..."} or {"String": "..."}: whether it is the first. A regular expression is tried, so that the message
// can say where it stands.
bool read_pattern(const Json &field, std::string &pattern) {
  const Json holder = field.get("pattern");
  const auto regex = holder.find("Regex"), literal = holder.find("String");
  if (!regex && !literal) holder.fail("neither 'Regex' nor 'String'");
  pattern = regex ? regex->string() : literal->string();
  if (!regex) {
    if (pattern.empty()) literal->fail("empty");
    return false;
  }
  try {
    const Regex tried(pattern);
  } catch (const Error &error) {
    regex->fail(error.what());
  }
  return true;
}

std::string base64(const Json &field) {
  const std::string text = field.string();
  std::string bytes(text.size() / 4 * 3 + 3, '\0');
  size_t size = 0;
  if (sodium_base642bin(reinterpret_cast<unsigned char *>(bytes.data()), bytes.size(), text.data(), text.size(),
                        nullptr, &size, nullptr, sodium_base64_VARIANT_ORIGINAL) != 0) {
    field.fail("not base64");
  }
  bytes.resize(size);
  return bytes;
}

// A type of step, by the name that its "type" has.
struct StepReader {
  const char *type;
  void (*read)(const Json &field, TokenizerSpec &spec);
};

void read_step(const Json &field, std::span<const StepReader> readers, TokenizerSpec &spec) {
  const Json type = field.get("type");
  const std::string name = type.string();
  std::string known;
  for (const StepReader &reader : readers) {
    if (name == reader.type) return reader.read(field, spec);
    known += (known.empty() ? "" : ", ") + std::string(reader.type);
  }
  type.fail(fmt::format("'{}' is not supported (supported: {})", name, known));
}

// A Sequence: each item of the list `field[name]` is a step of its own.
void read_list(const Json &field, const char *name, std::span<const StepReader> readers, TokenizerSpec &spec) {
  const Json list = field.get(name);
  list.expect(Json::Type::Array);
  for (const Json item : list) read_step(item, readers, spec);
}

// ---- normalizer

template <NormalizerStep::Kind kind>
void add_normal_form(const Json &, TokenizerSpec &spec) {
  spec.normalizer.push_back({.kind = kind});
}

void add_prepend(const Json &field, TokenizerSpec &spec) {
  spec.normalizer.push_back({.kind = NormalizerStep::Kind::Prepend, .content = content(field, "prepend")});
}

void add_replace(const Json &field, TokenizerSpec &spec) {
  NormalizerStep step{.kind = NormalizerStep::Kind::Replace, .content = content(field, "content")};
  step.regex = read_pattern(field, step.pattern);
  spec.normalizer.push_back(std::move(step));
}

void add_strip(const Json &field, TokenizerSpec &spec) {
  spec.normalizer.push_back({.kind = NormalizerStep::Kind::Strip,
                             .left = flag(field, "strip_left", false),
                             .right = flag(field, "strip_right", false)});
}

void add_precompiled(const Json &field, TokenizerSpec &spec) {
  const Json map = field.get("precompiled_charsmap");
  std::string bytes = base64(map);
  try {
    const Charsmap tried(bytes);
  } catch (const Error &error) {
    map.fail(error.what());
  }
  spec.normalizer.push_back({.kind = NormalizerStep::Kind::Precompiled, .content = std::move(bytes)});
}

void add_normalizers(const Json &field, TokenizerSpec &spec);

constexpr StepReader kNormalizers[] = {
    {"Sequence", add_normalizers},
    {"NFC", add_normal_form<NormalizerStep::Kind::Nfc>},
    {"NFD", add_normal_form<NormalizerStep::Kind::Nfd>},
    {"NFKC", add_normal_form<NormalizerStep::Kind::Nfkc>},
    {"NFKD", add_normal_form<NormalizerStep::Kind::Nfkd>},
    {"Prepend", add_prepend},
    {"Replace", add_replace},
    {"Strip", add_strip},
    {"Precompiled", add_precompiled},
};

void add_normalizers(const Json &field, TokenizerSpec &spec) { read_list(field, "normalizers", kNormalizers, spec); }

// ---- pre_tokenizer

constexpr struct {
  const char *name;
  SplitBehavior behavior;
} kBehaviorNames[] = {
    {"Isolated", SplitBehavior::Isolated},
    {"Removed", SplitBehavior::Removed},
    {"MergedWithPrevious", SplitBehavior::MergedWithPrevious},
    {"MergedWithNext", SplitBehavior::MergedWithNext},
    {"Contiguous", SplitBehavior::Contiguous},
};

SplitBehavior read_behavior(const Json &field) {
  const std::string name = field.string();
  for (const auto &row : kBehaviorNames) {
    if (name == row.name) return row.behavior;
  }
  field.fail(fmt::format(
      "'{}' is not supported (supported: Isolated, Removed, MergedWithPrevious, MergedWithNext, Contiguous)", name));
}

void add_split(const Json &field, TokenizerSpec &spec) {
  PreTokenizerStep step;
  step.regex = read_pattern(field, step.pattern);
  step.behavior = read_behavior(field.get("behavior"));
  step.invert = flag(field, "invert", false);
  spec.pre_tokenizer.push_back(std::move(step));
}

void add_digits(const Json &field, TokenizerSpec &spec) {
  const bool each = flag(field, "individual_digits", false);
  spec.pre_tokenizer.push_back(
      {.pattern = R"(\p{N})", .behavior = each ? SplitBehavior::Isolated : SplitBehavior::Contiguous});
}

void add_punctuation(const Json &field, TokenizerSpec &spec) {
  const auto behavior = field.find_value("behavior");
  spec.pre_tokenizer.push_back({.pattern = R"([!-/:-@\[-`{-~\p{P}])",
                                .behavior = behavior ? read_behavior(*behavior) : SplitBehavior::Isolated});
}

void add_whitespace(const Json &, TokenizerSpec &spec) {
  spec.pre_tokenizer.push_back(
      {.pattern =
           R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}\s]+)",
       .invert = true,
       .behavior = SplitBehavior::Removed});
}

void add_whitespace_split(const Json &, TokenizerSpec &spec) {
  spec.pre_tokenizer.push_back({.pattern = R"(\s)", .behavior = SplitBehavior::Removed});
}

void add_byte_level(const Json &field, TokenizerSpec &spec) {
  if (is_byte_level(spec)) field.fail("ByteLevel twice is not supported");
  using Prefix = PreTokenizerStep::Prefix;  // absent means true for both flags
  spec.pre_tokenizer.push_back({.kind = PreTokenizerStep::Kind::ByteLevel,
                                .use_regex = flag(field, "use_regex", true),
                                .prefix = flag(field, "add_prefix_space", true) ? Prefix::Always : Prefix::Never});
}

void add_metaspace(const Json &field, TokenizerSpec &spec) {
  if (is_byte_level(spec)) field.fail("Metaspace after ByteLevel is not supported");
  PreTokenizerStep step{.kind = PreTokenizerStep::Kind::Metaspace, .pattern = content(field, "replacement")};
  if (step.pattern.empty()) field.get("replacement").fail("empty");
  step.split = flag(field, "split", true);
  using Prefix = PreTokenizerStep::Prefix;
  // Older files say add_prefix_space, later ones prepend_scheme.
  step.prefix = flag(field, "add_prefix_space", true) ? Prefix::Always : Prefix::Never;
  if (const auto scheme = field.find_value("prepend_scheme")) {
    const std::string name = scheme->string();
    if (name != "always" && name != "first" && name != "never")
      scheme->fail(fmt::format("'{}' is not supported (supported: always, first, never)", name));
    step.prefix = name == "always" ? Prefix::Always : name == "first" ? Prefix::First : Prefix::Never;
  }
  spec.pre_tokenizer.push_back(std::move(step));
}

void add_pre_tokenizers(const Json &field, TokenizerSpec &spec);

constexpr StepReader kPreTokenizers[] = {
    {"Sequence", add_pre_tokenizers},
    {"Split", add_split},
    {"ByteLevel", add_byte_level},
    {"Digits", add_digits},
    {"Punctuation", add_punctuation},
    {"Whitespace", add_whitespace},
    {"WhitespaceSplit", add_whitespace_split},
    {"Metaspace", add_metaspace},
};

void add_pre_tokenizers(const Json &field, TokenizerSpec &spec) {
  read_list(field, "pretokenizers", kPreTokenizers, spec);
}

// ---- post_processor

std::vector<int32_t> special_ids(const Json &item, const Json &special, const TokenizerSpec &spec) {
  const Json reference = item.get("SpecialToken").get("id");
  const Json ids = special.get(reference.string()).get("ids");
  ids.expect(Json::Type::Array);
  std::vector<int32_t> out;
  for (const Json id : ids) {
    out.push_back(static_cast<int32_t>(id.integer(0, static_cast<int64_t>(spec.tokens.size()) - 1)));
  }
  return out;
}

void add_template(const Json &field, TokenizerSpec &spec) {
  const Json single = field.get("single"), special = field.get("special_tokens");
  single.expect(Json::Type::Array);
  std::vector<int32_t> before, after;
  bool seen = false;
  for (const Json item : single) {
    if (item.find("Sequence")) {
      if (seen) single.fail("more than one Sequence");
      seen = true;
      continue;
    }
    const std::vector<int32_t> ids = special_ids(item, special, spec);
    std::vector<int32_t> &to = seen ? after : before;
    to.insert(to.end(), ids.begin(), ids.end());
  }
  if (!seen) single.fail("no Sequence");
  spec.prefix.insert(spec.prefix.begin(), before.begin(), before.end());
  spec.suffix.insert(spec.suffix.end(), after.begin(), after.end());
}

void add_nothing(const Json &, TokenizerSpec &) {}

void add_processors(const Json &field, TokenizerSpec &spec);

constexpr StepReader kProcessors[] = {
    {"Sequence", add_processors},
    {"TemplateProcessing", add_template},
    {"ByteLevel", add_nothing},  // only moves offsets
};

void add_processors(const Json &field, TokenizerSpec &spec) { read_list(field, "processors", kProcessors, spec); }

// ---- decoder

void decode_byte_level(const Json &field, TokenizerSpec &spec) {
  if (!is_byte_level(spec)) field.fail("ByteLevel without a ByteLevel pre-tokenizer");
}

void decode_replace(const Json &field, TokenizerSpec &spec) {
  std::string pattern;
  if (read_pattern(field, pattern) || field.get("content").string() != " ")
    field.fail("only a literal that becomes a space is supported");
  spec.space_mark = pattern;
}

void decode_strip(const Json &field, TokenizerSpec &spec) {
  if (const auto what = field.find_value("content"); what && what->string() != " ") what->fail("only ' ' is supported");
  if (field.get("stop").integer(0, kMostContent) != 0) field.get("stop").fail("only 0 is supported");
  spec.strip_spaces = static_cast<int32_t>(field.get("start").integer(0, kMostContent));
}

void decode_metaspace(const Json &field, TokenizerSpec &spec) {
  spec.space_mark = content(field, "replacement");
  const auto scheme = field.find_value("prepend_scheme");
  const bool prefix = scheme ? scheme->string() != "never" : flag(field, "add_prefix_space", true);
  spec.strip_spaces = prefix ? 1 : 0;
}

void decode_bytes(const Json &, TokenizerSpec &spec) {
  for (SpecToken &token : spec.tokens) {
    if (token.type == TokenType::Normal && byte_of_piece(token.text) >= 0) token.type = TokenType::Byte;
  }
}

void add_decoders(const Json &field, TokenizerSpec &spec);

constexpr StepReader kDecoders[] = {
    {"Sequence", add_decoders},      {"ByteLevel", decode_byte_level},
    {"Replace", decode_replace},     {"ByteFallback", decode_bytes},
    {"Fuse", add_nothing},           {"Strip", decode_strip},
    {"Metaspace", decode_metaspace},
};

void add_decoders(const Json &field, TokenizerSpec &spec) { read_list(field, "decoders", kDecoders, spec); }

}  // namespace

bool is_byte_level(const TokenizerSpec &spec) {
  return std::any_of(spec.pre_tokenizer.begin(), spec.pre_tokenizer.end(),
                     [](const PreTokenizerStep &step) { return step.kind == PreTokenizerStep::Kind::ByteLevel; });
}

void read_normalizer(const Json &root, TokenizerSpec &spec) {
  if (const auto field = root.find_value("normalizer")) read_step(*field, kNormalizers, spec);
}

void read_pre_tokenizer(const Json &root, TokenizerSpec &spec) {
  if (const auto field = root.find_value("pre_tokenizer")) read_step(*field, kPreTokenizers, spec);
}

void read_post_processor(const Json &root, TokenizerSpec &spec) {
  if (const auto field = root.find_value("post_processor")) read_step(*field, kProcessors, spec);
}

void read_decoder(const Json &root, TokenizerSpec &spec) {
  const Json field = root.get("decoder");
  field.expect(Json::Type::Object);
  const Json type = field.get("type");
  if (const std::string name = type.string(); is_byte_level(spec) && name != "ByteLevel") {
    type.fail(fmt::format("'{}' is not supported after a ByteLevel pre-tokenizer (supported: ByteLevel)", name));
  }
  read_step(field, kDecoders, spec);
}

}  // namespace bittern::runtime
