// See default_choice.h.
#include "tuning_db/making/default_choice.h"

#include "runtime/kernels/preference.h"

namespace bittern::tuning {

const schedules::Default *dispatched_default(const std::vector<schedules::Default> &all, int64_t m,
                                             const std::string &layout, Defaults which) {
  const schedules::Default *best = nullptr;
  runtime::Preference least;
  for (const schedules::Default &d : all) {
    if (m < d.m_min || m > d.m_max || (!layout.empty() && d.schedule.layout != layout)) continue;
    if (which == Defaults::BuiltIn && !d.built_in) continue;
    // Of one target, with all sizes open and for any thread count: what is left to prefer is the range.
    const runtime::Preference mine = runtime::preference({runtime::KernelOrigin::Default, d.m_min, d.m_max}, m, 0);
    if (!best || mine < least) {
      best = &d;
      least = mine;
    }
  }
  return best;
}

}  // namespace bittern::tuning
