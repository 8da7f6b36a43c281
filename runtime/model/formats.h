// The readers of model files, one a format. open_model.cpp tells the formats apart.
#pragma once
#include <memory>
#include <string>

#include "runtime/model/model_source.h"

namespace bittern::runtime {

// A Hugging Face folder: config.json, model.safetensors or its shards. `folder` is an absolute path.
std::unique_ptr<ModelSource> open_hf_folder(const std::string &folder, const OpenOptions &options);

// bitnet.cpp's GPU layout: a folder with config.json and model_state_int2.safetensors (runtime/model/int2_names.h).
std::unique_ptr<ModelSource> open_int2_folder(const std::string &folder, const OpenOptions &options);

// Bittern's own file (runtime/model/bittern_file.h).
std::unique_ptr<ModelSource> open_bittern(const std::string &path, const OpenOptions &options);

// A GGUF file (runtime/model/gguf_source.cpp). `path` is absolute.
std::unique_ptr<ModelSource> open_gguf(const std::string &path, const OpenOptions &options);

}  // namespace bittern::runtime
