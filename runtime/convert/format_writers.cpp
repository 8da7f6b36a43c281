#include "runtime/convert/format_writers.h"

#include <fmt/format.h>

namespace bittern::runtime {
namespace {

constexpr char kI2S[] = "gguf-i2_s", kTq1[] = "gguf-tq1_0", kTq2[] = "gguf-tq2_0", kF16[] = "gguf-f16";

template <const char *name>
FormatWriter gguf(const char *summary) {
  return {name, summary, false, [](const Conversion &c) { check_gguf(c, name); },
          [](const Conversion &c) { write_gguf(c, name); }};
}

}  // namespace

const std::vector<FormatWriter> &format_writers() {
  static const std::vector<FormatWriter> all{
      {"bittern", "one file that holds every model exactly, 1.6 bits a weight, checksums", false,
       [](const Conversion &) {}, write_bittern},
      gguf<kI2S>("GGUF for bitnet.cpp, 2 bits a weight, float32 scales"),
      gguf<kTq1>("GGUF for llama.cpp, 1.69 bits a weight, float16 scales"),
      gguf<kTq2>("GGUF for llama.cpp, 2.06 bits a weight, float16 scales"),
      gguf<kF16>("GGUF with dequantised float16 weights"),
      {"safetensors", "Hugging Face folder as transformers packs it, 2 bits a weight", true, check_safetensors,
       write_safetensors},
      {"int2", "folder with bitnet.cpp's GPU layout, 2 bits a weight", true, check_int2, write_int2}};
  return all;
}

const FormatWriter &find_format_writer(const std::string &name) {
  std::string known;
  for (const FormatWriter &target : format_writers()) {
    if (name == target.name) return target;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", target.name);
  }
  throw Error(fmt::format("no format '{}' (formats: {})", name, known));
}

}  // namespace bittern::runtime
