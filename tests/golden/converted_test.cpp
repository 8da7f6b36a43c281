// Every golden model through every format that holds it: whatever was computed from the file that was converted, for
// every prompt, is the reference's at the tolerances of the goldens, and comes out of the converted file bit for bit.
#include <doctest/doctest.h>

#include <map>

#include "runtime/convert/convert.h"
#include "runtime/convert/format_writers.h"
#include "runtime/engine/embed.h"
#include "tests/error_message.h"
#include "tests/golden/every_way.h"
#include "tests/scratch_folder.h"

using namespace bittern::runtime;
using namespace bittern::test;

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
  const std::string refused = message([&] { run_convert(command, stop, null, null); });
  std::fclose(null);
  CHECK_MESSAGE((refused == "(no error)" || contains(refused, "; --to ")), refused);
  return refused == "(no error)";
}

// All that the goldens speak of, by prompt and what it is: "logits" and "greedy" (token ids), or of embedding models
// "hidden", "last" and "mean".
using Results = std::map<std::pair<std::string, std::string>, std::vector<float>>;

Results results(const std::string &model, const Golden &golden) {
  EngineOptions options = fresh_weights();
  options.threads = 2;
  options.context = 64;
  Engine engine(open_model(model), options);
  Results out;
  for (const char *prompt : kPrompts) {
    const std::vector<int32_t> tokens = golden.prompt(prompt);
    if (engine.config().has_head) {
      out[{prompt, "logits"}] = run_tokens(engine, tokens, false);
      if (!golden.json.at("greedy16").contains(prompt)) continue;
      engine.reset();
      std::vector<float> &greedy = out[{prompt, "greedy"}];
      int32_t token = largest(engine.prefill(tokens));
      for (size_t i = 0; i < golden.json.at("greedy16").at(prompt).at("tokens").size(); ++i) {
        greedy.push_back(static_cast<float>(token));
        token = largest(engine.decode(token));
      }
    } else {
      engine.reset();
      engine.hidden(tokens, [&, &all = out[{prompt, "hidden"}]](int64_t, int64_t rows, const float *data) {
        all.insert(all.end(), data, data + rows * engine.config().hidden);
      });
      out[{prompt, "last"}] = embed(engine, {&tokens, 1}, Pooling::Last);
      out[{prompt, "mean"}] = embed(engine, {&tokens, 1}, Pooling::Mean);
    }
  }
  return out;
}

void check_against_reference(const Results &results, const Golden &golden) {
  for (const auto &[key, got] : results) {
    const auto &[prompt, what] = key;
    CAPTURE(prompt);
    CAPTURE(what);
    if (what == "greedy") {
      const nlohmann::json &greedy = golden.json.at("greedy16").at(prompt);
      const auto strict = greedy.at("strict_tokens").get<std::ptrdiff_t>();
      const auto wanted = greedy.at("tokens").get<std::vector<float>>();
      CHECK(std::equal(wanted.begin(), wanted.begin() + strict, got.begin()));
      continue;
    }
    if (prompt == "p1" && (what == "last" || what == "mean")) continue;  // p1 has no vector of its own
    check_tolerance(prompt, compare(got, golden.result(prompt, what)));
  }
}

}  // namespace

TEST_CASE("goldens after conversion to every format that holds them") {
  std::vector<std::string> names = golden_names();
  names.insert(names.end(), golden_embedding_names().begin(), golden_embedding_names().end());
  int held = 0;
  for (const std::string &name : names) {
    CAPTURE(name);
    const Golden golden(name);
    const Results original = results(golden.folder, golden);
    // Four prompts of logits and the greedy texts, or of states and two vectors each.
    CHECK(original.size() == (name.starts_with("embed") ? 12 : 4 + golden.json.at("greedy16").size()));
    check_against_reference(original, golden);
    for (const FormatWriter &target : format_writers()) {
      CAPTURE(target.name);
      const ScratchFolder scratch;
      if (!convert(golden.folder, target.name, scratch.path("model"))) continue;
      ++held;
      for (const auto &[key, value] : results(scratch.path("model"), golden)) {
        CAPTURE(key.first);
        CAPTURE(key.second);
        CHECK(value == original.at(key));
      }
    }
  }
  // bittern, safetensors and gguf-f16 hold all eleven; the others those whose shapes are whole blocks.
  CHECK(held == 3 * 11 + 8 + 2 * 4 + 4);
}
