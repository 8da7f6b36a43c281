// Any bytes as config.json and generation_config.json: one Error, or a configuration within its promised bounds.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "runtime/error.h"
#include "runtime/model/hf_config.h"

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
    config = parse_hf_config(text, "config.json").model;
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
  return 0;
}
