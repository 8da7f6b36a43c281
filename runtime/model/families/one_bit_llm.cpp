// BitnetForCausalLM (small n): 1bitLLM's bitnet_b1_58-large, -xl and -3B. As BitNetForCausalLM with other names for the
// sub norms; the checkpoints are float masters and say so by weight_bits and input_bits instead of quantization_config.
#include "runtime/model/families/family.h"
#include "runtime/model/families/fields.h"

namespace bittern::runtime {
namespace {

void read_bits(const Json &root, HfConfig &config) {
  root.get("weight_bits").integer(1, 1);
  root.get("input_bits").integer(8, 8);
  config.weights = WeightMeaning::OnlineMasters;
}

}  // namespace

const Family kOneBitLlm{"BitnetForCausalLM",
                        "",
                        [](const Json &root, HfConfig &config) {
                          config.model.sub_norms = true;
                          config.model.rope_theta = read_rope_theta(root);
                          read_activation(root, "hidden_act", config.model);
                          if (root.find_value("quantization_config"))
                            read_quantization(root, config);
                          else
                            read_bits(root, config);
                        },
                        {"input_layernorm", "post_attention_layernorm", "self_attn.inner_attn_ln", "mlp.ffn_layernorm",
                         "norm", nullptr, nullptr, nullptr, nullptr}};

}  // namespace bittern::runtime
