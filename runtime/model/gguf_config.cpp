#include "runtime/model/gguf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "runtime/error.h"
#include "runtime/io/float_formats.h"
#include "runtime/io/join.h"
#include "runtime/model/config_fields.h"
#include "runtime/model/gguf_names.h"

namespace bittern::runtime {
namespace {

constexpr double kDefaultRopeBase = 10000;

// What the programs that write a general.architecture mean by it. Falcon3 and Falcon-E files are "llama".
struct Architecture {
  std::string_view name;
  bool sub_norms, qk_norm, post_norms;
  bool interleaved;       // q and k were permuted for RoPE of neighbouring elements
  bool scaled_embedding;  // embedding rows are multiplied by the root of their width
  bool windows;           // layers may be local
};
constexpr std::array<Architecture, 6> kArchitectures{{{"bitnet", true, false, false, false, false, false},
                                                      {"bitnet-b1.58", true, false, false, false, false, false},
                                                      {"bitnet-25", true, false, false, false, false, false},
                                                      {"llama", false, false, false, true, false, false},
                                                      {"qwen3", false, true, false, false, false, false},
                                                      {"gemma3", false, true, true, false, true, true}}};

// GGUF says nowhere which activation a model has, and programs disagree on what an architecture's name implies
// (bitnet.cpp runs "bitnet" with SiLU, whichever model it is). The models that exist differ by their RoPE base as well.
struct ActivationRow {
  std::string_view architecture;
  double rope_base;  // 0: any
  Activation activation;
};
constexpr std::array<ActivationRow, 9> kActivations{{{"bitnet", 500000, Activation::Relu2},
                                                     {"bitnet", 10000, Activation::Silu},
                                                     {"bitnet-b1.58", 500000, Activation::Relu2},
                                                     {"bitnet-b1.58", 10000, Activation::Silu},
                                                     {"bitnet-25", 500000, Activation::Relu2},
                                                     {"bitnet-25", 10000, Activation::Silu},
                                                     {"llama", 0, Activation::Silu},
                                                     {"qwen3", 0, Activation::Silu},
                                                     {"gemma3", 0, Activation::GeluTanh}}};

constexpr NamedField kIntegerKeys[] = {{"embedding_length", kHiddenField},
                                       {"feed_forward_length", kFfnField},
                                       {"block_count", kLayersField},
                                       {"attention.head_count", kHeadsField},
                                       {"context_length", kPositionsField}};

// Keys that change what a model computes in ways that Bittern does not know, and the values that change nothing.
struct NeutralKey {
  const char *key;
  std::array<double, 2> values;
};
constexpr NeutralKey kNeutral[] = {
    {"rope.scaling.factor", {1, 0}}, {"rope.scale_linear", {1, 0}},        {"expert_count", {0, 0}},
    {"logit_scale", {1, 0}},         {"attn_logit_softcapping", {0, 0}},   {"final_logit_softcapping", {0, 0}},
    {"attention.clamp_kqv", {0, 0}}, {"attention.max_alibi_bias", {0, 0}}, {"rope.scaling.attn_factor", {1, 1}},
    {"residual_scale", {1, 0}},      {"embedding_scale", {1, 0}},          {"nextn_predict_layers", {0, 0}}};

class Parser {
 public:
  Parser(const GgufFile &file, const OpenOptions &options) : file_(file), options_(options) {}

  GgufConfig parse() {
    const GgufValue &name = file_.get("general.architecture");
    const auto *found = std::find_if(kArchitectures.begin(), kArchitectures.end(),
                                     [&](const Architecture &row) { return row.name == name.string(); });
    if (found == kArchitectures.end()) {
      std::vector<std::string_view> known;
      for (const Architecture &row : kArchitectures) known.push_back(row.name);
      name.fail(fmt::format("'{}' is not supported (supported: {})", name.string().substr(0, 64), join_names(known)));
    }
    architecture_ = found;
    c_.architecture = found->name;
    c_.sub_norms = found->sub_norms;
    c_.qk_norm = found->qk_norm;
    c_.post_norms = found->post_norms;
    config_.interleaved = found->interleaved;
    refuse_unknown();
    for (const auto &[name_in_file, field] : kIntegerKeys) read_field(field, get(name_in_file), c_);
    read_heads();
    read_vocabulary();
    read_rope();
    read_windows();
    c_.rms_eps = static_cast<float>(get("attention.layer_norm_rms_epsilon").number(1e-12, 0.1));
    if (const GgufValue *scale = find("attention.scale"))
      c_.attention_scale = static_cast<float>(scale->number(0, 1e6));
    if (found->scaled_embedding) c_.embedding_scale = std::sqrt(static_cast<float>(c_.hidden));
    read_activation();
    read_pooling();
    c_.tied_head = !file_.find_tensor(kGgufHead);
    c_.linear_norms = file_.find_tensor(gguf_norm_in_name(0, Linear::Q)) != nullptr;
    if (const GgufValue *eps = file_.find("bittern.linear_norm_eps")) {
      c_.linear_norm_eps = static_cast<float>(eps->number(1e-12, 0.1));
    }
    read_stop_ids();
    read_sampling();
    read_scales();
    return std::move(config_);
  }

 private:
  // Keys of the architecture: "llama.block_count".
  std::string key(std::string_view name) const { return fmt::format("{}.{}", architecture_->name, name); }
  const GgufValue &get(std::string_view name) const { return file_.get(key(name)); }
  const GgufValue *find(std::string_view name) const { return file_.find(key(name)); }

  void read_heads() {
    c_.kv_heads = c_.heads;
    if (const GgufValue *heads = find("attention.head_count_kv")) {
      read_field(kKvHeadsField, *heads, c_);
      if (c_.heads % c_.kv_heads != 0) {
        heads->fail(fmt::format("{} does not divide {} heads", c_.kv_heads, c_.heads));
      }
    }
    const GgufValue *length = find("attention.key_length");
    c_.head_dim = c_.hidden / c_.heads;
    if (length) read_field(kHeadDimField, *length, c_);
    const GgufValue &source = length ? *length : get("attention.head_count");
    if ((!length && c_.hidden % c_.heads != 0) || c_.head_dim % 2 != 0 || c_.head_dim < 2) {
      source.fail(length ? fmt::format("{} is odd", c_.head_dim)
                         : fmt::format("embedding_length {} / {} heads is not an even number", c_.hidden, c_.heads));
    }
    if (c_.heads * c_.head_dim > kMaxWidth) {
      source.fail(fmt::format("{} heads of {} are more than {} wide", c_.heads, c_.head_dim, kMaxWidth));
    }
    for (const char *name : {"attention.value_length", "rope.dimension_count"}) {
      const GgufValue *value = find(name);
      if (value && value->integer(0, INT64_MAX) != c_.head_dim) {
        value->fail(
            fmt::format("{} is not supported: heads have {} elements", value->integer(0, INT64_MAX), c_.head_dim));
      }
    }
  }

  void read_vocabulary() {
    const GgufTensor &embedding = file_.get_tensor(kGgufEmbedding);
    constexpr int64_t kMost = 1 << 24;
    if (embedding.rank != 2 || embedding.dims[1] > kMost) {
      embedding.fail_info(fmt::format("shape: {}, expected [{}, vocabulary]", embedding.dims_text(), c_.hidden));
    }
    c_.vocab = embedding.dims[1];
    if (const GgufValue *size = find("vocab_size")) {
      const int64_t said = size->integer(1, kMost);
      if (said != c_.vocab) size->fail(fmt::format("{}, but the embedding has {} rows", said, c_.vocab));
    }
    if (const GgufValue *tokens = file_.find("tokenizer.ggml.tokens")) {
      const uint64_t count = tokens->array().size();
      if (count > static_cast<uint64_t>(c_.vocab)) {
        tokens->fail(fmt::format("{} tokens, but the embedding has {} rows", count, c_.vocab));
      }
    }
  }

  void read_rope() {
    const GgufValue *base = find("rope.freq_base");
    c_.rope_theta = base ? base->number(1, 1e12) : kDefaultRopeBase;
    const GgufValue *type = find("rope.scaling.type");
    // "linear" with a factor of 1 scales nothing.
    if (type && type->string() != "none" && type->string() != "linear") {
      type->fail(fmt::format("'{}' is not supported", type->string().substr(0, 64)));
    }
  }

  void read_windows() {
    const GgufValue *window = find("attention.sliding_window");
    if (!window || window->integer(0, INT64_MAX) == 0) return;
    if (!architecture_->windows) window->fail("sliding attention is not supported for this architecture");
    c_.window = window->integer(1, 1 << 27);
    // What llama.cpp takes for granted where the file does not say it: one layer of six is global.
    const GgufValue *pattern = find("attention.sliding_window_pattern"), *base = find("rope.freq_base_swa");
    c_.global_every = pattern ? pattern->integer(1, 1 << 20) : 6;
    c_.rope_theta_local = base ? base->number(1, 1e12) : kDefaultRopeBase;
  }

  void refuse_unknown() const {
    if (const GgufValue *count = file_.find("split.count"); count && count->integer(0, INT64_MAX) > 1) {
      count->fail(
          fmt::format("a part of a model in {} files is not supported: join them first", count->integer(0, INT64_MAX)));
    }
    for (const NeutralKey &row : kNeutral) {
      const GgufValue *value = find(row.key);
      if (!value) continue;
      const double number = value->number(-1e300, 1e300);
      if (std::find(row.values.begin(), row.values.end(), number) == row.values.end()) {
        value->fail(fmt::format("{} is not supported", number));
      }
    }
    if (const GgufValue *causal = find("attention.causal"); causal && !causal->boolean()) {
      causal->fail("false is not supported");
    }
  }

  void read_activation() {
    if (options_.activation) {
      c_.activation = *options_.activation;
      c_.activation_from = "--activation";
      return;
    }
    if (const GgufValue *own = file_.find("bittern.activation")) {
      const std::optional<Activation> known = find_activation(own->string());
      if (!known) {
        own->fail(
            fmt::format("'{}' is not supported (supported: relu2, silu, gelu_tanh)", own->string().substr(0, 64)));
      }
      c_.activation = *known;
      c_.activation_from = "bittern.activation";
      return;
    }
    // The file holds the base as a float.
    const auto *row = std::find_if(kActivations.begin(), kActivations.end(), [&](const ActivationRow &r) {
      return r.architecture == architecture_->name && (r.rope_base == 0 || r.rope_base == c_.rope_theta);
    });
    if (row == kActivations.end()) {
      throw Error(
          fmt::format("{}: the file does not say which activation function the model has, and none is known for "
                      "architecture {} with rope.freq_base {}: say --activation relu2, silu or gelu_tanh",
                      file_.file().path(), architecture_->name, c_.rope_theta));
    }
    c_.activation = row->activation;
    c_.activation_from = row->rope_base == 0
                             ? fmt::format("table: architecture {}", row->architecture)
                             : fmt::format("table: architecture {}, rope base {}", row->architecture, row->rope_base);
  }

  void read_pooling() {
    // Numbers of llama.cpp's enum llama_pooling_type.
    constexpr std::array<std::pair<int64_t, Pooling>, 3> kPooling{
        {{0, Pooling::None}, {1, Pooling::Mean}, {3, Pooling::Last}}};
    const GgufValue *type = find("pooling_type");
    if (!type) return;
    const int64_t number = type->integer(INT64_MIN, INT64_MAX);
    const auto *found =
        std::find_if(kPooling.begin(), kPooling.end(), [&](const auto &row) { return row.first == number; });
    if (found == kPooling.end()) type->fail(fmt::format("{} is not supported (supported: 0, 1, 3)", number));
    c_.pooling = found->second;
    c_.has_head = c_.pooling == Pooling::None;
  }

  void read_stop_ids() {
    const auto id = [&](const char *name) {
      const GgufValue *value = file_.find(name);
      return value ? static_cast<int32_t>(value->integer(0, c_.vocab - 1)) : -1;
    };
    c_.bos = id("tokenizer.ggml.bos_token_id");
    if (const GgufValue *add = file_.find("tokenizer.ggml.add_bos_token"); add && !add->boolean()) c_.bos = -1;
    for (const char *name :
         {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
      const int32_t stop = id(name);
      if (stop >= 0 && std::find(c_.eos.begin(), c_.eos.end(), stop) == c_.eos.end()) c_.eos.push_back(stop);
    }
  }

  void read_sampling() {
    const GgufValue *temperature = file_.find("general.sampling.temp");
    if (!temperature) return;
    ModelConfig::Generation &g = c_.generation;
    g.temperature = static_cast<float>(temperature->number(0, 1e6));
    g.do_sample = g.temperature > 0;
    const auto number = [&](const char *name, float &value, double least, double most) {
      if (const GgufValue *found = file_.find(name)) value = static_cast<float>(found->number(least, most));
    };
    number("general.sampling.top_p", g.top_p, 0, 1);
    number("general.sampling.min_p", g.min_p, 0, 1);
    number("general.sampling.penalty_repeat", g.repetition_penalty, 1e-6, 1e6);
    if (const GgufValue *top = file_.find("general.sampling.top_k")) {
      g.top_k = static_cast<int>(std::max<int64_t>(0, top->integer(-1, 1 << 24)));
    }
  }

  void read_scales() {
    const GgufValue *scales = file_.find("bittern.linear_scales");
    if (!scales) return;
    const GgufArray array = scales->array();
    const uint64_t expected = static_cast<uint64_t>(c_.layers) * kLinearCount;
    if (array.type() != GgufType::F32 || array.size() != expected) {
      scales->fail(
          fmt::format("{} items of type {}, expected {} of F32", array.size(), gguf_type_name(array.type()), expected));
    }
    for (const GgufValue item : array) {
      const float scale = static_cast<float>(item.number(0, 3.5e38));
      if (!(scale > 0)) item.fail("0 is not a usable scale: it must be positive and finite");
      config_.linear_scales.push_back(scale);
    }
  }

  const GgufFile &file_;
  const OpenOptions &options_;
  const Architecture *architecture_ = nullptr;
  GgufConfig config_;
  ModelConfig &c_ = config_.model;
};

}  // namespace

GgufConfig parse_gguf_config(const GgufFile &file, const OpenOptions &options) { return Parser(file, options).parse(); }

}  // namespace bittern::runtime
