#include "runtime/convert/convert.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "runtime/convert/folder.h"
#include "runtime/convert/format_writers.h"
#include "runtime/convert/model_files.h"
#include "runtime/convert/synthetic_tokenizer.h"
#include "runtime/convert/verify.h"
#include "runtime/io/output_place.h"
#include "runtime/io/progress_bar.h"
#include "runtime/tokenizer/open_tokenizer.h"
#include "runtime/tokenizer/tokenizer_json.h"

namespace bittern::runtime {
namespace {

namespace fs = std::filesystem;

// Writing a model over itself, or over the folder it lies in, would destroy it.
void refuse_same(const std::string &in, const std::string &out) {
  std::error_code status;
  const fs::path from = fs::canonical(in, status);
  if (status) return;  // opening it says what is wrong
  const fs::path to = fs::weakly_canonical(out, status);
  if (status) return;
  const auto [end_to, end_from] = std::mismatch(to.begin(), to.end(), from.begin(), from.end());
  if (end_to == to.end() || fs::equivalent(from, to, status)) {
    throw Error(fmt::format("{}: is the model that is to be converted, or the folder it is in", out));
  }
}

int64_t bytes_at(const std::string &path) {
  std::error_code status;
  if (!fs::is_directory(path, status)) return static_cast<int64_t>(fs::file_size(path, status));
  int64_t bytes = 0;
  for (const auto &entry : fs::directory_iterator(path, status)) bytes += static_cast<int64_t>(entry.file_size(status));
  return bytes;
}

}  // namespace

void run_convert(ConvertCommand command, const std::atomic<bool> &stop, std::FILE *out, std::FILE *err) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  ProgressBar bar(err, command.quiet);
  std::vector<std::string> notes;
  const auto note = [&](const std::string &text) {
    bar.clear();
    fmt::print(err, "note: {}\n", text);
    notes.push_back(text);
  };
  command.options.note = note;

  const FormatWriter &target = find_format_writer(command.to);
  if (command.preset.empty()) refuse_same(command.in, command.out);
  const std::unique_ptr<ModelSource> source =
      command.preset.empty() ? open_model(command.in, command.options) : synthetic_model(command.preset);
  const ModelConfig &config = source->config();
  ModelFiles files;
  std::function<std::optional<TokenizerSpec>()> tokenizer;
  if (command.preset.empty()) {
    files = read_model_files(source->path(), note);
    tokenizer = [&]() -> std::optional<TokenizerSpec> {
      const bool has_one = files.contains("tokenizer.json") || files.contains("tokenizer.model");
      return has_one ? std::optional(read_tokenizer_spec(source->path(), note)) : std::nullopt;
    };
  } else {
    files["tokenizer.json"] = synthetic_tokenizer_json(config);
    tokenizer = [&] { return std::optional(parse_tokenizer_json(files["tokenizer.json"], command.preset)); };
  }

  const int64_t weights = count_weights(config);
  Work work(
      weights * (command.verify ? 2 : 1),
      [&](int64_t done, int64_t total, const std::string &what) { bar.show(done, total, what); }, &stop);
  Conversion conversion{*source, files, "", command.out, work, note, tokenizer};
  target.check(conversion);
  OutputPlace place(command.out, target.folder ? OutputPlace::Kind::Folder : OutputPlace::Kind::File, command.force,
                    target.folder ? folder_names() : std::vector<std::string>{});
  conversion.path = place.temporary();
  target.write(conversion);
  Comparison same;
  if (command.verify) {
    const auto result = open_model(place.temporary());
    same = compare_models(conversion, *result);
  }
  place.commit();
  bar.clear();

  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const int64_t bytes = bytes_at(place.path());
  if (command.json) {
    nlohmann::ordered_json report;
    report["in"] = command.preset.empty() ? command.in : "preset " + command.preset;
    report["out"] = place.path();
    report["format"] = target.name;
    report["weights"] = weights;
    report["bytes"] = bytes;
    report["seconds"] = seconds;
    if (command.verify) {
      report["verified"] = {
          {"trits", same.trits}, {"scales", same.scales}, {"norms", same.norms}, {"floats", same.floats}};
    }
    report["notes"] = notes;
    fmt::print(out, "{}\n", report.dump(2));
    return;
  }
  fmt::print(out, "{}: {}, {} weights, {} bytes, {:.1f} s\n", place.path(), target.name, weights, bytes, seconds);
  if (command.verify) {
    fmt::print(out, "read back: {} trits, {} scales, {} norm weights and {} of embedding and head are equal\n",
               same.trits, same.scales, same.norms, same.floats);
  }
}

}  // namespace bittern::runtime
