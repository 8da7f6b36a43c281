// A program's weight buffers as the kernels read them, in one stretch of huge-page memory: per layer the matrices with
// a scale per row or per group of a row, and the norms; then the head when the source cannot give its rows straight
// from a file. Because the stretch is one piece, the prepacked cache is nothing but its bytes.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/device/cpu/plan.h"
#include "runtime/memory/huge_buffer.h"
#include "runtime/model/model_source.h"
#include "runtime/program/program.h"
#include "runtime/threads/pool.h"

namespace bittern::runtime {

class Weights {
 public:
  // Packs everything from the source, or reads it from the prepacked cache when `cache_folder` is not empty (and
  // writes it there when it has to be packed). Throws Error when the source's matrices have unexpected shapes. The
  // program and the plan stay in use.
  Weights(const ModelSource &source, const Program &program, const Plan &plan, const std::string &cache_folder,
          ThreadPool &pool, const Warn &warn);

  // The first byte of a weight buffer.
  uint8_t *at(BufferId id) const { return places_[static_cast<size_t>(id)]; }
  int64_t bytes() const { return image_.size() + head_rows_.size(); }
  bool from_cache() const { return from_cache_; }

 private:
  int64_t place(uint8_t *base);
  void pack_matrix(const ModelSource &source, BufferId matrix, ThreadPool &pool);
  void pack(const ModelSource &source, ThreadPool &pool);
  void fill_head(const ModelSource &source, ThreadPool &pool);

  const Program &program_;
  const Plan &plan_;
  HugeBuffer image_, head_rows_;
  std::vector<uint8_t *> places_;  // by BufferId; null for what is no weight
  bool head_in_image_ = false, from_cache_ = false;
};

// Everything that the bytes of the image depend on. `head_in_image`: whether the head is among them.
std::string prepacked_key(const ModelSource &source, const Program &program, const Plan &plan, bool head_in_image);

}  // namespace bittern::runtime
