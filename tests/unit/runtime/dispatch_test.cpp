// The order of preference among kernels: range of M, origin, thread count, instruction set, narrowness; what never may
// be chosen; and that a step keeps one weight layout for every number of tokens.
#include "runtime/kernels/dispatch.h"

#include <doctest/doctest.h>

#include <cstring>
#include <deque>

#include "runtime/device/cpu/plan.h"
#include "runtime/error.h"
#include "runtime/kernels/scalar/scalar.h"

using namespace bittern::runtime;

namespace {

void never_called(const bt_args *) {}

const bt_layout kOther = {
    "other", "1", 1, scalar::kRowsLayout.packed_bytes, scalar::kRowsLayout.pack, scalar::kRowsLayout.unpack};

// A pack put together in memory.
class Pack {
 public:
  bt_kernel &add(Role role, const char *name, int32_t threads = 1, int64_t m_min = 1, int64_t m_max = INT64_MAX) {
    bt_kernel k = *bt_scalar_pack()->kernels[static_cast<size_t>(role)];
    k.schedule = name;
    k.backend = "test";
    k.threads = threads;
    k.m_min = m_min;
    k.m_max = m_max;
    k.fn = never_called;
    kernels_.push_back(k);
    return kernels_.back();
  }
  const bt_pack *get() {
    pointers_.clear();
    for (const bt_kernel &k : kernels_) pointers_.push_back(&k);
    pack_ = {BT_ABI_VERSION, static_cast<uint32_t>(pointers_.size()), "test", pointers_.data()};
    return &pack_;
  }

 private:
  std::deque<bt_kernel> kernels_;
  std::vector<const bt_kernel *> pointers_;
  bt_pack pack_{};
};

std::string chosen(const KernelSet &set, Role role, std::vector<int64_t> sizes) {
  return set.find(role, sizes)->schedule;
}

}  // namespace

TEST_CASE("fixed sizes must match and M must lie in the range") {
  Pack pack;
  bt_kernel &k = pack.add(Role::W2A8, "fixed", 1, 1, 4);
  k.fixed[1] = 64;
  k.fixed[2] = 128;
  const KernelSet set(KernelChoice::Tuned, 1, {pack.get()});
  CHECK(chosen(set, Role::W2A8, {1, 64, 128}) == "fixed");
  CHECK(chosen(set, Role::W2A8, {4, 64, 128}) == "fixed");
  CHECK(chosen(set, Role::W2A8, {5, 64, 128}) != "fixed");
  CHECK(chosen(set, Role::W2A8, {1, 65, 128}) != "fixed");
  CHECK(chosen(set, Role::W2A8, {1, 64, 127}) != "fixed");
}

TEST_CASE("a kernel that was tuned for these sizes comes before one that was tuned for others") {
  Pack pack;
  pack.add(Role::W2A8, "any shape", 2);
  bt_kernel &k = pack.add(Role::W2A8, "this shape", 1);
  k.fixed[1] = 64;
  k.fixed[2] = 128;
  const KernelSet set(KernelChoice::Tuned, 2, {pack.get()});
  CHECK(chosen(set, Role::W2A8, {1, 64, 128}) == "this shape");
  CHECK(chosen(set, Role::W2A8, {1, 64, 256}) == "any shape");
}

TEST_CASE("the same thread count comes first, then the nearest, the lower of two") {
  Pack pack;
  for (int threads : {1, 2, 4, 8})
    pack.add(Role::RmsNorm, threads == 1 ? "t1" : threads == 2 ? "t2" : threads == 4 ? "t4" : "t8", threads);
  const auto with = [&](int threads) {
    return chosen(KernelSet(KernelChoice::Tuned, threads, {pack.get()}), Role::RmsNorm, {1, 64});
  };
  CHECK(with(1) == "t1");
  CHECK(with(2) == "t2");
  CHECK(with(3) == "t2");
  CHECK(with(5) == "t4");
  CHECK(with(6) == "t4");
  CHECK(with(7) == "t8");
  CHECK(with(100) == "t8");
}

TEST_CASE("kernels without proof, of another text or for other processors are never chosen") {
  Pack pack;
  pack.add(Role::RmsNorm, "no proof").proof = "";
  pack.add(Role::RmsNorm, "other text").spec_hash = "00";
  pack.add(Role::RmsNorm, "other processor").isa_needs = BT_ISA_NEON;
  const KernelSet set(KernelChoice::Tuned, 1, {pack.get()});
  CHECK(set.origin(set.find(Role::RmsNorm, {1, 64})) != KernelOrigin::Tuned);
}

TEST_CASE("the newest pack wins among equals, and exclusion takes a kernel out") {
  Pack newer, older;
  newer.add(Role::RmsNorm, "newer");
  older.add(Role::RmsNorm, "older");
  KernelSet set(KernelChoice::Tuned, 1, {newer.get(), older.get()});
  CHECK(chosen(set, Role::RmsNorm, {1, 64}) == "newer");
  set.exclude(set.find(Role::RmsNorm, {1, 64}));
  CHECK(chosen(set, Role::RmsNorm, {1, 64}) == "older");
}

TEST_CASE("forcing a path leaves the others out") {
  Pack pack;
  pack.add(Role::RmsNorm, "tuned");
  CHECK(chosen(KernelSet(KernelChoice::Default, 1, {pack.get()}), Role::RmsNorm, {1, 64}) != "tuned");
  const KernelSet scalar(KernelChoice::Scalar, 1, {pack.get()});
  for (int role = 0; role < static_cast<int>(Role::Count); ++role) {
    const RoleInfo &info = role_info(static_cast<Role>(role));
    const std::vector<int64_t> sizes(info.sizes.size(), 4);
    CHECK(scalar.origin(scalar.find(info.role, sizes)) == KernelOrigin::Scalar);
  }
  for (const char *name : {"tuned", "default", "scalar"})
    CHECK(std::string(origin_name(static_cast<KernelOrigin>(parse_kernel_choice(name)))) == name);
  CHECK_THROWS_AS(parse_kernel_choice("fast"), Error);
}

TEST_CASE("the kernel for one token settles the layout for all counts of tokens") {
  Pack pack;
  pack.add(Role::W2A8, "one", 1, 1, 1).layout = &kOther;
  pack.add(Role::W2A8, "many", 1, 2, 64).layout = &kOther;
  pack.add(Role::W2A8, "many, wrong layout", 1, 2, INT64_MAX);
  KernelSet set(KernelChoice::Tuned, 1, {pack.get()});
  Plan plan({{StepId::Qkv, Role::W2A8, {1, 32, 32}}}, set, 128);
  const Choice &choice = plan[StepId::Qkv];
  CHECK(std::string(choice.at(1)->schedule) == "one");
  for (int64_t m = 2; m <= 128; ++m) CHECK(std::string(choice.at(m)->layout->name) == "other");
  CHECK(std::string(choice.at(64)->schedule) == "many");
  // Without its kernels the layout cannot be kept.
  set.exclude(choice.at(2));
  CHECK(plan.choose_again(set));
  CHECK(std::string(plan[StepId::Qkv].at(2)->schedule) == "one");
  set.exclude(plan[StepId::Qkv].at(1));
  CHECK(!plan.choose_again(set));
}
