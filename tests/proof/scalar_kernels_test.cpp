// The runtime's hand-written kernels are held to the interpreter by the same proof as generated ones, and the runtime's
// table of kernel roles to the kernel texts: hashes, sizes, tensors and scalars.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "compiler/library.h"
#include "runtime/kernels/roles.h"
#include "runtime/kernels/scalar/scalar.h"
#include "tuning_db/packs/role_check.h"
#include "tuning_db/proof/fixture.h"
#include "tuning_db/proof/proof.h"

using namespace bittern;

TEST_CASE("the role table says what the kernel texts say") {
  for (int i = 0; i < static_cast<int>(runtime::Role::Count); ++i) {
    const runtime::RoleInfo &role = runtime::role_info(static_cast<runtime::Role>(i));
    CAPTURE(role.spec);
    CHECK(static_cast<int>(role.role) == i);
    CHECK(tuning::role_mismatch(role, compiler::builtin_kernel(role.spec)) == "");
    CHECK(runtime::find_role(role.spec_hash) == &role);
  }
  CHECK(runtime::find_role("w2a8_matmul") == nullptr);  // a name is no hash
}

TEST_CASE("an argument in another place, of another type or rank, is found and named") {
  const runtime::RoleInfo &role = runtime::role_info(runtime::Role::Rope);
  const compiler::KernelSpec &spec = compiler::builtin_kernel("rope");
  runtime::RoleInfo wrong = role;
  std::swap(wrong.arguments[1], wrong.arguments[2]);  // cosines and sines
  CHECK(tuning::role_mismatch(wrong, spec) == "argument 2 is 'in S : f32[M, R]', in the text 'in C : f32[M, R]'");
  wrong = role;
  wrong.arguments[0] = "in X : f32[M, H, R]";
  CHECK(tuning::role_mismatch(wrong, spec).find("argument 1 is 'in X : f32[M, H, R]', in the text") == 0);
  wrong = role;
  wrong.arguments.pop_back();
  CHECK(tuning::role_mismatch(wrong, spec) == "argument 4 is 'missing', in the text 'out Y : f32[M, H, 2, R]'");
  wrong = role;
  wrong.sizes = {"M", "R", "H"};
  CHECK(tuning::role_mismatch(wrong, spec) == "size 2 is 'R', in the text 'H'");
  wrong = role;
  wrong.scalar_names = {"eps"};
  CHECK(tuning::role_mismatch(wrong, spec) == "scalar 1 is 'eps', in the text 'missing'");
  CHECK_FALSE(tuning::role_mismatch(role, compiler::builtin_kernel("rope_f16")).empty());
}

TEST_CASE("every scalar kernel equals the interpreter") {
  const bt_pack &pack = *runtime::bt_scalar_pack();
  CHECK(pack.count == static_cast<uint32_t>(runtime::Role::Count));
  for (uint32_t i = 0; i < pack.count; ++i) {
    const bt_kernel &kernel = *pack.kernels[i];
    CAPTURE(kernel.spec);
    CHECK(std::string(kernel.spec) == runtime::role_info(static_cast<runtime::Role>(i)).spec);
    const compiler::KernelSpec &spec = compiler::builtin_kernel(kernel.spec);
    // Sizes that are timed are always among the proof's: small ones, with tails everywhere.
    compiler::Sizes at;
    for (const std::string &size : spec.sizes) at[size] = size == "M" ? 3 : 40;
    if (at.count("B")) at = {{"M", 3}, {"H", 6}, {"G", 3}, {"D", 24}, {"B", 2}, {"T", 3}, {"NP", 5}};
    if (std::find(spec.sizes.begin(), spec.sizes.end(), "W") != spec.sizes.end()) at["W"] = 21;
    if (at.count("K") && at.count("G")) at["K"] = 192, at["G"] = 64;
    tuning::FixtureCache fixtures(int64_t{64} << 20, 1, "");
    const tuning::ProofResult result =
        tuning::prove(kernel, "scalar", spec, tuning::proof_steps(spec, kernel, at), fixtures);
    CHECK_MESSAGE(result.passed, result.reason);
    if (kernel.layout) CHECK(tuning::prove_layout(*kernel.layout) == "");
  }
}
