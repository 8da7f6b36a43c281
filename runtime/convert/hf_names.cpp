#include "runtime/convert/hf_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/model/families/family.h"

namespace bittern::runtime {
namespace {

using nlohmann::ordered_json;

struct Row {
  const char *architecture, *model_type;
  bool has_head;
  bool (*fits)(const ModelConfig &);
};
// The first row that fits counts. 1bitLLM's models are BitNet models with another activation.
constexpr std::array<Row, 4> kRows{
    {{"Gemma3TextModel", "gemma3_text", false,
      [](const ModelConfig &c) { return c.post_norms && c.qk_norm && !c.sub_norms; }},
     {"Qwen3Model", "qwen3", false, [](const ModelConfig &c) { return c.qk_norm && !c.post_norms && !c.sub_norms; }},
     {"BitNetForCausalLM", "bitnet", true,
      [](const ModelConfig &c) { return c.sub_norms && !c.qk_norm && !c.post_norms; }},
     {"LlamaForCausalLM", "llama", true,
      [](const ModelConfig &c) { return !c.sub_norms && !c.qk_norm && !c.post_norms; }}}};

const Row *row_of(const ModelConfig &config) {
  const auto *found = std::find_if(kRows.begin(), kRows.end(),
                                   [&](const Row &row) { return row.has_head == config.has_head && row.fits(config); });
  return found == kRows.end() ? nullptr : found;
}
const Family &hf_family_of(const ModelConfig &config) { return *find_family(row_of(config)->architecture, false); }

bool is_gemma(const ModelConfig &config) { return config.post_norms; }

// In the order of Linear.
constexpr std::array<const char *, kLinearCount> kLinearNames{
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};
const char *prefix(const ModelConfig &config) { return config.has_head ? "model." : ""; }

// The shortest decimal that reads as this float: 1e-05, not 9.99999974737875e-06.
ordered_json shortest(float value) { return ordered_json::parse(fmt::format("{}", value)); }

// Gemma's scale of scores is a power -0.5 of a whole number; 0 when no whole number gives it.
int64_t query_scalar(const ModelConfig &c) {
  if (c.attention_scale == 0) return c.head_dim;
  const double scale = static_cast<double>(c.attention_scale);
  const int64_t scalar = std::llround(1 / (scale * scale));
  return scalar > 0 && static_cast<float>(1 / std::sqrt(static_cast<double>(scalar))) == c.attention_scale ? scalar : 0;
}

void describe_gemma(const ModelConfig &c, ordered_json &out) {
  out["hidden_activation"] = "gelu_pytorch_tanh";
  out["query_pre_attn_scalar"] = query_scalar(c);
  out["sliding_window"] = c.window > 0 ? c.window : c.max_positions;
  out["attn_logit_softcapping"] = nullptr;
  out["final_logit_softcapping"] = nullptr;
  ordered_json &types = out["layer_types"] = ordered_json::array();
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    types.push_back(is_local_layer(c, layer) ? "sliding_attention" : "full_attention");
  }
  const auto rope = [](double theta) { return ordered_json{{"rope_type", "default"}, {"rope_theta", theta}}; };
  out["rope_parameters"] = {{"sliding_attention", rope(c.rope_theta_local > 0 ? c.rope_theta_local : c.rope_theta)},
                            {"full_attention", rope(c.rope_theta)}};
}

}  // namespace

std::string hf_lacks(const ModelConfig &c) {
  if (!row_of(c)) return "a model with these norms";
  if (c.scale_group != 0) return fmt::format("a scale for every {} columns", c.scale_group);
  const bool gemma = is_gemma(c);
  if (gemma && c.activation != Activation::GeluTanh) return "a Gemma with another activation";
  const float root = static_cast<float>(std::sqrt(static_cast<double>(c.hidden)));
  if (gemma && (query_scalar(c) == 0 || c.embedding_scale != root)) return "a Gemma with such scales";
  if (!gemma && (c.attention_scale != 0 || c.embedding_scale != 1 || c.window != 0)) {
    return "scaled embeddings, scaled scores or a window in this family";
  }
  return "";
}

std::string hf_config_text(const ModelConfig &c, DType embedding) {
  const Row &row = *row_of(c);
  ordered_json out;
  out["architectures"] = {row.architecture};
  out["model_type"] = row.model_type;
  out["vocab_size"] = c.vocab;
  out["hidden_size"] = c.hidden;
  out["intermediate_size"] = c.ffn;
  out["num_hidden_layers"] = c.layers;
  out["num_attention_heads"] = c.heads;
  out["num_key_value_heads"] = c.kv_heads;
  out["head_dim"] = c.head_dim;
  out["max_position_embeddings"] = c.max_positions;
  out["rms_norm_eps"] = shortest(c.rms_eps);
  out["attention_bias"] = false;
  if (is_gemma(c)) {
    describe_gemma(c, out);
  } else {
    out["hidden_act"] = c.activation == Activation::Relu2  ? "relu2"
                        : c.activation == Activation::Silu ? "silu"
                                                           : "gelu_pytorch_tanh";
    out["rope_theta"] = c.rope_theta;
    out["mlp_bias"] = false;
  }
  // A model without a head has nothing to tie; transformers' own files say true.
  out["tie_word_embeddings"] = c.tied_head || !c.has_head;
  if (c.bos >= 0) out["bos_token_id"] = c.bos;
  if (c.eos.size() == 1) {
    out["eos_token_id"] = c.eos[0];
  } else if (!c.eos.empty()) {
    out["eos_token_id"] = c.eos;
  }
  out["torch_dtype"] = embedding == DType::F32 ? "float32" : embedding == DType::F16 ? "float16" : "bfloat16";
  ordered_json &quantization = out["quantization_config"];
  quantization["quant_method"] = "bitnet";
  quantization["linear_class"] = "autobitlinear";
  quantization["quantization_mode"] = "offline";
  if (c.linear_norms) {
    quantization["use_rms_norm"] = true;
    quantization["rms_norm_eps"] = shortest(c.linear_norm_eps);
  }
  if (c.has_head && !c.tied_head) quantization["modules_to_not_convert"] = {"lm_head"};
  return out.dump(2) + "\n";
}

std::string hf_generation_text(const ModelConfig &c) {
  ordered_json out;
  if (c.bos >= 0) out["bos_token_id"] = c.bos;
  if (!c.eos.empty()) out["eos_token_id"] = c.eos;
  const ModelConfig::Generation &g = c.generation;
  out["do_sample"] = g.do_sample;
  if (g.do_sample) {
    out["temperature"] = shortest(g.temperature);
    out["top_k"] = g.top_k;
    out["top_p"] = shortest(g.top_p);
    out["min_p"] = shortest(g.min_p);
    out["repetition_penalty"] = shortest(g.repetition_penalty);
  }
  return out.dump(2) + "\n";
}

std::string hf_linear_name(const ModelConfig &config, int64_t layer, Linear which) {
  return fmt::format("{}layers.{}.{}", prefix(config), layer, kLinearNames[static_cast<size_t>(which)]);
}

std::string hf_vector_name(const ModelConfig &config, int64_t layer, Vector which) {
  const char *name = hf_family_of(config).vectors[static_cast<size_t>(which)];
  return which == Vector::FinalNorm ? fmt::format("{}{}.weight", prefix(config), name)
                                    : fmt::format("{}layers.{}.{}.weight", prefix(config), layer, name);
}

std::string hf_embedding_name(const ModelConfig &config) {
  return fmt::format("{}embed_tokens.weight", prefix(config));
}

float hf_norm_offset(const ModelConfig &config) { return hf_family_of(config).norm_offset; }

}  // namespace bittern::runtime
