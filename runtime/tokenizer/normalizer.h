// Rewrites text before it is cut and merged: Unicode normal forms, replaced characters, SentencePiece's spaces.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tokenizer/prefix_index.h"
#include "runtime/tokenizer/spec.h"

namespace bittern::runtime {

class Normalizer {
 public:
  Normalizer() = default;
  // `kept`: SentencePiece's normaliser leaves these strings as they are. Throws Error for a pattern or a character map
  // that is none.
  Normalizer(const std::vector<NormalizerStep> &steps, const PrefixIndex &kept);

  // `text` (valid UTF-8) through all steps. Throws Error when it grows beyond all reason. Thread-safe.
  std::string operator()(std::string_view text) const;

 private:
  std::vector<std::function<std::string(std::string_view)>> steps_;
};

}  // namespace bittern::runtime
