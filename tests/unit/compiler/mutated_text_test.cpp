// The fuzzer's property on texts near the real ones: bytes changed, tokens dropped, doubled and exchanged.
#include <doctest/doctest.h>

#include <random>

#include "compiler/lexer.h"
#include "compiler/library.h"
#include "tests/fuzz/kernel_text_property.h"

using namespace bittern::compiler;

TEST_CASE("mutated kernels are refused with one error or survive printing and parsing") {
  std::mt19937_64 random(11);
  const auto pick = [&](size_t n) { return static_cast<size_t>(random() % n); };
  int kernels = 0, refused = 0;
  for (const std::string &name : builtin_kernel_names()) {
    const Source source{name, builtin_kernel_text(name)};
    std::vector<std::string> tokens;
    for (const Token &t : tokenize(source)) tokens.emplace_back(t.text);
    CHECK(check_kernel_text(source.text));
    for (int round = 0; round < 60; ++round) {
      std::vector<std::string> mutated = tokens;
      for (size_t changes = 1 + pick(2); changes > 0; --changes) {
        const size_t at = pick(mutated.size() - 1), other = pick(mutated.size() - 1);
        switch (pick(4)) {
          case 0:
            mutated.erase(mutated.begin() + static_cast<std::ptrdiff_t>(at));
            break;
          case 1:
            mutated.insert(mutated.begin() + static_cast<std::ptrdiff_t>(at), mutated[other]);
            break;
          case 2:
            mutated[at] = mutated[other];
            break;
          default:
            if (!mutated[at].empty()) mutated[at][pick(mutated[at].size())] = static_cast<char>(random());
        }
      }
      std::string text;
      for (const std::string &t : mutated) text += t + " ";
      ++(check_kernel_text(text) ? kernels : refused);
    }
  }
  CHECK(kernels > 5);
  CHECK(refused > 500);
}
