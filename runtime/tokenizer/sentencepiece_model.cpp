#include "runtime/tokenizer/sentencepiece_model.h"

#include <fmt/format.h>

#include <cmath>

#include "runtime/error.h"
#include "runtime/io/utf8.h"
#include "runtime/tokenizer/charsmap.h"
#include "runtime/tokenizer/protobuf.h"
#include "runtime/tokenizer/sentencepiece.h"

namespace bittern::runtime {
namespace {

constexpr size_t kMostPieces = 1 << 22;

// trainer_spec.model_type.
enum : int32_t { kUnigram = 1, kBpe = 2 };

struct Settings {
  int32_t model_type = kUnigram;
  bool byte_fallback = false, space_as_suffix = false;
  // The proto's defaults; the pieces themselves decide which is which type.
  int32_t bos = 1, eos = 2, pad = -1;
  std::string unk_text{kUnknownText};
  SentencePieceSpaces spaces{.dummy_prefix = true, .remove_extra = true, .escape = true};
};

SpecToken read_piece(const ProtoField &message) {
  SpecToken piece;
  piece.type = TokenType::Normal;
  ProtoField field;
  for (ProtoReader reader(message); reader.next(field);) {
    if (field.number() == 1) {
      piece.text = field.bytes();
      if (!utf8_valid(piece.text)) field.fail("piece: not UTF-8");
    } else if (field.number() == 2) {
      piece.score = static_cast<double>(field.float32());
      if (!std::isfinite(piece.score)) field.fail("score: not a finite number");
    } else if (field.number() == 3) {
      const int32_t type = field.int32();
      if (type < 1 || type > 6) field.fail(fmt::format("type: {} is outside 1..6", type));
      piece.type = static_cast<TokenType>(type);
    }
  }
  if (piece.text.empty()) message.fail("an empty piece");
  if (piece.type == TokenType::Byte && byte_of_piece(piece.text) < 0) {
    message.fail(fmt::format("'{}' is of type byte, which '<0x0A>' would be", piece.text));
  }
  return piece;
}

// The numbers of fields: trainer_spec, then normalizer_spec.
void read_trainer(const ProtoField &message, Settings &settings) {
  ProtoField field;
  for (ProtoReader reader(message); reader.next(field);) {
    switch (field.number()) {
      case 3:
        settings.model_type = field.int32();
        if (settings.model_type != kUnigram && settings.model_type != kBpe) {
          field.fail(fmt::format("model_type {} is not supported (supported: unigram, bpe)", settings.model_type));
        }
        break;
      case 24:
        settings.space_as_suffix = field.boolean();
        break;
      case 35:
        settings.byte_fallback = field.boolean();
        break;
      case 41:
        settings.bos = field.int32();
        break;
      case 42:
        settings.eos = field.int32();
        break;
      case 43:
        settings.pad = field.int32();
        break;
      case 44:
        settings.unk_text = field.bytes();
        break;
      default:
        break;
    }
  }
}

void read_normalizer(const ProtoField &message, Settings &settings) {
  ProtoField field;
  for (ProtoReader reader(message); reader.next(field);) {
    switch (field.number()) {
      case 2:
        settings.spaces.charsmap = field.bytes();
        if (settings.spaces.charsmap.empty()) break;
        try {
          const Charsmap tried(settings.spaces.charsmap);
        } catch (const Error &error) {
          field.fail(error.what());
        }
        break;
      case 3:
        settings.spaces.dummy_prefix = field.boolean();
        break;
      case 4:
        settings.spaces.remove_extra = field.boolean();
        break;
      case 5:
        settings.spaces.escape = field.boolean();
        break;
      default:
        break;
    }
  }
}

int32_t control(const TokenizerSpec &spec, int32_t id) {
  const bool there = id >= 0 && static_cast<size_t>(id) < spec.tokens.size() &&
                     spec.tokens[static_cast<size_t>(id)].type == TokenType::Control;
  return there ? id : -1;
}

}  // namespace

TokenizerSpec parse_sentencepiece_model(std::string_view bytes, const std::string &name) {
  TokenizerSpec spec;
  spec.name = name;
  Settings settings;
  ProtoField field;
  for (ProtoReader reader(bytes, spec.name); reader.next(field);) {
    if (field.number() == 1) {
      if (spec.tokens.size() == kMostPieces) field.fail("too many pieces");
      spec.tokens.push_back(read_piece(field));
    } else if (field.number() == 2) {
      read_trainer(field, settings);
    } else if (field.number() == 3) {
      read_normalizer(field, settings);
    }
  }
  if (spec.tokens.empty()) throw Error(name + ": not a SentencePiece model: no pieces");
  spec.model = settings.model_type == kBpe ? TokenizerSpec::Model::ScoredBpe : TokenizerSpec::Model::Unigram;
  spec.byte_fallback = settings.byte_fallback;
  spec.unk_text = settings.unk_text;
  settings.spaces.as_suffix = settings.space_as_suffix;
  finish_sentencepiece(spec, settings.spaces);
  spec.bos = control(spec, settings.bos);
  spec.eos = control(spec, settings.eos);
  spec.pad = control(spec, settings.pad);
  if (spec.bos >= 0) spec.prefix = {spec.bos};
  return spec;
}

}  // namespace bittern::runtime
