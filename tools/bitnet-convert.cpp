// bitnet-convert: a model from one file format to another, exactly. The command line only; the work is in
// runtime/convert.
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "runtime/convert/convert.h"
#include "runtime/convert/format_writers.h"
#include "tools/program.h"

namespace {

using namespace bittern::runtime;

std::string examples() {
  std::string text = "Formats:\n";
  for (const FormatWriter &target : format_writers()) {
    std::string name = target.name;
    name.resize(12, ' ');
    text += "  " + name + " " + target.summary + "\n";
  }
  return text + R"(
Examples:
  bitnet-convert tests/data/demo --to bittern -o demo.bittern --verify
  bitnet-convert MODEL_FOLDER --to gguf-tq2_0 -o model.gguf
  bitnet-convert model.gguf --to safetensors -o model-folder --activation relu2
  bitnet-convert synth --preset 2b-4t --out 2b-4t.gguf --format gguf-i2_s

IN is a Hugging Face folder, a GGUF or a Bittern file. OUT appears whole or not at all: it is written beside its place
and renamed. What a format cannot hold exactly is refused, or told in a note (docs/formats.md).
)";
}

std::vector<std::string> target_names() {
  std::vector<std::string> names;
  for (const FormatWriter &target : format_writers()) names.emplace_back(target.name);
  return names;
}

int run(int argc, char **argv) {
  CLI::App app{"Converts BitNet b1.58 models between file formats, exactly."};
  app.name("bitnet-convert");
  app.set_version_flag("--version", "bitnet-convert " BITTERN_VERSION);
  app.footer(examples());
  app.require_subcommand(0, 1);

  const auto outputs = [](CLI::App &a, ConvertCommand &c) {
    a.add_flag("--verify", c.verify, "Read the result back and compare every weight, before it takes its place");
    a.add_flag("--force", c.force, "Replace what is at OUT");
    a.add_flag("--json", c.json, "One JSON object instead of text");
    a.add_flag("--quiet", c.quiet, "No progress");
  };
  ConvertCommand convert;
  app.add_option("IN", convert.in, "Model to convert");
  app.add_option("--to", convert.to, "Format to write, see below")->check(CLI::IsMember(target_names()));
  app.add_option("-o,--out", convert.out, "File to write, or folder");
  std::string activation;
  app.add_option("--activation", activation,
                 "What the model uses, where its file leaves it open: relu2, silu, gelu_tanh")
      ->check(CLI::IsMember({"relu2", "silu", "gelu_tanh"}));
  app.add_option("--i2s-layout", convert.options.i2s_layout, "Layout of I2_S tensors of IN: 128, 64 or rows4")
      ->check(CLI::IsMember({"128", "64", "rows4"}))
      ->capture_default_str();
  app.add_option("--tl-config", convert.options.tl_config, "Tile sizes of TL1 and TL2 tensors of IN");
  outputs(app, convert);

  ConvertCommand synth;
  std::string format = "hf";
  std::vector<std::string> with_hf = target_names();
  with_hf.emplace_back("hf");
  CLI::App *synth_app = app.add_subcommand("synth", "Write a model of true shape with made-up weights, to measure on");
  synth_app->add_option("--preset", synth.preset, "Which shape")->check(CLI::IsMember(preset_names()))->required();
  synth_app->add_option("-o,--out", synth.out, "File to write, or folder")->required();
  synth_app->add_option("--format", format, "hf (the same as safetensors) or a format of --to")
      ->check(CLI::IsMember(with_hf))
      ->capture_default_str();
  outputs(*synth_app, synth);

  try {
    app.parse(argc, argv);
    if (!*synth_app) {
      if (convert.in.empty()) throw CLI::RequiredError("IN");
      if (convert.to.empty()) throw CLI::RequiredError("--to");
      if (convert.out.empty()) throw CLI::RequiredError("-o,--out");
    }
    synth.to = format == "hf" ? "safetensors" : format;
  } catch (const CLI::ParseError &e) {
    return app.exit(e) == 0 ? 0 : kUsage;
  }
  if (!activation.empty()) convert.options.activation = find_activation(activation);

  // Nothing is changed then; after a second one the next conversion to the same place removes what was left.
  stop_on({SIGINT, SIGTERM});
  run_convert(*synth_app ? synth : convert, stop_requested, stdout, stderr);
  return 0;
}

}  // namespace

int main(int argc, char **argv) { return main_of("error", run, argc, argv); }
