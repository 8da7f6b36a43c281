#include "runtime/convert/conversion.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace bittern::runtime {
namespace {

// Memory for one block of rows: enough to write in large pieces, small beside a model.
constexpr int64_t kBlockBytes = 4 << 20;

}  // namespace

void Work::advance(int64_t weights, const std::string &what) {
  done_ += weights;
  if (show_) show_(done_, total_, what);
  if (stop_ && *stop_) throw Interrupted("interrupted; nothing was written");
}

void Conversion::refuse(const std::string &what) const { throw Error(fmt::format("{}: {}", name, what)); }

int64_t count_weights(const ModelConfig &config) {
  int64_t layer = 0;
  for (const Linear which : kLinears) {
    const auto [rows, cols] = linear_shape(config, which);
    layer += rows * cols;
  }
  const int64_t matrices = 1 + (config.has_head && !config.tied_head);
  return layer * config.layers + matrices * config.vocab * config.hidden;
}

void for_each_block(const Conversion &conversion, int64_t layer, Linear which, const TernaryMatrix &matrix,
                    int64_t multiple, const TritBlock &use) {
  const int64_t block = std::max<int64_t>(1, kBlockBytes / (matrix.cols * multiple)) * multiple;
  std::vector<int8_t> trits(static_cast<size_t>(std::min(block, matrix.rows) * matrix.cols));
  const std::string label = matrix_label(layer, which);
  for (int64_t row0 = 0; row0 < matrix.rows; row0 += block) {
    const int64_t count = std::min(block, matrix.rows - row0);
    matrix.decode(row0, count, trits.data(), matrix.cols);
    use(row0, count, trits.data());
    conversion.work.advance(count * matrix.cols, label);
  }
  conversion.source.release(layer, which);
}

void for_each_block(const Conversion &conversion, const FloatMatrix &matrix, const std::string &what,
                    const FloatBlock &use) {
  const int64_t row_bytes = matrix.cols * dtype_bytes(matrix.dtype);
  const int64_t block = std::max<int64_t>(1, kBlockBytes / row_bytes);
  std::vector<uint8_t> rows(static_cast<size_t>(std::min(block, matrix.rows) * row_bytes));
  for (int64_t row0 = 0; row0 < matrix.rows; row0 += block) {
    const int64_t count = std::min(block, matrix.rows - row0);
    matrix.fill(row0, count, rows.data());
    if (matrix.release) matrix.release(row0, count);
    use(row0, count, rows.data());
    conversion.work.advance(count * matrix.cols, what);
  }
}

TernaryMatrix reorder_rows(TernaryMatrix matrix, std::function<int64_t(int64_t)> from) {
  matrix.decode = [decode = std::move(matrix.decode), from](int64_t row0, int64_t count, int8_t *out, int64_t stride) {
    for (int64_t i = 0; i < count; ++i) decode(from(row0 + i), 1, out + i * stride, stride);
  };
  return matrix;
}

std::string matrix_label(int64_t layer, Linear which) { return fmt::format("layer {} {}", layer, linear_label(which)); }

}  // namespace bittern::runtime
