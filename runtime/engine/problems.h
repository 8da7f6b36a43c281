// Which kernels a model needs and for which sizes: the one list that the engine plans from and the tuner works on.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "runtime/kernels/roles.h"
#include "runtime/model/model_source.h"

namespace bittern::runtime {

enum class KvType { F32, F16 };
enum class HeadType { File, Int8 };  // File: the precision in the model's file (f16 is held as f32)

// A role at the sizes of a model. `sizes` are in the role's order; sizes[0], the number of tokens, is 1 here.
struct KernelNeed {
  std::string what;  // "qkv", "o", "gate_up", "down", "head", ...
  Role role;
  std::vector<int64_t> sizes;
};

// Linear layers that read the same quantised activations are one matrix, their rows one after the other: q, k and v,
// gate and up. With norms inside the linear layers every input differs, and each matrix stands alone.
struct Projection {
  const char *what;  // the plan's step that multiplies it
  std::vector<Linear> parts;
  Linear name() const { return parts.front(); }  // by which LayerWeights finds it
};
std::vector<Projection> projections(const ModelConfig &config);

// Sequences that one pass may hold: whole texts run together in a model that makes embeddings.
int64_t sequences_of(const ModelConfig &config);
// Pages of the KV cache for sequences of up to `context` positions.
int64_t cache_pages(const ModelConfig &config, int64_t context);

// Everything the forward pass calls, largest consumers of time first. `context` sizes the KV cache.
std::vector<KernelNeed> kernel_needs(const ModelSource &source, int64_t context, KvType kv, HeadType head_type);

// For the tuner: each need at each number of tokens, as a kernel name and named sizes. Needs of equal sizes appear
// once.
struct KernelProblem {
  std::string what, spec;
  std::vector<std::pair<std::string, int64_t>> sizes;
};
std::vector<KernelProblem> kernel_problems(const ModelSource &source, const std::vector<int64_t> &m_values,
                                           int64_t context = 512, KvType kv = KvType::F32,
                                           HeadType head_type = HeadType::File);

}  // namespace bittern::runtime
