#include "tuning_db/search/tuner.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "compiler/error.h"
#include "runtime/machine/machine.h"
#include "tuning_db/proof/cost.h"
#include "tuning_db/search/kernel_search.h"

namespace bittern::tuning {
namespace {

using Clock = std::chrono::steady_clock;

// The part of the time that is kept for linking the pack and proving it once more.
constexpr double kPackShare = 0.12;
// Models whose distinct matrices hold more elements than this get the patience's larger limit.
constexpr double kLargeModel = 16e6;

}  // namespace

const std::vector<Patience> &patiences() {
  static const std::vector<Patience> table = {{"estimate", 0, 0, 0, 0, 0, 50, 120},
                                              {"quick", 16, 8, 1, 8, 11, 48, 150},
                                              {"normal", 40, 24, 3, 14, 21, 600, 1200},
                                              {"exhaustive", SIZE_MAX, SIZE_MAX, 0, 0, 31, 0, 0}};
  return table;
}

const Patience &find_patience(const std::string &name) {
  std::string known;
  for (const Patience &row : patiences()) {
    if (row.name == name) return row;
    known += (known.empty() ? "" : ", ") + row.name;
  }
  throw Error(fmt::format("patience '{}' is not one of {}", name, known));
}

std::string program_build() {
  struct stat info{};
  stat("/proc/self/exe", &info);
  return fmt::format("{}-{:x}-{:x}", BITTERN_VERSION, info.st_size,
                     info.st_mtim.tv_sec * 1000 + info.st_mtim.tv_nsec / 1000000);
}

namespace {

// The target that was asked for, or the widest that the machine runs. Throws Error when the machine lacks instructions.
const schedules::Target &choose_target(const std::string &name, const Machine &machine) {
  if (name.empty()) return schedules::host_target(machine.fingerprint.isa);
  const schedules::Target &target = schedules::find_target(name);
  if ((target.isa_needs & ~machine.fingerprint.isa) != 0)
    throw Error(fmt::format("target {} needs instructions that {} lacks", name, machine.fingerprint.brand));
  return target;
}

}  // namespace

Tuner::Tuner(Store &store, const RunFolder &run_folder, TunerOptions options)
    : store_(store),
      folder_(run_folder),
      options_(std::move(options)),
      runner_(options_.runner.empty() ? nullptr : std::make_unique<Runner>(options_.runner, options_.cancel)),
      host_(runner_ ? runner_->machine() : this_machine()),
      target_(choose_target(options_.target, host_)) {
  if (host_.emulated && options_.patience.first_decode != 0)
    throw Error(fmt::format("{} is emulated, so it can prove kernels but not time them: give --patience estimate",
                            runner_ ? fmt::format("runner '{}'", options_.runner) : "this machine"));
  machine_ = store_.add_machine(host_.fingerprint, host_.cores, host_.cache_bytes);
  run_ = store_.new_run();
  farm_ = std::make_unique<Farm>(options_.worker, std::min(runtime::machine_cores(), host_.cores), folder_.path(),
                                 options_.limits, options_.cancel, options_.runner);
  timer_ = std::make_unique<Worker>(options_.worker, options_.cancel);
}

Tuner::~Tuner() = default;

TuningResult Tuner::run(const std::vector<KernelWork> &works) {
  TuningResult result;
  const auto start = Clock::now();
  double elements = 0;
  for (const KernelWork &work : works)
    elements += 4 * weight_bytes(work.spec,
                                 make_problem(work.spec, work.fixed, work.m_values.front(), 1, target_.name).sizes());
  double limit = options_.time_limit;
  if (limit <= 0) limit = elements > kLargeModel ? options_.patience.large_limit : options_.patience.small_limit;
  if (limit <= 0) limit = 365.0 * 24 * 3600;
  const auto seconds = [](double s) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(s));
  };
  double in_pack = 0;  // seconds that the pack will take, by what its kernels took
  try {
    for (size_t i = 0; i < works.size(); ++i) {
      const KernelWork &work = works[i];
      deadline_ = start + seconds(limit - std::max(limit * kPackShare, in_pack));
      progress_.fraction = static_cast<double>(i) / static_cast<double>(works.size());
      const auto share = (deadline_ - Clock::now()) / static_cast<int64_t>(works.size() - i);
      const SearchTools tools{store_, *farm_,   *timer_, runner_.get(), host_, target_, machine_,
                              run_,   options_, {},      deadline_};
      KernelSearch search(tools, work, Clock::now() + share, 1.0 / static_cast<double>(works.size()), progress_);
      if (!options_.again && !options_.compare && search.finished(result)) continue;
      if (Clock::now() >= deadline_ || !search.run(result))
        (search.hopeless() ? result.hopeless : result.unreached).push_back(work.what);
      in_pack += search.seconds_in_pack();
      if (Rejections why = search.rejections(); !why.empty()) result.rejections[work.what].add(why);
    }
  } catch (const Interrupted &) {
    result.interrupted = true;
  }
  return result;
}

}  // namespace bittern::tuning
