#include "tuning_db/search/tuner.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "compiler/error.h"
#include "runtime/machine/machine.h"
#include "tuning_db/search/companions.h"
#include "tuning_db/search/field.h"
#include "tuning_db/search/layout_choice.h"

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

// All batch sizes of one kernel at fixed sizes: they share a weight layout.
class Tuner::Shape {
 public:
  // `fraction`: its part of the whole run, for the progress bar.
  Shape(Tuner &tuner, const KernelWork &work, Clock::time_point deadline, double fraction)
      : tuner_(tuner), work_(work), patience_(tuner.options_.patience), deadline_(deadline), fraction_(fraction) {
    std::vector<int64_t> ms = work.m_values;
    std::sort(ms.begin(), ms.end());
    for (int64_t m : ms) {
      FieldTools tools{tuner.records_,
                       *tuner.farm_,
                       *tuner.timer_,
                       tuner.runner_.get(),
                       tuner.host_,
                       tuner.machine_,
                       tuner.run_,
                       tuner.options_,
                       [this, m](const std::string &doing, const std::string &best) { say(m, doing, best); }};
      fields_.push_back(std::make_unique<Field>(std::move(tools), work, m, tuner.target_));
      if (fields_.size() > 1 &&
          fields_.back()->problem(0).kernel_key() == fields_[fields_.size() - 2]->problem(0).kernel_key())
        throw Error(fmt::format("{}: M = {} lies in the same bucket as the one before it", work.what, m));
    }
  }

  // Winners that an earlier run of this program found, with this patience or more: nothing to do.
  bool finished(TuningResult &result) {
    std::vector<Outcome> found;
    std::set<std::string> layouts;
    for (auto &field : fields_) {
      for (size_t t = 0; t < threads(); ++t) {
        const auto winner = tuner_.records_.winner(field->problem_id(t));
        if (!winner || rank(winner->patience) < rank(patience_.name)) return false;
        for (const CandidateRecord &row : tuner_.records_.candidates(field->problem_id(t))) {
          if (row.id != winner->candidate) continue;
          if (row.build != tuner_.options_.build || row.object == 0 || row.proof == 0) return false;
          Outcome outcome;
          const schedules::Schedule schedule = schedules::parse_schedule(row.schedule);
          outcome.what = work_.what;
          outcome.problem = field->problem(t);
          outcome.winner = *winner;
          outcome.schedule = row.schedule;
          outcome.layout = schedule.layout;
          outcome.backend = schedule.backend;
          if (winner->us_median > 0) {
            outcome.gb_s = weight_bytes(work_.spec, field->problem(t).sizes()) / winner->us_median / 1e3;
            outcome.gop_s = 2 * multiply_adds(work_.spec, field->problem(t).sizes()) / winner->us_median / 1e3;
          }
          outcome.reused = true;
          outcome.space = field->points().size();
          outcome.object = tuner_.records_.object(row.object);
          outcome.proof = tuner_.records_.proof(row.proof).value();
          layouts.insert(outcome.layout);
          found.push_back(std::move(outcome));
        }
      }
    }
    if (layouts.size() != 1 || found.size() != fields_.size() * threads()) return false;
    add(result.companions, companions_of(*layouts.begin()));
    add(result.outcomes, found);
    return true;
  }

  // Gives false when the time did not suffice for a single candidate of some batch size.
  bool search(TuningResult &result) {
    if (patience_.first_decode == 0) return estimate(result);
    std::set<std::string> layouts;  // empty: all
    for (size_t f = 0; f < fields_.size(); ++f) {
      // What is left is shared by the batch sizes that are left, larger ones counting more: their kernels run longer.
      const double share = 1.0 / (1.0 + 1.4 * static_cast<double>(fields_.size() - 1 - f));
      const auto until =
          Clock::now() + std::chrono::duration_cast<Clock::duration>((deadline_ - Clock::now()) * 0.85 * share);
      explore(*fields_[f], layouts, until);
      compare_layouts(*fields_[f], threads(), tuner_.options_.compare, until);
      if (tuner_.options_.compare) add(result.layouts, layout_times(*fields_[f], work_, tuner_.target_, threads()));
      step_done();
      if (f == 0 && !tuner_.options_.compare) layouts = near_best(*fields_[f], threads());
    }
    const std::string layout = settle_layout(work_, fields_, threads(), result.choices);
    std::vector<Outcome> found;
    for (auto &field : fields_) {
      for (size_t t = 0; t < threads(); ++t) {
        const int64_t arm = final_of(*field, t, layout);
        if (arm < 0) return false;
        const WinnerRecord winner = field->judge(t, arm);
        tuner_.records_.set_winner(winner);
        found.push_back(field->outcome(t, winner, arm));
      }
      step_done();
    }
    add(result.companions, companions_of(layout));
    add(result.outcomes, found);
    return true;
  }

 private:
  template <typename T>
  static void add(std::vector<T> &all, const std::vector<T> &more) {
    all.insert(all.end(), more.begin(), more.end());
  }

  std::vector<Outcome> companions_of(const std::string &layout) {
    return companions(tuner_.records_, *tuner_.farm_, work_, tuner_.target_, layout, tuner_.options_);
  }

  // Each batch size is explored and then judged; together they are this kernel's part of the bar.
  void step_done() { tuner_.progress_.fraction += fraction_ / (2.0 * static_cast<double>(fields_.size())); }

  static size_t rank(const std::string &patience) {
    for (size_t i = 0; i < patiences().size(); ++i)
      if (patiences()[i].name == patience) return i;
    return 0;
  }
  size_t threads() const { return tuner_.options_.threads.size(); }

  void say(int64_t m, const std::string &doing, const std::string &best) {
    Progress &progress = tuner_.progress_;
    const std::string where =
        fmt::format("{} {} M={}", work_.what, fields_.empty() ? "" : fields_.front()->problem(0).shape(), m);
    if (progress.where != where) progress.best.clear();
    progress.where = where;
    progress.doing = doing;
    if (!best.empty()) progress.best = best;
    if (tuner_.options_.progress) tuner_.options_.progress(progress);
  }

  // Tries candidates of a field: the default, the first ones, then neighbours of the best.
  void explore(Field &field, const std::set<std::string> &layouts, Clock::time_point until) {
    std::vector<schedules::Point> points = field.points();
    for (schedules::Point &point : points)
      if (!layouts.empty() && !layouts.count(point.schedule.layout) && point.illegal.empty())
        point.illegal = "another layout serves decoding better";
    const size_t count = field.problem(0).m == 1 ? patience_.first_decode : patience_.first_batch;
    std::vector<size_t> first = choose_first(points, count);
    // Each layout's own default schedule is a good point and must not be lost to. They come first and whatever the
    // time, so that every problem that is begun gets an answer.
    std::vector<size_t> shipped, others;
    for (const schedules::Default &d : schedules::defaults(work_.spec, tuner_.target_)) {
      if (field.problem(0).m < d.m_min || field.problem(0).m > d.m_max) continue;
      for (size_t i = 0; i < points.size(); ++i)
        if (points[i].illegal.empty() && points[i].schedule == d.schedule) (d.built_in ? shipped : others).push_back(i);
    }
    first.insert(first.begin(), others.begin(), others.end());
    if (shipped.empty() && !first.empty()) shipped.push_back(first.front());
    std::vector<int64_t> arms = field.add(shipped);
    field.prepare(arms, Clock::time_point::max());
    for (int64_t arm : field.add_known(layouts)) arms.push_back(arm);
    for (int64_t arm : field.add(first)) arms.push_back(arm);
    field.prepare(arms, until);
    play(field, field.ready(arms), until);
    for (int round = 0; round < patience_.expansions && Clock::now() < until; ++round) {
      std::vector<size_t> next;
      for (size_t t = 0; t < threads(); ++t) {
        const int64_t best = best_arm(field, t);
        if (best < 0) continue;
        for (size_t i : neighbours(points, field.candidate(best).schedule, field.known(), patience_.per_expansion))
          if (std::find(next.begin(), next.end(), i) == next.end()) next.push_back(i);
      }
      if (next.empty()) break;
      const std::vector<int64_t> added = field.add(next);
      field.prepare(added, until);
      play(field, field.ready(added), until);
    }
  }

  // The newcomers against each other, then against the best so far.
  void play(Field &field, std::vector<int64_t> arms, Clock::time_point until) {
    for (size_t t = 0; t < threads(); ++t) {
      std::vector<int64_t> players = arms;
      if (const int64_t best = best_arm(field, t);
          best >= 0 && std::find(players.begin(), players.end(), best) == players.end())
        players.push_back(best);
      if (players.empty()) continue;
      const Measure measure = field.measure(t, false, until);
      halve(players, {{1, 0.6}, {3, 0.5}, {6, 0.5}}, 3, field.timings(t), measure);
    }
  }

  // The best few of this layout and the shipped default, together, with the roof in between. The default may win where
  // its weights lie the same way.
  int64_t final_of(Field &field, size_t t, const std::string &layout) {
    std::vector<int64_t> arms;
    for (int64_t arm : field.arms_of(layout))
      if (field.timings(t).count(arm) > 0) arms.push_back(arm);
    if (arms.empty()) arms = field.arms_of(layout);
    if (arms.empty()) return -1;
    std::sort(arms.begin(), arms.end(),
              [&](int64_t a, int64_t b) { return field.timings(t).quartile_us(a) < field.timings(t).quartile_us(b); });
    if (arms.size() > 3) arms.resize(3);
    const int64_t shipped = field.default_arm() >= 0 ? field.default_arm() : field.add_default(default_layout_);
    if (shipped >= 0) {
      if (field.problem(0).m == fields_.front()->problem(0).m)
        default_layout_ = field.candidate(shipped).schedule.layout;
      field.prepare({shipped}, Clock::time_point::max());
      if (field.candidate(shipped).ready) arms.insert(arms.begin(), shipped);
    }
    // The last word is worth a little more than the time that was meant for it.
    const auto until = std::max(deadline_, Clock::now() + std::chrono::seconds(3));
    arms = play_final(arms, patience_.final_rounds, field.timings(t), field.measure(t, true, until));
    for (int64_t arm : field.ready(arms)) {
      if (arm == shipped && field.candidate(arm).schedule.layout != layout) continue;
      // A lead over the default that is none leaves the default's schedule, fixed to these sizes or not, as good.
      return arm;
    }
    return -1;
  }

  // No timing: the best prediction at M = 1 gives the layout, then the best prediction for each batch size.
  bool estimate(TuningResult &result) {
    std::string layout;
    bool have_layout = false;
    for (auto &field : fields_) {
      std::vector<schedules::Point> points = field->points();
      for (schedules::Point &point : points)
        if (have_layout && point.schedule.layout != layout) point.illegal = "another layout";
      int64_t winner = -1;
      for (size_t i : choose_first(points, SIZE_MAX)) {
        const std::vector<int64_t> arms = field->add({i});
        field->prepare(arms, Clock::time_point::max());
        if (const auto ready = field->ready(arms); !ready.empty()) {
          winner = ready.front();
          break;
        }
      }
      if (winner < 0) return false;
      layout = field->candidate(winner).schedule.layout;
      have_layout = true;
      for (size_t t = 0; t < threads(); ++t) {
        const WinnerRecord record = field->judge(t, winner);
        tuner_.records_.set_winner(record);
        result.outcomes.push_back(field->outcome(t, record, winner));
      }
    }
    add(result.companions, companions_of(layout));
    if (!layout.empty()) result.choices.push_back(fmt::format("{}: layout {} by prediction alone", work_.what, layout));
    return true;
  }

  Tuner &tuner_;
  const KernelWork &work_;
  const Patience &patience_;
  Clock::time_point deadline_;
  double fraction_;
  std::vector<std::unique_ptr<Field>> fields_;
  std::string default_layout_;
};

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

Tuner::Tuner(Records &records, const RunFolder &run_folder, TunerOptions options)
    : records_(records),
      folder_(run_folder),
      options_(std::move(options)),
      runner_(options_.runner.empty() ? nullptr : std::make_unique<Runner>(options_.runner, options_.cancel)),
      host_(runner_ ? runner_->machine() : this_machine()),
      target_(choose_target(options_.target, host_)) {
  if (host_.emulated && options_.patience.first_decode != 0)
    throw Error(fmt::format("{} is emulated, so it can prove kernels but not time them: give --patience estimate",
                            runner_ ? fmt::format("runner '{}'", options_.runner) : "this machine"));
  machine_ = records_.machine(host_.fingerprint, host_.cores, host_.cache_bytes);
  run_ = records_.new_run();
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
  deadline_ = start + seconds(limit * (1 - kPackShare));
  try {
    for (size_t i = 0; i < works.size(); ++i) {
      const KernelWork &work = works[i];
      progress_.fraction = static_cast<double>(i) / static_cast<double>(works.size());
      const auto share = (deadline_ - Clock::now()) / static_cast<int64_t>(works.size() - i);
      Shape shape(*this, work, Clock::now() + share, 1.0 / static_cast<double>(works.size()));
      if (!options_.again && !options_.compare && shape.finished(result)) continue;
      if (Clock::now() >= deadline_ || !shape.search(result)) result.unreached.push_back(work.what);
    }
  } catch (const Interrupted &) {
    result.interrupted = true;
  }
  return result;
}

}  // namespace bittern::tuning
