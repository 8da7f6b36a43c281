#include "runtime/convert/folder.h"

#include <fmt/format.h>

#include "runtime/convert/hf_names.h"
#include "runtime/io/float_formats.h"

namespace bittern::runtime {
namespace {

constexpr const char *kConfig = "config.json", *kGeneration = "generation_config.json";

void write_text(const Conversion &conversion, const std::string &file, const std::string &text) {
  OutputFile out(conversion.path + "/" + file, conversion.name + "/" + file);
  out.write(text);
  out.finish();
}

}  // namespace

std::vector<std::string> folder_names() {
  return {kConfig,
          kGeneration,
          "model.safetensors",
          "model_state_int2.safetensors",
          "tokenizer.json",
          "tokenizer.model",
          "tokenizer_config.json",
          "special_tokens_map.json",
          "added_tokens.json",
          "chat_template.jinja",
          "modules.json",
          "config_sentence_transformers.json"};
}

void write_folder_files(const Conversion &conversion) {
  write_text(conversion, kConfig, hf_config_text(conversion.config(), conversion.source.embedding().dtype));
  write_text(conversion, kGeneration, hf_generation_text(conversion.config()));
  for (const auto &[name, text] : conversion.files) {
    if (name != kConfig && name != kGeneration) write_text(conversion, name, text);
  }
}

void write_float_matrix(const Conversion &conversion, SafetensorsWriter &out, const std::string &name,
                        const FloatMatrix &matrix) {
  const char *dtype = matrix.dtype == DType::F32 ? "F32" : matrix.dtype == DType::F16 ? "F16" : "BF16";
  out.begin(name, dtype, {matrix.rows, matrix.cols});
  const int64_t row_bytes = matrix.cols * dtype_bytes(matrix.dtype);
  for_each_block(conversion, matrix, name, [&](int64_t, int64_t count, const uint8_t *rows) {
    out.write(rows, static_cast<size_t>(count * row_bytes));
  });
}

void ScaleWriter::write(const std::string &name, const std::vector<float> &scales) {
  std::vector<uint16_t> narrow;
  bool exact = true;
  for (const float scale : scales) {
    narrow.push_back(f32_to_bf16(scale));
    exact = exact && bf16_to_f32(narrow.back()) == scale;
  }
  const int64_t count = static_cast<int64_t>(scales.size());
  out_.begin(name, exact ? "BF16" : "F32", {count});
  if (exact) {
    out_.write(narrow.data(), narrow.size() * sizeof(uint16_t));
  } else {
    out_.write(scales.data(), scales.size() * sizeof(float));
  }
  ++all_;
  wide_ += !exact;
}

void ScaleWriter::report() const {
  if (wide_ > 0 && conversion_.note) {
    conversion_.note(
        fmt::format("{} of {} weight_scale tensors are F32, since BF16 would round them; other programs "
                    "must load the model in float32 to use them as they are",
                    wide_, all_));
  }
}

}  // namespace bittern::runtime
