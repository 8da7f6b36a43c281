// Writes bitnet.cpp's GPU checkpoint as safetensors (runtime/model/int2_names.h, int2_layout.h).
#include <fmt/format.h>

#include "runtime/convert/folder.h"
#include "runtime/convert/format_writers.h"
#include "runtime/convert/hf_names.h"
#include "runtime/model/head_order.h"
#include "runtime/model/int2_layout.h"
#include "runtime/model/int2_names.h"

namespace bittern::runtime {
namespace {

int64_t fused_rows(const ModelConfig &c, const Int2Matrix &fused) {
  int64_t rows = 0;
  for (const Linear part : fused.parts) rows += linear_shape(c, part).first;
  return rows;
}

void write_fused(const Conversion &conversion, SafetensorsWriter &out, ScaleWriter &scales, int64_t layer,
                 const Int2Matrix &fused) {
  const ModelConfig &c = conversion.config();
  const int64_t cols = linear_shape(c, fused.parts[0]).second;
  const std::string name = fmt::format("layers.{}.{}.weight", layer, fused.name);
  out.begin(name, "I8", {fused_rows(c, fused), cols / 4});
  std::vector<float> part_scales;
  std::vector<uint8_t> packed(static_cast<size_t>(kInt2Rows * cols / 4));
  for (const Linear part : fused.parts) {
    TernaryMatrix m = conversion.source.linear(layer, part);
    part_scales.push_back(m.scale);
    if (part == Linear::Q || part == Linear::K) {
      m = reorder_rows(std::move(m), [hd = c.head_dim](int64_t row) { return row_in_halves(row, hd); });
    }
    for_each_block(conversion, layer, part, m, kInt2Rows, [&](int64_t, int64_t count, const int8_t *trits) {
      for (int64_t row = 0; row < count; row += kInt2Rows) {
        pack_int2(trits + row * cols, cols, cols, packed.data());
        out.write(packed.data(), packed.size());
      }
    });
  }
  part_scales.resize(kInt2Scales, 0.0f);
  scales.write(name + "_scale", part_scales);
}

}  // namespace

void check_int2(const Conversion &conversion) {
  const ModelConfig &c = conversion.config();
  if (!c.sub_norms || c.activation != Activation::Relu2 || c.linear_norms || !hf_lacks(c).empty() || !c.has_head ||
      c.heads * c.head_dim != c.hidden) {
    conversion.refuse(
        "int2 is for models built as BitNet b1.58 2B-4T is (squared ReLU, norms before o and down); --to bittern holds "
        "every model");
  }
  for (const Linear which : kLinears) {
    const auto [rows, cols] = linear_shape(c, which);
    if (rows % kInt2Rows != 0 || cols % kInt2Cols != 0) {
      conversion.refuse(fmt::format("int2 holds blocks of {} x {}, and {} is {} x {}; --to bittern holds it", kInt2Rows,
                                    kInt2Cols, linear_label(which), rows, cols));
    }
  }
}

void write_int2(const Conversion &conversion) {
  const ModelSource &source = conversion.source;
  const ModelConfig &c = conversion.config();
  write_folder_files(conversion);
  const int64_t tensors = 3 + c.layers * 12;
  SafetensorsWriter out(conversion.path + "/" + kInt2File, conversion.name + "/" + kInt2File, tensors,
                        {{"format", "pt"}, {"layout", "bitnet.cpp int2"}});
  ScaleWriter scales(conversion, out);
  write_float_matrix(conversion, out, kInt2Embedding, source.embedding());
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    for (const Int2Matrix &fused : int2_matrices()) write_fused(conversion, out, scales, layer, fused);
    for (const Int2Vector &row : kInt2Vectors) {
      out.floats(fmt::format("layers.{}.{}", layer, row.name), {vector_size(c, row.which)},
                 source.vector(layer, row.which));
    }
  }
  out.floats(kInt2FinalNorm, {c.hidden}, source.vector(0, Vector::FinalNorm));
  if (!c.tied_head) write_float_matrix(conversion, out, kInt2Head, source.head());
  out.finish();
  scales.report();
}

}  // namespace bittern::runtime
