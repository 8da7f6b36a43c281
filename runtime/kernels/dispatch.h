// Which kernel runs: tuned for this machine, else the built-in default, else scalar. The set is loaded once; the engine
// asks it when it plans a model, never while tokens are made.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/abi/kernel_abi.h"
#include "runtime/kernels/roles.h"

namespace bittern::runtime {

enum class KernelChoice { Tuned, Default, Scalar };  // Tuned falls back to Default, Default to Scalar
// "tuned", "default", "scalar". parse throws Error that lists the three.
KernelChoice parse_kernel_choice(const std::string &);

enum class KernelOrigin { Tuned, Default, Scalar };
const char *origin_name(KernelOrigin);

using Warn = std::function<void(const std::string &)>;
// Prints "warning: ..." to stderr.
void warn_stderr(const std::string &message);

class LoadedPack;

class KernelSet {
 public:
  // Loads the packs of this machine from cache_folder() when `choice` is Tuned. Says in one warning each why a pack
  // that is there is not used.
  KernelSet(KernelChoice choice, int threads, Warn warn = warn_stderr);
  // The same from packs given as they are (tests, the tuner).
  KernelSet(KernelChoice choice, int threads, std::vector<const bt_pack *> tuned);
  ~KernelSet();

  // The kernel for these sizes (in the role's order; sizes[0] is M), never null: the scalar kernel accepts everything.
  // `layout` restricts kernels with ternary operands to that weight layout; without it the layout is free.
  // Candidates match the fixed sizes; those whose M range holds M come first; among tuned ones the same thread count,
  // else the nearest (the lower of two); among defaults the best instruction set, then the narrowest M range.
  // Throws Error only when `layout` is given and no kernel knows it.
  const bt_kernel *find(Role role, const std::vector<int64_t> &sizes, const bt_layout *layout = nullptr) const;

  KernelOrigin origin(const bt_kernel *) const;
  int threads() const { return threads_; }
  // Takes a kernel that failed the self-check out of the set.
  void exclude(const bt_kernel *kernel) { excluded_.insert(kernel); }

 private:
  struct Candidate {
    const bt_kernel *kernel;
    KernelOrigin origin;
  };
  void add(const bt_pack &pack, KernelOrigin origin);

  int threads_;
  std::vector<std::unique_ptr<LoadedPack>> packs_;
  std::vector<std::vector<Candidate>> by_role_;
  std::set<const bt_kernel *> excluded_;
};

}  // namespace bittern::runtime
