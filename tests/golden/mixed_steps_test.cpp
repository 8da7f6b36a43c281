// Logits of a sequence are the same bits whatever else is in a step: random steps over sequences that grow by chunks
// and by single tokens, go back, and begin as others do, each against its text run alone; on the kernels of the
// programs and on plain ones.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "runtime/engine/engine.h"
#include "tests/made_model.h"

using namespace bittern::runtime;
using namespace bittern::test;

namespace {

constexpr int64_t kContext = 80, kVocab = 50;
constexpr int kSequences = 8;

EngineOptions options_of(KernelChoice kernels, KvType kv) {
  EngineOptions options;
  options.threads = 2;
  options.context = kContext;
  options.kernels = kernels;
  options.kv = kv;
  options.prepacked_cache = false;
  return options;
}

// Texts of the whole context; every second one begins as the one before it.
std::vector<std::vector<int32_t>> texts_of(std::mt19937 &random) {
  std::vector<std::vector<int32_t>> texts;
  for (int i = 0; i < 6; ++i) {
    std::vector<int32_t> text(kContext);
    for (int32_t &id : text) id = static_cast<int32_t>(random() % kVocab);
    if (i % 2 == 1) std::copy_n(texts.back().begin(), 20 + 17 * i % 50, text.begin());
    texts.push_back(std::move(text));
  }
  return texts;
}

struct Slot {
  size_t text = 0;
  int64_t length = 0;
};

class Mixed {
 public:
  Mixed(const ModelConfig &config, KernelChoice kernels, KvType kv, uint32_t seed)
      : random_(seed), texts_(texts_of(random_)) {
    Engine alone(std::make_unique<MadeModel>(config), options_of(kernels, kv));
    for (const auto &text : texts_) {
      std::vector<float> &rows = expected_.emplace_back();
      alone.reset();
      alone.logits(text, [&](int64_t, int64_t count, const float *data) {
        rows.insert(rows.end(), data, data + count * kVocab);
      });
    }
    EngineOptions options = options_of(kernels, kv);
    options.sequences = kSequences;
    options.kv_pages = 17;  // of 24 that all sequences could fill
    engine_ = std::make_unique<Engine>(std::make_unique<MadeModel>(config), options);
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) step();
    CHECK(compared_ > steps);
    CHECK(shared_ > 0);
    engine_->reset();
    CHECK(engine_->free_pages() == engine_->pages());
  }

 private:
  int64_t below(int64_t limit) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(limit)); }

  void change(int s) {
    Slot &slot = slots_[s];
    const auto kind = below(8);
    if (kind == 0) {  // another text from its beginning
      engine_->rewind(s, 0);
      slot = {static_cast<size_t>(below(static_cast<int64_t>(texts_.size()))), 0};
    } else if (kind == 1 && slot.length > 0) {
      slot.length = below(slot.length);
      engine_->rewind(s, slot.length);
    } else if (kind <= 3) {  // as another begins, but going on differently
      const int other = static_cast<int>(below(kSequences));
      if (other == s || slots_[other].length == 0) return;
      const auto text = static_cast<size_t>(below(static_cast<int64_t>(texts_.size())));
      const auto &a = texts_[text], &b = texts_[slots_[other].text];
      const int64_t alike = std::mismatch(a.begin(), a.end(), b.begin()).first - a.begin();
      const int64_t length = std::min(alike, 1 + below(slots_[other].length));
      engine_->begin_as(s, other, length);
      slot = {text, length};
      shared_ += length > 0 ? 1 : 0;
    }
  }

  void step() {
    std::vector<Engine::Part> parts;
    for (int s = 0; s < kSequences; ++s)
      if (below(3) == 0) change(s);
    int64_t room = engine_->most_tokens(), pages = engine_->free_pages();
    std::vector<int> order(kSequences);
    for (int s = 0; s < kSequences; ++s) order[static_cast<size_t>(s)] = s;
    std::shuffle(order.begin(), order.end(), random_);
    for (const int s : order) {
      const Slot &slot = slots_[s];
      const int64_t left = std::min(kContext - slot.length, room);
      if (left == 0 || below(4) == 0) continue;
      const int64_t count = below(2) == 0 ? 1 : 1 + below(std::min<int64_t>(left, 40));
      if (engine_->pages_to_take(s, count) > pages) continue;
      pages -= engine_->pages_to_take(s, count);
      room -= count;
      parts.push_back(
          {s, std::span(texts_[slot.text]).subspan(static_cast<size_t>(slot.length), static_cast<size_t>(count)),
           below(4) != 0});
    }
    const std::span<const float> logits = engine_->step(parts);
    size_t row = 0;
    for (const Engine::Part &part : parts) {
      Slot &slot = slots_[part.sequence];
      slot.length += static_cast<int64_t>(part.tokens.size());
      CHECK(engine_->position(part.sequence) == slot.length);
      if (!part.wanted) continue;
      const float *expected = expected_[slot.text].data() + (slot.length - 1) * kVocab;
      const bool same = std::memcmp(logits.data() + row * kVocab, expected, kVocab * sizeof(float)) == 0;
      CHECK(same);
      ++row;
      ++compared_;
    }
    CHECK(logits.size() == row * kVocab);
  }

  std::mt19937 random_;
  std::vector<std::vector<int32_t>> texts_;
  std::vector<std::vector<float>> expected_;
  std::unique_ptr<Engine> engine_;
  Slot slots_[kSequences];
  int compared_ = 0, shared_ = 0;
};

}  // namespace

TEST_CASE("a thousand mixed steps give each sequence the logits that it has alone") {
  ModelConfig plain = made_config(), rich = made_config();
  rich.linear_norms = rich.qk_norm = rich.post_norms = true;
  rich.window = 9;
  rich.global_every = 2;
  rich.scale_group = 64;
  rich.tied_head = false;
  for (const KernelChoice kernels : {KernelChoice::Default, KernelChoice::Scalar}) {
    const int steps = kernels == KernelChoice::Default ? 400 : 120;
    Mixed(plain, kernels, KvType::F32, 1).run(steps);
    Mixed(rich, kernels, KvType::F16, 2).run(steps);
  }
}
