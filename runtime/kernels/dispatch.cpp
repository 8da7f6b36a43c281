// See dispatch.h.
#include "runtime/kernels/dispatch.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "runtime/error.h"
#include "runtime/kernels/pack_loader.h"
#include "runtime/kernels/preference.h"
#include "runtime/kernels/scalar/scalar.h"
#include "runtime/machine/machine.h"

// The default pack is linked into programs as an object file made by bittern-gen; a build without the compiler has
// none.
extern "C" __attribute__((weak)) const bt_pack bt_default_pack;

namespace bittern::runtime {
namespace {

constexpr const char *kNames[] = {"tuned", "default", "scalar"};

bool same_layout(const bt_layout *a, const bt_layout *b) {
  return a == b || (a && b && !std::strcmp(a->name, b->name) && !std::strcmp(a->version, b->version));
}

}  // namespace

KernelChoice parse_kernel_choice(const std::string &name) {
  for (int i = 0; i < 3; ++i)
    if (name == kNames[i]) return static_cast<KernelChoice>(i);
  throw Error("kernels must be tuned, default or scalar, not \"" + name + "\"");
}

const char *origin_name(KernelOrigin origin) { return kNames[static_cast<int>(origin)]; }

void warn_stderr(const std::string &message) { std::fprintf(stderr, "warning: %s\n", message.c_str()); }

KernelSet::KernelSet(KernelChoice choice, int threads, Warn warn)
    : KernelSet(choice, threads, std::vector<const bt_pack *>{}) {
  if (choice != KernelChoice::Tuned) return;
  packs_ = load_packs(pack_folder(), warn);
  for (const auto &pack : packs_) add(pack->pack(), KernelOrigin::Tuned);
}

KernelSet::KernelSet(KernelChoice choice, int threads, std::vector<const bt_pack *> tuned)
    : threads_(threads), by_role_(static_cast<size_t>(Role::Count)) {
  if (choice == KernelChoice::Tuned)
    for (const bt_pack *pack : tuned) add(*pack, KernelOrigin::Tuned);
  if (choice != KernelChoice::Scalar && &bt_default_pack != nullptr) add(bt_default_pack, KernelOrigin::Default);
  add(*bt_scalar_pack(), KernelOrigin::Scalar);
}

KernelSet::~KernelSet() = default;

void KernelSet::add(const bt_pack &pack, KernelOrigin origin) {
  for (uint32_t i = 0; i < pack.count; ++i) {
    const bt_kernel *kernel = pack.kernels[i];
    const RoleInfo *role = find_role(kernel->spec_hash);
    if (!role || (kernel->isa_needs & ~machine_isa()) != 0) continue;
    if (kernel->proof == nullptr || kernel->proof[0] == '\0') continue;
    by_role_[static_cast<size_t>(role->role)].push_back({kernel, origin});
  }
}

const bt_kernel *KernelSet::find(Role role, const std::vector<int64_t> &sizes, const bt_layout *layout) const {
  const std::vector<Candidate> &candidates = by_role_[static_cast<size_t>(role)];
  const bt_kernel *best = nullptr;
  Preference least;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const bt_kernel *k = candidates[i].kernel;
    if (excluded_.count(k) || (layout && !same_layout(k->layout, layout))) continue;
    bool fits = true;
    int open = 0;
    for (size_t s = 0; s < sizes.size(); ++s) {
      fits = fits && (k->fixed[s] < 0 || k->fixed[s] == sizes[s]);
      open += k->fixed[s] < 0 ? 1 : 0;
    }
    if (!fits) continue;
    const Preference mine =
        preference({candidates[i].origin, k->m_min, k->m_max, open, k->threads, k->isa_needs}, sizes[0], threads_);
    if (!best || mine < least) {
      best = k;
      least = mine;
    }
  }
  if (!best)
    throw Error("no kernel for " + role_info(role).spec + " reads the weight layout " + (layout ? layout->name : "?"));
  return best;
}

KernelOrigin KernelSet::origin(const bt_kernel *kernel) const {
  for (const auto &candidates : by_role_)
    for (const Candidate &candidate : candidates)
      if (candidate.kernel == kernel) return candidate.origin;
  return KernelOrigin::Scalar;
}

}  // namespace bittern::runtime
