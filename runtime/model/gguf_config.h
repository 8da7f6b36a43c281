// GGUF metadata to a ModelConfig: every key the engine relies on is read and bounded here. Keys are those of
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md as bitnet.cpp, llama.cpp and ik_llama.cpp write them, and
// keys of Bittern's own for what GGUF has none: bittern.activation, bittern.linear_norm_eps and bittern.linear_scales.
#pragma once
#include <vector>

#include "runtime/model/gguf_file.h"
#include "runtime/model/model_source.h"

namespace bittern::runtime {

struct GgufConfig {
  ModelConfig model;
  // q and k rows are in the order that RoPE of neighbouring elements wants: within a head, 2i and 2i + 1 are i and
  // i + head_dim / 2 of the order that ModelSource has.
  bool interleaved = false;
  // The exact scale of each linear layer of each layer, in files whose type rounds it; empty without the key.
  std::vector<float> linear_scales;
};

// Everything but model.scale_group, which the tensors say. Throws Error naming key and offset for anything missing,
// wrong-typed, absurd or not supported.
GgufConfig parse_gguf_config(const GgufFile &file, const OpenOptions &options);

}  // namespace bittern::runtime
