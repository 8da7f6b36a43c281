// The inputs of a proof: every pair of extremes is met by whole tensors, so that a kernel that is wrong at one extreme
// alone does not pass.
#include "tuning_db/proof/input_sets.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "compiler/parser.h"
#include "compiler/printer.h"
#include "tuning_db/proof/proof.h"

using namespace bittern;
using namespace bittern::tuning;

namespace {

constexpr const char *kSumText = R"(kernel sums(M, K) {
  in A : i8[M, K]
  out Y : i32[M]
  Y[m] = sum(k: K) i32(A[m, k])
})";
// 257 times -128 does not fit int16; 257 times -127 and 257 times 127 do.
constexpr int64_t kTerms = 257;

template <typename Sum>
void sums(const bt_args *args) {
  const bt_tensor &a = args->tensors[0];
  auto *out = static_cast<int32_t *>(args->tensors[1].data);
  for (int64_t m = args->tile_begin; m < args->tile_end; ++m) {
    Sum sum = 0;
    for (int64_t k = 0; k < kTerms; ++k)
      sum = static_cast<Sum>(sum + static_cast<const int8_t *>(a.data)[m * a.stride[0] + k]);
    out[m] = sum;
  }
}

ProofResult proved(bt_kernel_fn fn) {
  const compiler::KernelSpec spec = compiler::parse_kernel(kSumText, "test");
  const std::string hash = compiler::spec_hash(spec);
  bt_kernel kernel{};
  kernel.abi_version = BT_ABI_VERSION;
  kernel.spec = spec.name.c_str();
  kernel.spec_hash = hash.c_str();
  kernel.schedule = "by hand";
  kernel.fixed[0] = -1;
  kernel.fixed[1] = kTerms;
  kernel.m_min = 1;
  kernel.m_max = INT64_MAX;
  kernel.size_count = 2;
  kernel.tensor_count = 2;
  kernel.tile = 1;
  kernel.fn = fn;
  FixtureCache fixtures(int64_t{64} << 20, 1, "");
  return prove(kernel, "hash", spec, proof_steps(spec, kernel, {{"M", 1}, {"K", kTerms}}), fixtures);
}

// The value that fills a whole tensor; 99 when there are several.
int whole(const Array &array) {
  const auto *values = reinterpret_cast<const int8_t *>(array.bytes.data());
  const bool one = std::all_of(values, values + array.bytes.size(), [&](int8_t v) { return v == values[0]; });
  return one ? values[0] : 99;
}

}  // namespace

TEST_CASE("sums that overflow only when every activation is -128 are found") {
  const ProofResult right = proved(sums<int32_t>);
  CHECK_MESSAGE(right.passed, right.reason);
  const ProofResult wrong = proved(sums<int16_t>);
  CHECK_FALSE(wrong.passed);
  CHECK(wrong.reason.find("the reference says") != std::string::npos);
}

TEST_CASE("the sets hold every pair of extremes of weights and activations") {
  const compiler::KernelSpec spec = compiler::parse_kernel(R"(kernel product(M, N, K) {
  in W : ternary[N, K]
  in A : i8[M, K]
  out Y : i32[M, N]
  Y[m, n] = sum(k: K) i32(W[n, k]) * i32(A[m, k])
})",
                                                           "test");
  std::set<std::pair<int, int>> pairs;
  for (const InputSet &set : input_sets()) {
    const Arrays inputs = make_inputs(spec, {{"M", 3}, {"N", 5}, {"K", 70}}, set);
    pairs.insert({whole(inputs.at("W")), whole(inputs.at("A"))});
  }
  for (const int weight : {-1, 1})
    for (const int activation : {-128, 127}) CHECK(pairs.count({weight, activation}) == 1);
  CHECK(pairs.count({0, 0}) == 1);
}
