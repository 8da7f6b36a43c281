// The table of families, in the order in which messages list them.
#include <array>

#include "runtime/model/families/family.h"

namespace bittern::runtime {
namespace {

constexpr std::array kFamilies{&kBitNet, &kLlama, &kOneBitLlm, &kQwen3Embedding, &kGemma3Embedding};

}  // namespace

const Family *find_family(std::string_view architecture, bool has_modules) {
  for (const Family *family : kFamilies) {
    if (architecture == family->architecture) return family;
    if (has_modules && !family->with_head.empty() && architecture == family->with_head) return family;
  }
  return nullptr;
}

std::vector<std::string_view> family_architectures() {
  std::vector<std::string_view> names;
  for (const Family *family : kFamilies) names.push_back(family->architecture);
  return names;
}

}  // namespace bittern::runtime
