// Texts to vectors: the hidden state of the last token, or the mean of all, scaled to length 1.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/engine/engine.h"

namespace bittern::runtime {

// "last" or "mean". Throws Error that lists them.
Pooling parse_pooling_name(const std::string &name);

// One vector of `hidden` floats for each text (token ids as given, nothing appended), row after row. Sums are in double
// in the order of the tokens, so the result depends on a text alone, not on its neighbours. Throws Error when pooling
// is None, or as Engine::hidden_of_texts does; a text whose pooled state is all zero stays zero.
std::vector<float> embed(Engine &engine, std::span<const std::vector<int32_t>> texts, Pooling pooling);

}  // namespace bittern::runtime
