// Any bytes as each of the small text files that a model comes with or a user names: config.json,
// generation_config.json, modules.json, a pooling module's config.json, tokenizer_config.json, an index of tensors, a
// kernel_config.ini, a conversation. One Error, or what they promise within its bounds.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "runtime/chat/chat_template.h"
#include "runtime/chat/session.h"
#include "runtime/error.h"
#include "runtime/model/families/family.h"
#include "runtime/model/gguf_tiles.h"
#include "runtime/model/hf_config.h"
#include "runtime/model/hf_pooling.h"
#include "runtime/model/safetensors.h"
#include "runtime/tokenizer/byte_level.h"
#include "runtime/tokenizer/tokenizer.h"
#include "tests/scratch_folder.h"

using namespace bittern::runtime;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check_ids(const ModelConfig &config) {
  require(config.bos >= -1 && config.bos < config.vocab);
  for (const int32_t id : config.eos) require(id >= 0 && id < config.vocab);
}

// A folder whose files are all the same bytes, in memory.
struct Files {
  const int fd = memfd_create("fuzz", MFD_CLOEXEC);
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  const bittern::test::ScratchFolder folder;
  Files() {
    for (const char *name : {"tokenizer_config.json", "model.safetensors.index.json"})
      std::filesystem::create_symlink(path, folder.path(name));
  }
  void write(std::string_view text) const {
    require(ftruncate(fd, 0) == 0 && pwrite(fd, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  }
};

std::unique_ptr<Tokenizer> bytes_tokenizer() {
  nlohmann::json vocab;
  for (int byte = 0; byte < 256; ++byte) vocab[byte_level_encode(std::string(1, static_cast<char>(byte)))] = byte;
  const nlohmann::json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const nlohmann::json model = {{"type", "BPE"}, {"vocab", vocab}, {"merges", nlohmann::json::array()}};
  return Tokenizer::parse(nlohmann::json{{"pre_tokenizer", bytes}, {"decoder", bytes}, {"model", model}}.dump(), "t");
}

template <typename Read>
void try_to(const Read &read) {
  try {
    read();
  } catch (const Error &) {
  }
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
  try_to([&] {
    parse_generation_config(text, "generation_config.json", config);
    require(config.generation.temperature >= 0 && config.generation.top_k >= 0);
    require(config.generation.top_p >= 0 && config.generation.top_p <= 1);
    check_ids(config);
  });
  try_to([&] {
    const std::string folder = parse_modules(text, "modules.json");
    require(folder != "." && folder != ".." && folder.find('/') == std::string::npos);
  });
  try_to([&] { require(parse_pooling(text, "config.json") != Pooling::None); });

  static const Files files;
  static const std::unique_ptr<Tokenizer> tokenizer = bytes_tokenizer();
  files.write(text);
  try_to([&] {
    for (const Message &message : load_messages(files.path)) require(!message.role.empty());
  });
  try_to([&] {
    for (const TernaryTile &tile : read_tile_config(files.path)) require(tile.rows > 0 && tile.block_rows > 0);
  });
  try_to([&] { TensorFolder{files.folder.root()}; });  // names no file that is there
  try_to([&] { find_chat_template(files.folder.root(), config, *tokenizer, ""); });
  return 0;
}
