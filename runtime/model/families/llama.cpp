// LlamaForCausalLM with BitNet quantisation: Llama3-8B-1.58, Falcon3-1.58bit; with use_rms_norm Falcon-E, which has a
// norm inside every linear layer. No sub norms.
#include "runtime/model/families/family.h"
#include "runtime/model/families/fields.h"

namespace bittern::runtime {

const Family kLlama{
    "LlamaForCausalLM",
    "",
    [](const Json &root, HfConfig &config) {
      config.model.sub_norms = false;
      config.model.rope_theta = read_rope_theta(root);
      read_activation(root, "hidden_act", config.model);
      read_quantization(root, config);
    },
    {"input_layernorm", "post_attention_layernorm", nullptr, nullptr, "norm", nullptr, nullptr, nullptr, nullptr}};

}  // namespace bittern::runtime
