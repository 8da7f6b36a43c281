// See kernel_bench.h.
#include "runtime/bench/kernel_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <set>

#include "runtime/error.h"
#include "runtime/kernels/launch.h"
#include "runtime/machine/machine.h"
#include "runtime/roof/roof_note.h"

namespace bittern::runtime {
namespace {

using Clock = std::chrono::steady_clock;

// SplitMix64: a value for every index, so that weights are made in parallel and again when they are checked.
uint64_t hash_of(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}
int8_t trit_at(int64_t n, int64_t k) {
  return static_cast<int8_t>(hash_of(static_cast<uint64_t>(n) << 32 | static_cast<uint64_t>(k)) % 3) - 1;
}

// One problem: the operands of Y = A W^T, with as many copies of the weights as it takes to keep them out of caches.
class Workload {
 public:
  Workload(ThreadPool &pool, const KernelSet &kernels, Shape shape, int64_t m)
      : pool_(pool), shape_(shape), m_(m), scratch_(pool.threads()) {
    // One layout serves every M, and decoding (M = 1) chooses it, as in the engine.
    const bt_layout *layout = kernels.find(Role::W2A8, {1, shape.n, shape.k})->layout;
    kernel_ = kernels.find(Role::W2A8, {m, shape.n, shape.k}, layout);
    const int64_t bytes = (layout->packed_bytes(shape.n, shape.k) + 63) / 64 * 64;
    copies_ = std::max<int64_t>(2, 4 * last_level_cache_bytes() / bytes + 1);
    weights_ = HugeBuffer(copies_ * bytes, "the weights to be multiplied");
    copy_bytes_ = bytes;
    pack(*layout);

    stride_ = padded(shape.k);
    activations_.assign(m * stride_, 0);
    sums_.assign(m, 0);
    inverse_.resize(m);
    scales_.resize(shape.n);
    output_.assign(m * shape.n, -1);
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t k = 0; k < shape.k; ++k) {
        const int8_t a = static_cast<int8_t>(static_cast<int64_t>(hash_of(~(i * shape.k + k)) % 255) - 127);
        activations_[i * stride_ + k] = a;
        sums_[i] += a;
      }
      inverse_[i] = 0.001f * static_cast<float>(i + 1);
    }
    for (int64_t n = 0; n < shape.n; ++n) scales_[n] = 0.5f + 0.001f * static_cast<float>(n % 7);
    const int64_t sizes[] = {m, shape.n, shape.k};
    scratch_.reserve(*kernel_, sizes);
  }

  void run(int64_t copy) {
    const bt_tensor tensors[] = {
        tensor(weights_.data() + copy % copies_ * copy_bytes_),
        tensor(scales_.data()),
        tensor(activations_.data(), {stride_, 1}),
        tensor(inverse_.data()),
        tensor(sums_.data()),
        tensor(output_.data(), {shape_.n, 1}),
    };
    const int64_t sizes[] = {m_, shape_.n, shape_.k};
    launch(pool_, *kernel_, tensors, sizes, nullptr, scratch_);
  }

  // In a model the activations were written just before; the roof's samples in between have thrown them out.
  void warm_activations() {
    for (size_t i = 0; i < activations_.size(); i += 64)
      *const_cast<volatile int8_t *>(&activations_[i]) = activations_[i];
  }

  // Compares 64 rows of W, the first, the last and the tail tile's among them, with plain integer sums.
  void check() {
    std::fill(output_.begin(), output_.end(), -12345.0f);
    run(0);
    std::set<int64_t> rows;
    const int64_t tail = (shape_.n - 1) / std::max<int64_t>(1, kernel_->tile) * std::max<int64_t>(1, kernel_->tile);
    for (int64_t i = 0; i < 16; ++i) {
      rows.insert(std::min(i, shape_.n - 1));
      rows.insert(std::max<int64_t>(0, shape_.n - 1 - i));
      rows.insert(std::min(tail + i, shape_.n - 1));
      rows.insert(static_cast<int64_t>(hash_of(i) % static_cast<uint64_t>(shape_.n)));
    }
    for (int64_t n : rows) {
      for (int64_t i = 0; i < m_; ++i) {
        int32_t sum = 0;
        for (int64_t k = 0; k < shape_.k; ++k) sum += trit_at(n, k) * activations_[i * stride_ + k];
        const float expected = (static_cast<float>(sum) * inverse_[i]) * scales_[n];
        const float got = output_[i * shape_.n + n];
        if (std::memcmp(&expected, &got, sizeof got) != 0) {
          throw Error(
              fmt::format("self-check failed, nothing was timed: kernel {} on {} with M = {} gives {} at row {}, "
                          "token {}; {} is right",
                          kernel_->schedule, print_shape(shape_), m_, got, n, i, expected));
        }
      }
    }
  }

  const bt_kernel &kernel() const { return *kernel_; }

 private:
  void pack(const bt_layout &layout) {
    const int64_t block = std::max<int64_t>(layout.row_tile, 64 / layout.row_tile * layout.row_tile);
    pool_.parallel((shape_.n + block - 1) / block, [&](int64_t b, int) {
      const int64_t row0 = b * block, rows = std::min(block, shape_.n - row0);
      std::vector<int8_t> trits(rows * shape_.k);
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t k = 0; k < shape_.k; ++k) trits[r * shape_.k + k] = trit_at(row0 + r, k);
      layout.pack(trits.data(), shape_.k, row0, rows, shape_.n, shape_.k, weights_.data());
    });
    pool_.parallel(copies_ - 1, [&](int64_t copy, int) {
      std::memcpy(weights_.data() + (copy + 1) * copy_bytes_, weights_.data(), copy_bytes_);
    });
  }

  ThreadPool &pool_;
  Shape shape_;
  int64_t m_, stride_ = 0, copies_ = 0, copy_bytes_ = 0;
  const bt_kernel *kernel_ = nullptr;
  HugeBuffer weights_;
  std::vector<int8_t> activations_;
  std::vector<int32_t> sums_;
  std::vector<float> inverse_, scales_, output_;
  Scratch scratch_;
};

}  // namespace

KernelFigures bench_kernel(ThreadPool &pool, const KernelSet &kernels, Roof &roof, Shape shape, int64_t m,
                           double seconds) {
  constexpr int64_t kMostWeights = int64_t{1} << 32;  // 1 GiB a copy
  if (shape.n > kMostWeights / shape.k) {
    throw Error(fmt::format("{} has more than {} weights, which is more than is measured here", print_shape(shape),
                            kMostWeights));
  }
  Workload problem(pool, kernels, shape, m);
  problem.check();

  // Rounds of one sample of each roof and about a millisecond of work, which is timed call by call.
  std::vector<double> work, read, multiply;
  int64_t copy = 1;
  const auto deadline = Clock::now() + std::chrono::duration<double>(seconds);
  while (work.size() < 15 || Clock::now() < deadline) {
    read.push_back(roof.sample_read());
    multiply.push_back(roof.sample_multiply());
    problem.warm_activations();
    double spent = 0;
    do {
      const auto start = Clock::now();
      problem.run(copy++);
      work.push_back(std::chrono::duration<double>(Clock::now() - start).count());
      spent += work.back();
    } while (spent < 1e-3);
  }

  KernelFigures f;
  f.shape = shape;
  f.m = m;
  f.threads = pool.threads();
  f.backend = problem.kernel().backend;
  f.schedule = problem.kernel().schedule;
  f.layout = problem.kernel().layout->name;
  f.origin = origin_name(kernels.origin(&problem.kernel()));
  const double t = median(work), weights = static_cast<double>(shape.n) * static_cast<double>(shape.k);
  f.us_median = t * 1e6;
  f.gb_s = weights / 4 / t / 1e9;
  f.gop_s = 2 * static_cast<double>(m) * weights / t / 1e9;
  f.roof_gb_s = median(read);
  f.roof_gop_s = median(multiply);
  f.roof_pct = roof_percent(m, f.gb_s, f.gop_s, f.roof_gb_s, f.roof_gop_s);
  const bool by_bytes = 100 * f.gb_s / f.roof_gb_s >= f.roof_pct;  // this roof is the one that was taken
  const bt_layout &layout = *problem.kernel().layout;
  const double stored = static_cast<double>(layout.packed_bytes(shape.n, shape.k));
  f.note = roof_note({f.roof_pct, 8 * stored / weights, by_bytes ? stored : 0,
                      static_cast<double>(last_level_cache_bytes()), by_bytes ? read : multiply, 0});
  return f;
}

}  // namespace bittern::runtime
