// Proves and times generated code. It keeps what is dear between requests (parsed kernels, loaded libraries, reference
// outputs, cold copies, the roof's buffer), all of it gone with the process when a kernel misbehaves.
#include "tuning_db/workers/kernel_service.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/time.h>

#include <algorithm>
#include <chrono>
#include <list>
#include <map>
#include <memory>
#include <set>

#include "compiler/parser.h"
#include "compiler/printer.h"
#include "runtime/kernels/pack_loader.h"
#include "runtime/machine/machine.h"
#include "runtime/roof/roof.h"
#include "tuning_db/proof/proof.h"
#include "tuning_db/workers/arena.h"
#include "tuning_db/workers/rounds.h"

namespace bittern::tuning {
namespace {

constexpr int64_t kFixtureBytes = int64_t{3} << 29;
constexpr int64_t kLeastRoofBytes = int64_t{256} << 20, kMostRoofBytes = int64_t{1} << 30;

class KernelService {
 public:
  ProveAnswer prove_kernel(const ProveRequest &request);
  TimeAnswer time(const TimeRequest &request);

 private:
  struct Library {
    void *handle = nullptr;
    std::unique_ptr<runtime::LoadedPack> loaded;
    const bt_pack *pack = nullptr;
  };

  // Threads and the roof they reach; making the roof's buffer takes longer than most timings.
  struct Crew {
    explicit Crew(int threads) : pool(threads) {}
    runtime::ThreadPool pool;
    std::unique_ptr<runtime::Roof> roof;
  };
  Crew &crew_of(int threads) {
    const auto known =
        std::find_if(crews_.begin(), crews_.end(), [&](const Crew &crew) { return crew.pool.threads() == threads; });
    if (known != crews_.end()) {
      crews_.splice(crews_.begin(), crews_, known);
    } else {
      if (crews_.size() == 2) crews_.pop_back();
      crews_.emplace_front(threads);
    }
    return crews_.front();
  }

  const compiler::KernelSpec &spec(const std::string &text) {
    auto &slot = specs_[text];
    if (!slot) slot = std::make_unique<compiler::KernelSpec>(compiler::parse_kernel(text, "kernel"));
    return *slot;
  }

  // A candidate's shared object, or a finished pack through the runtime's own loader (a path that ends in .json).
  const bt_kernel &kernel(const std::string &path, size_t index) {
    Library &library = libraries_[path];
    if (!library.pack) {
      if (path.ends_with(".json")) {
        library.loaded = std::make_unique<runtime::LoadedPack>(path);
        library.pack = &library.loaded->pack();
      } else {
        library.handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (!library.handle) throw Error(fmt::format("cannot load: {}", dlerror()));
        library.pack = static_cast<const bt_pack *>(dlsym(library.handle, "bt_pack_table"));
        if (!library.pack) throw Error("the library has no kernel table");
      }
    }
    if (index >= library.pack->count) throw Error(fmt::format("the library has no kernel {}", index));
    return *library.pack->kernels[index];
  }

  std::map<std::string, std::unique_ptr<compiler::KernelSpec>> specs_;
  std::map<std::string, Library> libraries_;
  std::set<std::string> layouts_;
  std::unique_ptr<FixtureCache> fixtures_;
  std::list<Crew> crews_;  // last used first
  std::unique_ptr<Arena> arena_;
  std::pair<std::string, compiler::Sizes> arena_of_;  // text and sizes
};

ProveAnswer KernelService::prove_kernel(const ProveRequest &request) {
  const ProofQuestion &question = request.question;
  const compiler::KernelSpec &text = spec(question.spec);
  const bt_kernel &candidate = kernel(request.library, request.index);
  if (compiler::spec_hash(text) != candidate.spec_hash) throw Error("the kernel was made from another text");
  if (candidate.layout) {
    // Once for every library would prove the same generated code again and again.
    const std::string id = fmt::format("{}@{}", candidate.layout->name, candidate.layout->version);
    if (request.library.ends_with(".json") || !layouts_.count(id)) {
      say_status("packing weights in layout " + id);
      set_call_alarm(request.call_ms);
      const std::string wrong = prove_layout(*candidate.layout);
      set_call_alarm(0);
      if (!wrong.empty()) return {false, wrong, {}, "", "", 0};
      layouts_.insert(id);
    }
  }
  if (!fixtures_) fixtures_ = std::make_unique<FixtureCache>(kFixtureBytes, question.threads, question.references);
  return answer_of(prove(candidate, question.hash, text, steps_of(question, text, candidate), *fixtures_,
                         {[&](const std::string &what) {
                            say_status(what);
                            set_call_alarm(request.call_ms);
                          },
                          [] { set_call_alarm(0); }}));
}

TimeAnswer KernelService::time(const TimeRequest &request) {
  say_status("preparing operands");
  if (std::pair(request.spec, request.sizes) != arena_of_) {
    arena_.reset();
    fixtures_.reset();  // timing wants the memory, and the proof of these sizes is over
    arena_ = std::make_unique<Arena>(spec(request.spec), request.sizes, request.cold_bytes);
    arena_of_ = {request.spec, request.sizes};
  }
  Crew &crew = crew_of(request.threads);
  if ((request.read_roof || request.multiply_roof) && !crew.roof)
    crew.roof = std::make_unique<runtime::Roof>(
        crew.pool, std::clamp(8 * runtime::last_level_cache_bytes(), kLeastRoofBytes, kMostRoofBytes));
  std::vector<const bt_kernel *> kernels;
  for (const std::string &path : request.libraries) kernels.push_back(&kernel(path, 0));
  arena_->keep_only(kernels);
  RoundsSources sources;
  sources.run = [&](size_t i, int calls) {
    say_status(fmt::format("timing {}", kernels[i]->schedule), static_cast<int64_t>(i));
    set_call_alarm(request.call_ms);
    const double us = arena_->run(*kernels[i], crew.pool, calls) / calls;
    set_call_alarm(0);
    return us;
  };
  sources.disturbance = disturbance_now;
  if (request.read_roof) sources.read_roof = [&] { return crew.roof->sample_read(); };
  if (request.multiply_roof) sources.multiply_roof = [&] { return crew.roof->sample_multiply(); };
  const RoundsResult result =
      measure_rounds({kernels.size(), request.rounds, request.block_us, request.slow_us, request.budget_us}, sources);
  TimeAnswer answer;
  answer.calls = result.calls;
  answer.slow.assign(result.slow.begin(), result.slow.end());
  answer.read_gb_s = result.read_gb_s;
  answer.int8_gop_s = result.int8_gop_s;
  for (const std::vector<TimedBlock> &row : result.samples) {
    std::vector<double> &us = answer.samples.emplace_back();
    std::vector<int> &disturbed = answer.disturbed.emplace_back();
    for (const TimedBlock &block : row) {
      us.push_back(block.us);
      disturbed.push_back(block.disturbed);
    }
  }
  return answer;
}

}  // namespace

std::vector<ProofStep> steps_of(const ProofQuestion &question, const compiler::KernelSpec &spec,
                                const bt_kernel &kernel) {
  return question.proof_sizes.empty() ? proof_steps(spec, kernel, question.sizes)
                                      : proof_steps_at(spec, question.proof_sizes);
}

ProveAnswer answer_of(const ProofResult &result) {
  return {result.passed, result.reason, result.inputs, result.reference, result.id, result.steps};
}

void set_call_alarm(int64_t milliseconds) {
  itimerval timer{};
  timer.it_value.tv_sec = milliseconds / 1000;
  timer.it_value.tv_usec = milliseconds % 1000 * 1000;
  setitimer(ITIMER_REAL, &timer, nullptr);
}

void add_kernel_service(WorkerOps &ops) {
  const auto service = std::make_shared<KernelService>();
  ops.add<ProveRequest>(RejectionKind::Unproved,
                        [service](const ProveRequest &request) { return service->prove_kernel(request); });
  ops.add<TimeRequest>(RejectionKind::Unproved,
                       [service](const TimeRequest &request) { return service->time(request); });
}

}  // namespace bittern::tuning
