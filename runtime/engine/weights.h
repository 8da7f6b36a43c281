// A model's weights as the kernels read them, in one stretch of huge-page memory: per layer the matrices of
// projections() with a scale per row or per group of a row, and the norms; then the head when the source cannot give
// its rows straight from a file. Because the stretch is one piece, the prepacked cache is nothing but its bytes.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/engine/plan.h"
#include "runtime/memory/huge_buffer.h"
#include "runtime/model/model_source.h"
#include "runtime/threads/pool.h"

namespace bittern::runtime {

struct PackedMatrix {
  int64_t n = 0, k = 0, group = 0;  // group: columns that share a scale, 0: all of a row
  const bt_layout *layout = nullptr;
  uint8_t *packed = nullptr;
  float *scales = nullptr;  // [n] or [n, k / group]
  // What a forward pass reads after this matrix: the beginning of the next one, or of the head.
  const uint8_t *next = nullptr;
  int64_t next_bytes = 0;
  int64_t scales_per_row() const { return group > 0 ? k / group : 1; }
};

// Members that the model does not have are empty or null.
struct LayerWeights {
  std::array<PackedMatrix, kLinearCount> matrices;  // by Projection::name()
  std::array<float *, kVectorCount> vectors{};      // by Vector
  std::array<float *, kLinearCount> linear_norms{};
  const PackedMatrix &operator[](Linear which) const { return matrices[static_cast<size_t>(which)]; }
  const float *operator[](Vector which) const { return vectors[static_cast<size_t>(which)]; }
  const float *norm_of(Linear which) const { return linear_norms[static_cast<size_t>(which)]; }
};

struct Head {
  int64_t rows = 0, cols = 0;
  uint8_t *data = nullptr;    // bf16, f32 or int8 rows
  float *scales = nullptr;    // int8 only
  DType dtype = DType::BF16;  // of the rows when they are not int8
  bool int8 = false;
  int64_t row_bytes() const { return cols * (int8 ? 1 : dtype == DType::BF16 ? 2 : 4); }
  int64_t bytes() const { return rows * row_bytes() + (int8 ? rows * 4 : 0); }
};

class Weights {
 public:
  // Packs everything from the source, or reads it from the prepacked cache when `cache_folder` is not empty (and
  // writes it there when it has to be packed). Throws Error when the source's matrices have unexpected shapes.
  Weights(const ModelSource &source, const Plan &plan, HeadType head_type, const std::string &cache_folder,
          ThreadPool &pool, const Warn &warn);

  const std::vector<LayerWeights> &layers() const { return layers_; }
  const float *final_norm() const { return final_norm_; }
  const Head &head() const { return head_; }  // empty when the model has none
  bool from_cache() const { return from_cache_; }

 private:
  void place(const ModelSource &source, const Plan &plan, HeadType head_type);
  void place_head(const ModelSource &source, HeadType head_type, class Cursor &cursor);
  void pack_matrix(const ModelSource &source, int64_t layer, const std::vector<Linear> &parts, PackedMatrix &matrix,
                   ThreadPool &pool);
  void pack(const ModelSource &source, ThreadPool &pool);
  void fill_head(const ModelSource &source, ThreadPool &pool);
  void link_in_reading_order();

  int64_t image_bytes_ = 0;
  HugeBuffer image_, head_rows_;
  std::vector<Projection> projections_;
  std::vector<LayerWeights> layers_;
  float *final_norm_ = nullptr;
  Head head_;
  bool head_in_image_ = false, from_cache_ = false;
};

}  // namespace bittern::runtime
