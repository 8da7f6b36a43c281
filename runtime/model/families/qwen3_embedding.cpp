// Qwen3Model: Microsoft's 0.6B embedding model on a Qwen3 backbone. Norms over each head of q and k, a norm inside
// every linear layer, no output head; a text's vector is its last token's hidden state unless the folder says
// otherwise.
#include "runtime/model/families/family.h"
#include "runtime/model/families/fields.h"

namespace bittern::runtime {

const Family kQwen3Embedding{"Qwen3Model",
                             "Qwen3ForCausalLM",
                             [](const Json &root, HfConfig &config) {
                               ModelConfig &model = config.model;
                               model.sub_norms = false;
                               model.qk_norm = true;
                               model.has_head = false;
                               model.pooling = Pooling::Last;
                               model.rope_theta = model.rope_theta_local = read_rope_theta(root);
                               read_activation(root, "hidden_act", model);
                               refuse_true(root, "use_sliding_window");
                               read_layer_types(root, "", model);
                               read_embedding_quantization(root, config);
                             },
                             {"input_layernorm", "post_attention_layernorm", nullptr, nullptr, "norm",
                              "self_attn.q_norm", "self_attn.k_norm", nullptr, nullptr}};

}  // namespace bittern::runtime
