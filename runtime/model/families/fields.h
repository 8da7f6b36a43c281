// Fields of config.json that several families have, each read and bounded in one place. All functions throw Error
// naming the field and its place in the file.
#pragma once
#include <string_view>

#include "runtime/io/json.h"
#include "runtime/model/hf_config.h"

namespace bittern::runtime {

// The activation function of a gated FFN.
void read_activation(const Json &root, std::string_view field, ModelConfig &model);

// rope_theta at the top level or, as newer transformers write it, in rope_parameters. Scaled RoPE is refused by name:
// ignoring it would give fluent nonsense on long prompts.
double read_rope_theta(const Json &root);
// Refuses `scaling`, an object that says how angles are made, unless it is the plain way.
void refuse_scaled_rope(const Json &scaling);

// Refuses a field that is there and true.
void refuse_true(const Json &root, std::string_view field);
// Refuses a field that is there and not null.
void refuse_value(const Json &root, std::string_view field);

// quantization_config: what the linear layers' tensors mean, and whether each has a norm of its own.
void read_quantization(const Json &root, HfConfig &config);
// The same for embedding models, whose checkpoints may have none: float masters then, with a norm in every linear
// layer.
void read_embedding_quantization(const Json &root, HfConfig &config);

// layer_types ("full_attention" or "sliding_attention" for each layer) as window and global_every; else
// sliding_window_pattern where `pattern` names that field; else every layer is global. Throws Error when the types
// do not repeat as ModelConfig can say it.
void read_layer_types(const Json &root, std::string_view pattern, ModelConfig &model);

}  // namespace bittern::runtime
