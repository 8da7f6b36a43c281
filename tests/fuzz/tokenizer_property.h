// What must hold of any tokenizer and any text.
#pragma once
#include <cstdlib>
#include <string>
#include <string_view>

#include "runtime/error.h"
#include "runtime/io/utf8.h"
#include "runtime/tokenizer/gguf_tokenizer.h"
#include "runtime/tokenizer/tokenizer_json.h"

namespace bittern::test {

inline void require(bool condition) {
  if (!condition) std::abort();
}

// Ids are in the vocabulary; decoding a token at a time gives the text that decoding all gives, always valid UTF-8.
inline void check_text(const runtime::Tokenizer &tokenizer, std::string_view text) {
  for (const bool parse_special : {false, true}) {
    const auto ids = tokenizer.encode(text, false, parse_special);
    runtime::StreamDecoder decoder(tokenizer);
    std::string streamed;
    for (const int32_t id : ids) {
      require(id >= 0 && id < tokenizer.vocab_size());
      const std::string piece = decoder.push(id);
      require(runtime::utf8_valid(piece));
      streamed += piece;
    }
    streamed += decoder.finish();
    require(streamed == tokenizer.decode(ids));
  }
}

// What can be written as GGUF's arrays reads as a tokenizer that gives the same ids.
inline void check_gguf_round_trip(const runtime::TokenizerSpec &spec, std::string_view text) {
  runtime::GgufTokenizer metadata;
  try {
    metadata = runtime::gguf_of_spec(spec, static_cast<int64_t>(spec.tokens.size()) + 1);
  } catch (const runtime::Error &) {
    return;  // there are specs that GGUF has no form for
  }
  // From here on nothing may be refused.
  try {
    const auto before = runtime::make_tokenizer(spec);
    const auto after = runtime::make_tokenizer(runtime::spec_of_gguf(metadata, "again"));
    require(before->encode(text, true) == after->encode(text, true));
  } catch (const runtime::Error &) {
    std::abort();
  }
}

}  // namespace bittern::test
