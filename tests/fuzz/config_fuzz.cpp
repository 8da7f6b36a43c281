// Any bytes as config.json, generation_config.json, modules.json and a pooling module's config.json: one Error, or a
// configuration within its promised bounds.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "runtime/error.h"
#include "runtime/model/families/family.h"
#include "runtime/model/hf_config.h"
#include "runtime/model/hf_pooling.h"

using namespace bittern::runtime;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check_ids(const ModelConfig &config) {
  require(config.bos >= -1 && config.bos < config.vocab);
  for (const int32_t id : config.eos) require(id >= 0 && id < config.vocab);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string_view text(reinterpret_cast<const char *>(data), size);
  ModelConfig config;
  config.vocab = 1000;
  try {
    const HfConfig parsed = parse_hf_config(text, "config.json", size % 2 == 0);
    config = parsed.model;
    require(parsed.family != nullptr);
    for (size_t i = 0; i < kVectorCount; ++i)
      require(!has_vector(config, static_cast<Vector>(i)) || parsed.family->vectors[i] != nullptr);
    require(config.has_head == (config.pooling == Pooling::None));
    require(config.window >= 0 && config.global_every >= 1 && (config.window > 0 || config.global_every == 1));
    require(config.window == 0 || config.rope_theta_local >= 1);
    require(config.linear_norm_eps > 0 && config.attention_scale >= 0 && config.embedding_scale >= 1);
    for (int64_t l = 0; l < config.layers; ++l) is_local_layer(config, l);
    require(config.heads > 0 && config.kv_heads > 0 && config.heads % config.kv_heads == 0);
    require(config.head_dim > 0 && config.head_dim % 2 == 0 && config.heads * config.head_dim <= 131072);
    require(config.hidden > 0 && config.ffn > 0 && config.layers > 0 && config.max_positions > 0);
    require(config.rms_eps > 0 && config.rope_theta >= 1);
    check_ids(config);
  } catch (const Error &) {
  }
  try {
    parse_generation_config(text, "generation_config.json", config);
    require(config.generation.temperature >= 0 && config.generation.top_k >= 0);
    require(config.generation.top_p >= 0 && config.generation.top_p <= 1);
    check_ids(config);
  } catch (const Error &) {
  }
  try {
    const std::string folder = parse_modules(text, "modules.json");
    require(folder != "." && folder != ".." && folder.find('/') == std::string::npos);
  } catch (const Error &) {
  }
  try {
    require(parse_pooling(text, "config.json") != Pooling::None);
  } catch (const Error &) {
  }
  return 0;
}
