// The proof must catch kernels that are wrong in the ways kernels are wrong, and pass the same kernel without the bug.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <set>
#include <string>

#include "compiler/parser.h"
#include "compiler/printer.h"
#include "tuning_db/proof/proof.h"

using namespace bittern;
using namespace bittern::tuning;

namespace {

constexpr const char *kDotText = R"(kernel dot(M, N, K) {
  in A : i8[M, K] pad 64
  in B : i8[N, K]
  out Y : i32[M, N]
  Y[m, n] = sum(k: K) i32(A[m, k]) * i32(B[n, k])
})";
constexpr const char *kCopyText = R"(kernel copy(M, K) {
  in X : f32[M, K]
  out Q : f32[M, K] pad 64
  Q[m, k] = X[m, k] * 2.0
})";

enum class Bug {
  None,
  SkipsARow,      // never computes the last row of a tile
  Off,            // wrong by one for one element
  OverRead,       // reads past the end of B
  UnderRead,      // reads before the start of B
  WritesPastRow,  // writes Y[m, N]
  WritesBefore,   // writes Y[0, -1]
  TrustsScratch,  // expects scratch to be zero
  WritesInput,
  Int16,             // accumulates in 16 bits
  DropsTail,         // forgets the last K % 16 products
  TrustsStride,      // takes A's row stride to be K rounded up
  NoPadding,         // leaves the padding as it was
  PadsTooFar,        // zeroes beyond the padding
  WrongForMinus128,  // negates -128 within a byte
};

constexpr int64_t kTile = 4;

template <Bug bug>
void dot(const bt_args *args) {
  const int64_t m_count = args->sizes[0], n_count = args->sizes[1], k_count = args->sizes[2];
  const bt_tensor &a = args->tensors[0], &b = args->tensors[1], &y = args->tensors[2];
  auto *out = static_cast<uint8_t *>(y.data);
  const auto *b_data = static_cast<const int8_t *>(b.data);
  const int64_t a_stride = bug == Bug::TrustsStride ? (k_count + 63) / 64 * 64 : a.stride[0];
  const int64_t n0 = args->tile_begin * kTile, n1 = std::min(args->tile_end * kTile, n_count);
  volatile int8_t sink = 0;
  for (int64_t m = 0; m < m_count; ++m) {
    for (int64_t n = n0; n < n1; ++n) {
      if (bug == Bug::SkipsARow && n % kTile == kTile - 1 && n + 1 == n_count) continue;
      int32_t sum = bug == Bug::TrustsScratch ? *static_cast<const int32_t *>(args->scratch) : 0;
      int16_t narrow = 0;
      const int64_t k_end = bug == Bug::DropsTail ? k_count / 16 * 16 : k_count;
      for (int64_t k = 0; k < k_end; ++k) {
        int32_t left = static_cast<const int8_t *>(a.data)[m * a_stride + k];
        if (bug == Bug::WrongForMinus128) left = -static_cast<int8_t>(-left);
        const int32_t product = left * b_data[n * b.stride[0] + k];
        sum += product;
        narrow = static_cast<int16_t>(narrow + product);
      }
      if (bug == Bug::Int16) sum = narrow;
      if (bug == Bug::Off && n == n_count / 2 && m == m_count - 1) ++sum;
      std::memcpy(out + (m * y.stride[0] + n) * 4, &sum, 4);
    }
    if (bug == Bug::WritesPastRow) std::memset(out + (m * y.stride[0] + n_count) * 4, 0, 4);
  }
  if (bug == Bug::WritesBefore) *(out - 1) = 0;
  if (bug == Bug::OverRead) sink = b_data[(n_count - 1) * b.stride[0] + k_count];
  if (bug == Bug::UnderRead) sink = b_data[-1];
  if (bug == Bug::WritesInput) *static_cast<uint8_t *>(b.data) = 0;
  (void)sink;
}

template <Bug bug>
void copy(const bt_args *args) {
  const int64_t k_count = args->sizes[1], padded = (k_count + 63) / 64 * 64;
  const bt_tensor &x = args->tensors[0], &q = args->tensors[1];
  for (int64_t m = args->tile_begin; m < args->tile_end; ++m) {
    auto *out = static_cast<uint8_t *>(q.data) + m * q.stride[0] * 4;
    for (int64_t k = 0; k < k_count; ++k) {
      float value;
      std::memcpy(&value, static_cast<const uint8_t *>(x.data) + (m * x.stride[0] + k) * 4, 4);
      value *= 2;
      std::memcpy(out + k * 4, &value, 4);
    }
    if (bug == Bug::NoPadding) continue;
    const int64_t end = bug == Bug::PadsTooFar ? q.stride[0] : padded;
    std::memset(out + k_count * 4, 0, static_cast<size_t>(end - k_count) * 4);
  }
}

struct Tried {
  bool passed = false;
  std::string reason;
  int signal = 0;
};

// Proves in a child, since some bugs are faults.
Tried try_kernel(const char *text, bt_kernel_fn fn, int tile_size_index, int64_t tile) {
  const compiler::KernelSpec spec = compiler::parse_kernel(text, "test");
  static std::string hash;
  hash = compiler::spec_hash(spec);
  bt_kernel kernel{};
  kernel.abi_version = BT_ABI_VERSION;
  kernel.spec = spec.name.c_str();
  kernel.spec_hash = hash.c_str();
  kernel.schedule = "by hand";
  for (int64_t &fixed : kernel.fixed) fixed = -1;
  kernel.m_min = 1;
  kernel.m_max = INT64_MAX;
  kernel.size_count = static_cast<int32_t>(spec.sizes.size());
  kernel.tensor_count = static_cast<int32_t>(spec.arguments().size());
  kernel.tile_size_index = tile_size_index;
  kernel.tile = tile;
  kernel.scratch_base = 64;
  kernel.fn = fn;
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // The default actions: doctest's handlers would report the fault as this test's.
    for (int number : {SIGSEGV, SIGBUS, SIGILL, SIGABRT}) std::signal(number, SIG_DFL);
    FixtureCache fixtures(int64_t{64} << 20, 1, "");
    const ProofResult result = prove(kernel, "hash", spec, proof_steps(spec, kernel, {}), fixtures);
    const std::string line = (result.passed ? "P" : "F") + result.reason;
    const bool written = write(ends[1], line.data(), line.size()) == static_cast<ssize_t>(line.size());
    _exit(written ? 0 : 1);
  }
  close(ends[1]);
  std::string line(4096, '\0');
  const ssize_t got = read(ends[0], line.data(), line.size());
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  Tried tried;
  if (WIFSIGNALED(status)) tried.signal = WTERMSIG(status);
  if (got > 0) {
    line.resize(static_cast<size_t>(got));
    tried.passed = line[0] == 'P';
    tried.reason = line.substr(1);
  }
  return tried;
}

template <Bug bug>
Tried try_dot() {
  return try_kernel(kDotText, dot<bug>, 1, kTile);
}

template <Bug bug>
void fails_with(const char *what) {
  const Tried tried = try_dot<bug>();
  CAPTURE(tried.reason);
  CHECK_FALSE(tried.passed);
  CHECK(tried.signal == 0);
  CHECK(tried.reason.find(what) != std::string::npos);
}

template <Bug bug>
void faults() {
  const Tried tried = try_dot<bug>();
  CAPTURE(tried.reason);
  CHECK_FALSE(tried.passed);
  CHECK((tried.signal == SIGSEGV || tried.signal == SIGBUS));
}

}  // namespace

TEST_CASE("the right kernels pass") {
  const Tried right = try_dot<Bug::None>();
  CHECK_MESSAGE(right.passed, right.reason);
  const Tried copied = try_kernel(kCopyText, copy<Bug::None>, 0, 1);
  CHECK_MESSAGE(copied.passed, copied.reason);
}

TEST_CASE("wrong values are found and named") {
  fails_with<Bug::SkipsARow>("the reference says");
  fails_with<Bug::Off>("the reference says");
  fails_with<Bug::Int16>("the reference says");
  fails_with<Bug::DropsTail>("the reference says");
  fails_with<Bug::WrongForMinus128>("the reference says");
  fails_with<Bug::TrustsScratch>("the reference says");
}

TEST_CASE("writes outside the kernel's elements are found") {
  const Tried past = try_dot<Bug::WritesPastRow>();
  CHECK_FALSE(past.passed);
  const Tried before = try_dot<Bug::WritesBefore>();
  CHECK_FALSE(before.passed);
}

TEST_CASE("reads past either end, and writes to inputs, fault") {
  faults<Bug::OverRead>();
  faults<Bug::UnderRead>();
  faults<Bug::WritesInput>();
}

TEST_CASE("a stride that is not the least one must be respected") {
  const Tried tried = try_dot<Bug::TrustsStride>();
  CHECK_FALSE(tried.passed);
}

TEST_CASE("padding must be zeroed, exactly") {
  const Tried none = try_kernel(kCopyText, copy<Bug::NoPadding>, 0, 1);
  CHECK_FALSE(none.passed);
  CHECK(none.reason.find("must be zero") != std::string::npos);
  const Tried far = try_kernel(kCopyText, copy<Bug::PadsTooFar>, 0, 1);
  CHECK_FALSE(far.passed);
  CHECK(far.reason.find("not the kernel's to write") != std::string::npos);
}

TEST_CASE("a kernel that claims other arguments than its text is refused") {
  const compiler::KernelSpec spec = compiler::parse_kernel(kDotText, "test");
  bt_kernel kernel{};
  kernel.abi_version = BT_ABI_VERSION;
  kernel.fn = dot<Bug::None>;
  kernel.size_count = 3;
  kernel.tensor_count = 4;
  kernel.tile = 1;
  FixtureCache fixtures(1 << 20, 1, "");
  CHECK_FALSE(prove(kernel, "", spec, {}, fixtures).passed);
  kernel.tensor_count = 3;
  kernel.tile = 0;
  CHECK_FALSE(prove(kernel, "", spec, {}, fixtures).passed);
  kernel.tile = 1;
  kernel.abi_version = BT_ABI_VERSION + 1;
  CHECK_FALSE(prove(kernel, "", spec, {}, fixtures).passed);
}

TEST_CASE("a proof tries every input set, every placement and every split") {
  const compiler::KernelSpec spec = compiler::parse_kernel(kDotText, "test");
  bt_kernel kernel{};
  for (int64_t &fixed : kernel.fixed) fixed = -1;
  kernel.m_min = 1;
  kernel.m_max = INT64_MAX;
  std::set<size_t> sets;
  std::set<Placement> placements;
  std::set<Split> splits;
  bool odd_m = false, odd_n = false, odd_k = false;
  for (const ProofStep &step : proof_steps(spec, kernel, {})) {
    sets.insert(step.set);
    placements.insert(step.placement);
    splits.insert(step.split);
    odd_m = odd_m || step.sizes.at("M") % 2 == 1;
    odd_n = odd_n || step.sizes.at("N") % 2 == 1;
    odd_k = odd_k || step.sizes.at("K") % 2 == 1;
  }
  CHECK(sets.size() == input_sets().size());
  CHECK(placements.size() == 3);
  CHECK(splits.size() == 3);
  CHECK(odd_m);
  CHECK(odd_n);
  CHECK(odd_k);
}
