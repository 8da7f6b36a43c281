// The engine's own promises, on a synthetic model: every precision of embedding and head, limits with clear errors,
// figures that add up, and no allocation while tokens are made. Long prompts: long_prompt_test.cpp.
#include "runtime/engine/engine.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include "runtime/engine/generate.h"
#include "runtime/error.h"
#include "runtime/io/float_formats.h"
#include "runtime/program/needs.h"
#include "tests/demo_engine.h"
#include "tests/made_model.h"

namespace {
std::atomic<int64_t> allocations{0};
}

// The sanitizers bring their own operator new; under them nothing is counted, and the rest of the test still runs.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BITTERN_SANITIZED 1
#endif
#endif
#ifndef BITTERN_SANITIZED
// Not inlined: g++ 12 would then see malloc behind new and free behind delete, and warn of a mismatch.
__attribute__((noinline)) void *operator new(size_t size) {
  ++allocations;
  if (void *memory = std::malloc(size ? size : 1)) return memory;
  throw std::bad_alloc();
}
__attribute__((noinline)) void operator delete(void *memory) noexcept { std::free(memory); }
__attribute__((noinline)) void operator delete(void *memory, size_t) noexcept { std::free(memory); }
#endif

using namespace bittern::runtime;
using namespace bittern::test;

namespace {

// A synthetic model whose embedding and head are held in other formats, with values that all of them can hold.
class Reformatted : public ModelSource {
 public:
  Reformatted(DType embedding, DType head, bool tied)
      : inner_(synthetic_model("demo")),
        config_(inner_->config()),
        embedding_(make(embedding, 1)),
        head_(make(head, 3)) {
    config_.tied_head = tied;
  }
  const ModelConfig &config() const override { return config_; }
  TernaryMatrix linear(int64_t layer, Linear which) const override { return inner_->linear(layer, which); }
  std::vector<float> vector(int64_t layer, Vector which) const override { return inner_->vector(layer, which); }
  std::vector<float> linear_norm(int64_t layer, Linear which) const override {
    return inner_->linear_norm(layer, which);
  }
  FloatMatrix embedding() const override { return view(embedding_); }
  FloatMatrix head() const override { return config_.tied_head ? embedding() : view(head_); }
  void release(int64_t layer, Linear which) const override { inner_->release(layer, which); }
  std::string identity() const override { return "reformatted"; }
  std::string path() const override { return "nowhere"; }

 private:
  struct Stored {
    DType dtype;
    std::vector<uint8_t> bytes;
  };
  // Multiples of 1/8 in [-2, 2): exact in bf16, f16 and f32.
  Stored make(DType dtype, uint64_t salt) const {
    const int64_t count = config_.vocab * config_.hidden;
    const size_t width = dtype == DType::F32 ? 4 : 2;
    Stored stored{dtype, std::vector<uint8_t>(static_cast<size_t>(count) * width)};
    // The codes of the 32 values.
    float values[32];
    uint16_t codes[32] = {};
    for (int v = 0; v < 32; ++v) {
      values[v] = static_cast<float>(v - 16) / 8;
      if (dtype == DType::BF16) codes[v] = f32_to_bf16(values[v]);
      for (uint32_t code = 0; dtype == DType::F16 && code < 0x10000; ++code)
        if (f16_to_f32(static_cast<uint16_t>(code)) == values[v]) codes[v] = static_cast<uint16_t>(code);
    }
    for (int64_t i = 0; i < count; ++i) {
      const uint64_t v = (static_cast<uint64_t>(i) + salt) * 0x9e3779b97f4a7c15u >> 59;
      std::memcpy(stored.bytes.data() + static_cast<size_t>(i) * width,
                  dtype == DType::F32 ? static_cast<const void *>(&values[v]) : &codes[v], width);
    }
    return stored;
  }
  FloatMatrix view(const Stored &stored) const {
    FloatMatrix out;
    out.rows = config_.vocab;
    out.cols = config_.hidden;
    out.dtype = stored.dtype;
    out.data = stored.bytes.data();
    out.fill = [&stored, row = static_cast<size_t>(config_.hidden) * (stored.dtype == DType::F32 ? 4 : 2)](
                   int64_t row0, int64_t count, void *to) {
      std::memcpy(to, stored.bytes.data() + static_cast<size_t>(row0) * row, static_cast<size_t>(count) * row);
    };
    return out;
  }

  std::unique_ptr<ModelSource> inner_;
  ModelConfig config_;
  Stored embedding_, head_;
};

}  // namespace

TEST_CASE("embedding and head in bf16, f16 and f32, tied or not, give the same logits for the same values") {
  const std::vector<int32_t> tokens = some_tokens(5);
  for (bool tied : {false, true}) {
    std::vector<float> first;
    for (DType embedding : {DType::BF16, DType::F16, DType::F32})
      for (DType head : {DType::BF16, DType::F16, DType::F32}) {
        if (tied && head != DType::BF16) continue;
        Engine engine(std::make_unique<Reformatted>(embedding, head, tied), options_of());
        const std::vector<float> logits = values_of(engine.prefill(tokens));
        if (first.empty()) first = logits;
        CHECK(logits == first);
      }
  }
  EngineOptions int8 = options_of();
  int8.head = HeadType::Int8;
  std::vector<float> first;
  for (DType dtype : {DType::BF16, DType::F16, DType::F32}) {
    Engine engine(std::make_unique<Reformatted>(dtype, dtype, true), int8);
    CHECK(std::string(engine.head_precision()) == "int8");
    const std::vector<float> logits = values_of(engine.prefill(tokens));
    if (first.empty()) first = logits;
    CHECK(logits == first);
  }
}

TEST_CASE("limits are errors that say what does not fit") {
  CHECK_THROWS_WITH_AS(Engine(synthetic_model("demo"), options_of(2, 100000)), doctest::Contains("512 positions"),
                       Error);
  CHECK_THROWS_AS(Engine(synthetic_model("demo"), options_of(-1)), Error);
  Engine engine(synthetic_model("demo"), options_of(1, 10));
  CHECK(engine.context() == 10);
  CHECK_THROWS_WITH_AS(engine.prefill(some_tokens(11)), doctest::Contains("context of 10"), Error);
  CHECK_THROWS_AS(engine.prefill({}), Error);
  const int32_t outside[] = {1, 4096}, negative[] = {-1};
  CHECK_THROWS_WITH_AS(engine.prefill(outside), doctest::Contains("token 1 is 4096"), Error);
  CHECK_THROWS_AS(engine.prefill(negative), Error);
  CHECK(engine.position() == 0);
  engine.prefill(some_tokens(10));
  CHECK_THROWS_AS(engine.decode(1), Error);
  engine.reset();
  engine.prefill(some_tokens(3));
  CHECK(engine.position() == 3);
}

TEST_CASE("generation stops at its count, at a stop id, at the caller's word and at the end of the context") {
  Engine engine(synthetic_model("demo"), options_of(2, 24));
  GenerateOptions options;
  options.count = 6;
  const auto go_on = [](int32_t) { return true; };
  const std::vector<int32_t> prompt = some_tokens(4);
  const Generation six = generate(engine, prompt, options, go_on);
  CHECK(six.tokens.size() == 6);
  CHECK(six.reason == StopReason::Count);
  CHECK(six.decode_steps == 5);
  const Generation two = generate(engine, prompt, options, [n = 0](int32_t) mutable { return ++n < 2; });
  CHECK(two.tokens == std::vector<int32_t>(six.tokens.begin(), six.tokens.begin() + 2));
  CHECK(two.reason == StopReason::Caller);
  options.count = 1000;
  options.ignore_eos = true;
  const Generation full = generate(engine, prompt, options, go_on);
  CHECK(full.reason == StopReason::Context);
  CHECK(full.tokens.size() == 21);  // 24 positions hold the prompt and 20 of them; the last needs none
  options.count = 0;
  CHECK(generate(engine, prompt, options, go_on).tokens.empty());
  CHECK_THROWS_WITH_AS(generate(engine, some_tokens(25), options, go_on), doctest::Contains("longer than the context"),
                       Error);
  CHECK_THROWS_AS(generate(engine, {}, options, go_on), Error);
}

TEST_CASE("the footprint is the sum of its parts") {
  Engine engine(synthetic_model("demo"), options_of(1, 64));
  const Footprint f = engine.footprint();
  const ModelConfig &c = engine.config();
  const int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  CHECK(f.ternary_weights == c.layers * (c.hidden * (q + 2 * kv) + q * c.hidden + 3 * c.hidden * c.ffn));
  CHECK(f.ternary_bytes == f.ternary_weights / 4);
  CHECK(f.head_bytes == c.vocab * c.hidden * 2);
  CHECK(f.kv_bytes_per_position == 2 * c.layers * kv * 4);
  CHECK(f.kv_capacity_bytes == 64 * f.kv_bytes_per_position);
  CHECK(f.bytes_per_token(10) == f.ternary_bytes + f.head_bytes + 10 * f.kv_bytes_per_position);
}

TEST_CASE("every step of the forward pass has a kernel for every count of tokens") {
  Engine engine(synthetic_model("demo"), options_of(1));
  const std::vector<KernelUse> uses = engine.kernels();
  int64_t next = 1;
  for (const KernelUse &use : uses) {
    CHECK(use.m_min == next);
    CHECK(use.kernel != nullptr);
    next = use.m_max == Engine::kChunk ? 1 : use.m_max + 1;
  }
  CHECK(next == 1);
  const auto source = synthetic_model("demo");
  const std::vector<KernelProblem> problems = kernel_problems(*source, {1, 8});
  CHECK(problems[0].spec == "w2a8_matmul");
  CHECK(problems[0].sizes == std::vector<std::pair<std::string, int64_t>>{{"M", 1}, {"N", 1536}, {"K", 256}});
  CHECK(problems[1].sizes[0] == std::pair<std::string, int64_t>{"M", 8});
}

TEST_CASE("decoding allocates nothing") {
  Engine engine(synthetic_model("demo"), options_of());
  engine.prefill(some_tokens(40));
  engine.decode(1);
  const int64_t before = allocations;
  for (int32_t token = 0; token < 40; ++token) engine.decode(token);
  CHECK(allocations == before);
}

TEST_CASE("decoding allocates nothing with every kind of norm, a window and scale groups") {
  ModelConfig config = bittern::test::made_config();
  config.linear_norms = config.qk_norm = config.post_norms = true;
  config.window = 9;
  config.global_every = 2;
  config.scale_group = 64;
  config.embedding_scale = 3;
  Engine engine(std::make_unique<bittern::test::MadeModel>(config), options_of());
  engine.decode(1);
  const int64_t before = allocations;
  for (int32_t token = 0; token < 40; ++token) engine.decode(token);
  CHECK(allocations == before);
}
