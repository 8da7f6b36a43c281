// The runtime's hand-written kernels are held to the interpreter by the same proof as generated ones, and the runtime's
// table of kernel roles to the kernel texts: hashes, sizes, tensors and scalars.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "compiler/library.h"
#include "compiler/printer.h"
#include "compiler/token_size.h"
#include "runtime/kernels/roles.h"
#include "runtime/kernels/scalar/scalar.h"
#include "tuning_db/proof/fixture.h"
#include "tuning_db/proof/proof.h"

using namespace bittern;

TEST_CASE("the role table says what the kernel texts say") {
  for (int i = 0; i < static_cast<int>(runtime::Role::Count); ++i) {
    const runtime::RoleInfo &role = runtime::role_info(static_cast<runtime::Role>(i));
    CAPTURE(role.spec);
    CHECK(static_cast<int>(role.role) == i);
    const compiler::KernelSpec &spec = compiler::builtin_kernel(role.spec);
    // When a kernel text changes, put the new hash into runtime/kernels/spec_hashes.inc after checking the arguments.
    CHECK(role.spec_hash == compiler::spec_hash(spec));
    CHECK(role.sizes == spec.sizes);
    CHECK(static_cast<size_t>(role.tensors) == spec.arguments().size());
    CHECK(static_cast<size_t>(role.scalars) == spec.scalars.size());
    CHECK(compiler::token_size(spec) == role.sizes.front());
    CHECK(runtime::find_role(role.spec_hash) == &role);
  }
  CHECK(runtime::find_role("w2a8_matmul") == nullptr);  // a name is no hash
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
