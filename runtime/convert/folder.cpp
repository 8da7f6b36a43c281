#include "runtime/convert/folder.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "runtime/convert/hf_names.h"
#include "runtime/io/float_formats.h"

namespace bittern::runtime {
namespace {

constexpr const char *kConfig = "config.json", *kGeneration = "generation_config.json";
constexpr const char *kModules = "modules.json", *kPooling = "1_Pooling";

void write_text(const Conversion &conversion, const std::string &file, const std::string &text) {
  OutputFile out(conversion.path + "/" + file, conversion.name + "/" + file);
  out.write(text);
  out.finish();
}

// How an embedding model makes one vector of a text, as the sentence-transformers library has it.
void write_pooling(const Conversion &conversion) {
  using nlohmann::ordered_json;
  ordered_json modules = ordered_json::array();
  const auto module = [&](int index, const std::string &path, const char *type) {
    modules.push_back({{"idx", index},
                       {"name", std::to_string(index)},
                       {"path", path},
                       {"type", std::string("sentence_transformers.models.") + type}});
  };
  module(0, "", "Transformer");
  module(1, kPooling, "Pooling");
  module(2, "2_Normalize", "Normalize");
  write_text(conversion, kModules, modules.dump(2) + "\n");
  const bool mean = conversion.config().pooling == Pooling::Mean;
  const ordered_json pooling{{"word_embedding_dimension", conversion.config().hidden},
                             {"pooling_mode_cls_token", false},
                             {"pooling_mode_mean_tokens", mean},
                             {"pooling_mode_max_tokens", false},
                             {"pooling_mode_lasttoken", !mean}};
  const std::string folder = conversion.path + "/" + kPooling;
  if (mkdir(folder.c_str(), 0777) != 0) {
    throw Error(fmt::format("{}/{}: cannot create: {}", conversion.name, kPooling, std::strerror(errno)));
  }
  write_text(conversion, std::string(kPooling) + "/" + kConfig, pooling.dump(2) + "\n");
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
          kModules,
          kPooling};
}

void write_folder_files(const Conversion &conversion) {
  write_text(conversion, kConfig, hf_config_text(conversion.config(), conversion.source.embedding().dtype));
  write_text(conversion, kGeneration, hf_generation_text(conversion.config()));
  if (conversion.config().pooling != Pooling::None) write_pooling(conversion);
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
