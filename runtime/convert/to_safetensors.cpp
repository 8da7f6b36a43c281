// Writes a Hugging Face folder as transformers packs BitNet weights (integrations/bitnet.py, pack_weights): U8 [N/4,
// K], where byte [r, k] has rows r, r + N/4, r + N/2 and r + 3N/4 in its bit pairs from the lowest, code = trit + 1;
// and a weight_scale that multiplies. Norms take the smallest dtype that holds them exactly, embedding and head keep
// theirs.
#include <fmt/format.h>

#include <cmath>

#include "runtime/convert/folder.h"
#include "runtime/convert/format_writers.h"
#include "runtime/convert/hf_names.h"

namespace bittern::runtime {
namespace {

constexpr int64_t kPerByte = 4;

// Blocks of rows of the packed matrix: each takes the same rows of all four quarters.
void write_packed(const Conversion &conversion, SafetensorsWriter &out, int64_t layer, Linear which,
                  const TernaryMatrix &m) {
  const int64_t quarter = m.rows / kPerByte;
  const int64_t block = std::max<int64_t>(1, (1 << 20) / m.cols);
  std::vector<int8_t> trits(static_cast<size_t>(block * m.cols));
  std::vector<uint8_t> packed(trits.size());
  for (int64_t row0 = 0; row0 < quarter; row0 += block) {
    const int64_t count = std::min(block, quarter - row0), values = count * m.cols;
    std::fill(packed.begin(), packed.end(), uint8_t{0});
    for (int64_t part = 0; part < kPerByte; ++part) {
      m.decode(part * quarter + row0, count, trits.data(), m.cols);
      for (int64_t i = 0; i < values; ++i) {
        const unsigned code = static_cast<unsigned>(trits[static_cast<size_t>(i)] + 1);
        packed[static_cast<size_t>(i)] = static_cast<uint8_t>(packed[static_cast<size_t>(i)] | code << (2 * part));
      }
    }
    out.write(packed.data(), static_cast<size_t>(values));
    conversion.work.advance(values * kPerByte, matrix_label(layer, which));
  }
  conversion.source.release(layer, which);
}

// Weights of norms as the file has them.
std::vector<float> norm_of(const Conversion &conversion, int64_t layer, Vector which) {
  std::vector<float> values = conversion.source.vector(layer, which);
  const float offset = hf_norm_offset(conversion.config());
  if (offset == 0) return values;
  for (float &value : values) {
    const float less = value - offset;
    if (less + offset != value) {
      conversion.refuse(
          fmt::format("{} of layer {}: {} is not {} + w for any float32 w, which this family's files hold",
                      vector_label(which), layer, value, offset));
    }
    value = less;
  }
  return values;
}

}  // namespace

void check_safetensors(const Conversion &conversion) {
  const ModelConfig &c = conversion.config();
  if (const std::string lacks = hf_lacks(c); !lacks.empty()) {
    conversion.refuse(fmt::format("transformers does not have {}; --to bittern holds every model", lacks));
  }
  for (const Linear which : kLinears) {
    const int64_t rows = linear_shape(c, which).first;
    if (rows % kPerByte != 0) {
      conversion.refuse(fmt::format("{} has {} rows, which cannot be packed by four; --to bittern holds them",
                                    linear_label(which), rows));
    }
  }
}

void write_safetensors(const Conversion &conversion) {
  const ModelSource &source = conversion.source;
  const ModelConfig &c = conversion.config();
  write_folder_files(conversion);
  const int64_t tensors = 3 + c.layers * static_cast<int64_t>(kVectorCount + 3 * kLinearCount);
  SafetensorsWriter out(conversion.path + "/model.safetensors", conversion.name + "/model.safetensors", tensors,
                        {{"format", "pt"}});
  ScaleWriter scales(conversion, out);
  write_float_matrix(conversion, out, hf_embedding_name(c), source.embedding());
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    for (const Linear which : kLinears) {
      const TernaryMatrix m = source.linear(layer, which);
      const std::string name = hf_linear_name(c, layer, which);
      out.begin(name + ".weight", "U8", {m.rows / kPerByte, m.cols});
      write_packed(conversion, out, layer, which, m);
      scales.write(name + ".weight_scale", {m.scale});
      if (c.linear_norms) out.floats(name + ".rms_norm.weight", {m.cols}, source.linear_norm(layer, which));
    }
    for (const Vector which : layer_vectors(c)) {
      out.floats(hf_vector_name(c, layer, which), {vector_size(c, which)}, norm_of(conversion, layer, which));
    }
  }
  out.floats(hf_vector_name(c, 0, Vector::FinalNorm), {c.hidden}, norm_of(conversion, 0, Vector::FinalNorm));
  if (c.has_head && !c.tied_head) write_float_matrix(conversion, out, kHfHead, source.head());
  out.finish();
  scales.report();
}

}  // namespace bittern::runtime
