// Every golden model through every format that holds it: the results are the reference's at the tolerance of the
// goldens, and the same bits as those of the file that was converted.
#include <doctest/doctest.h>

#include "runtime/convert/convert.h"
#include "runtime/convert/targets.h"
#include "runtime/error.h"
#include "tests/golden/golden_models.h"
#include "tests/scratch_folder.h"

using namespace bittern::runtime;
using bittern::test::ScratchFolder;

namespace {

// False when the format refuses the model's shape or family.
bool convert(const std::string &in, const std::string &to, const std::string &out) {
  const std::atomic<bool> stop{false};
  ConvertCommand command;
  command.in = in;
  command.to = to;
  command.out = out;
  command.verify = command.quiet = command.force = true;
  std::FILE *null = std::fopen("/dev/null", "w");
  std::string refused;
  try {
    run_convert(command, stop, null, null);
  } catch (const Error &error) {
    refused = error.what();
  }
  std::fclose(null);
  CHECK_MESSAGE((refused.empty() || refused.find("; --to ") != std::string::npos), refused);
  return refused.empty();
}

std::vector<float> results(const std::string &model, std::span<const int32_t> tokens) {
  Engine engine(open_model(model), {.threads = 1});
  if (engine.config().has_head) return run_tokens(engine, tokens, false);
  std::vector<float> all;
  engine.hidden(tokens, [&](int64_t, int64_t rows, const float *data) {
    all.insert(all.end(), data, data + rows * engine.config().hidden);
  });
  return all;
}

}  // namespace

TEST_CASE("goldens after conversion to every format that holds them") {
  std::vector<std::string> names = golden_names();
  names.insert(names.end(), golden_embedding_names().begin(), golden_embedding_names().end());
  int held = 0;
  for (const std::string &name : names) {
    CAPTURE(name);
    const Golden golden(name);
    const std::vector<int32_t> tokens = golden.prompt("p17");
    const std::vector<float> original = results(golden.folder, tokens);
    const bool embeds = name.starts_with("embed");
    CHECK(compare(original, golden.result("p17", embeds ? "hidden" : "logits")).max_over_rms <= 1e-4);
    for (const Target &target : targets()) {
      CAPTURE(target.name);
      const ScratchFolder scratch;
      if (!convert(golden.folder, target.name, scratch.path("model"))) continue;
      ++held;
      CHECK(results(scratch.path("model"), tokens) == original);
    }
  }
  // bittern, safetensors and gguf-f16 hold all eleven; the others those whose shapes are whole blocks.
  CHECK(held == 3 * 11 + 8 + 2 * 4 + 4);
}
