// Gemma3TextModel: Microsoft's 270M embedding model on a Gemma3 backbone. Four norms a layer, two of them on what
// attention and FFN give before it is added; norm weights stored as w of (1 + w), but not those inside linear layers;
// embedding rows times sqrt(hidden). Layers may be local, with a window and a theta of their own.
#include <cmath>

#include "runtime/model/families/family.h"
#include "runtime/model/families/fields.h"

namespace bittern::runtime {
namespace {

// Newer files have {"full_attention": {...}, "sliding_attention": {...}}, older ones rope_theta and
// rope_local_base_freq; checkpoints where all layers are global may have rope_theta alone.
void read_thetas(const Json &root, ModelConfig &model) {
  const auto parameters = root.find_value("rope_parameters");
  if (!parameters || !parameters->find_value("full_attention")) {
    model.rope_theta = read_rope_theta(root);
    const auto local = root.find_value("rope_local_base_freq");
    model.rope_theta_local = local ? local->number(1, 1e12) : 10000;
    return;
  }
  for (const auto &[name, theta] : {std::pair{"full_attention", &ModelConfig::rope_theta},
                                    std::pair{"sliding_attention", &ModelConfig::rope_theta_local}}) {
    const Json part = parameters->get(name);
    refuse_scaled_rope(part);
    model.*theta = part.get("rope_theta").number(1, 1e12);
  }
}

}  // namespace

const Family kGemma3Embedding{
    "Gemma3TextModel",
    "Gemma3ForCausalLM",
    [](const Json &root, HfConfig &config) {
      ModelConfig &model = config.model;
      model.sub_norms = false;
      model.qk_norm = model.post_norms = true;
      model.has_head = false;
      model.pooling = Pooling::Last;
      model.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(model.hidden)));
      model.attention_scale = static_cast<float>(1 / std::sqrt(root.get("query_pre_attn_scalar").number(1, 1e6)));
      read_activation(root, root.find_value("hidden_activation") ? "hidden_activation" : "hidden_act", model);
      for (const char *field : {"attn_logit_softcapping", "final_logit_softcapping"}) refuse_value(root, field);
      refuse_true(root, "use_bidirectional_attention");
      read_layer_types(root,
                       root.find_value("sliding_window_pattern") ? "sliding_window_pattern" : "_sliding_window_pattern",
                       model);
      read_thetas(root, model);
      read_embedding_quantization(root, config);
    },
    {"input_layernorm", "pre_feedforward_layernorm", nullptr, nullptr, "norm", "self_attn.q_norm", "self_attn.k_norm",
     "post_attention_layernorm", "post_feedforward_layernorm"},
    1};

}  // namespace bittern::runtime
