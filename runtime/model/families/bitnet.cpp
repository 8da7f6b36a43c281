// BitNetForCausalLM: microsoft/bitnet-b1.58-2B-4T and what follows it. A norm before the output and the down projection
// ("sub norms"), squared ReLU as a rule.
#include "runtime/model/families/family.h"
#include "runtime/model/families/fields.h"

namespace bittern::runtime {

const Family kBitNet{"BitNetForCausalLM",
                     "",
                     [](const Json &root, HfConfig &config) {
                       config.model.sub_norms = true;
                       config.model.rope_theta = read_rope_theta(root);
                       read_activation(root, "hidden_act", config.model);
                       read_quantization(root, config);
                     },
                     {"input_layernorm", "post_attention_layernorm", "self_attn.attn_sub_norm", "mlp.ffn_sub_norm",
                      "norm", nullptr, nullptr, nullptr, nullptr}};

}  // namespace bittern::runtime
