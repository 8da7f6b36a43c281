// Any bytes as the tensors of an int2 folder of a small model: one Error, or a model that can be read to its last
// weight.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "runtime/error.h"
#include "runtime/model/labels.h"
#include "runtime/model/model_source.h"
#include "tests/scratch_folder.h"

using namespace bittern::runtime;

namespace {

constexpr const char *kConfig = R"({"architectures": ["BitNetForCausalLM"], "vocab_size": 8, "hidden_size": 32,
  "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2,
  "max_position_embeddings": 64, "rms_norm_eps": 1e-05, "rope_theta": 500000.0, "hidden_act": "relu2",
  "tie_word_embeddings": true, "quantization_config": {"quant_method": "bitnet", "linear_class": "autobitlinear"}})";

// A folder whose tensors are in memory.
const std::string &make_folder(int fd) {
  static const bittern::test::ScratchFolder folder;
  folder.write("config.json", kConfig);
  std::filesystem::create_symlink("/proc/self/fd/" + std::to_string(fd), folder.path("model_state_int2.safetensors"));
  return folder.root();
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
  static const int fd = memfd_create("fuzz", MFD_CLOEXEC);
  static const std::string &folder = make_folder(fd);
  if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != static_cast<ssize_t>(size)) std::abort();
  try_to([&] {
    const auto source = open_model(folder);
    for (const Linear which : kLinears) {
      try_to([&] {
        const TernaryMatrix m = source->linear(0, which);
        std::vector<int8_t> trits(static_cast<size_t>(m.rows * m.cols));
        m.decode(0, m.rows, trits.data(), m.cols);
        for (const int8_t trit : trits) {
          if (trit < -1 || trit > 1) std::abort();
        }
      });
    }
    for (const Vector which : layer_vectors(source->config())) try_to([&] { source->vector(0, which); });
    try_to([&] {
      const FloatMatrix m = source->embedding();
      std::vector<uint8_t> rows(static_cast<size_t>(m.rows * m.cols * 4));
      m.fill(0, m.rows, rows.data());
    });
  });
  return 0;
}
