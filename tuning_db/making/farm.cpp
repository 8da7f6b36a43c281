#include "tuning_db/making/farm.h"

#include <fmt/format.h>

#include <condition_variable>
#include <cstdio>
#include <deque>
#include <exception>
#include <fstream>
#include <mutex>
#include <thread>

#include "compiler/parser.h"
#include "tuning_db/workers/files.h"

namespace bittern::tuning {
namespace {

using nlohmann::json;

// Beyond this two workers would want too much memory for their reference data.
constexpr double kLargeOperands = 128.0 * 1024 * 1024;

}  // namespace

Farm::Farm(const WorkerCommand &command, int workers, std::string folder, FarmLimits limits,
           const std::atomic<bool> *cancel, const std::string &runner)
    : folder_(std::move(folder)), limits_(limits) {
  for (int i = 0; i < workers; ++i)
    hands_.push_back({std::make_unique<Worker>(command, cancel),
                      runner.empty() ? nullptr : std::make_unique<Runner>(runner, cancel)});
}

void Farm::each(size_t count, size_t workers, Clock::time_point deadline,
                const std::function<void(Hand &, size_t)> &work, const std::function<void(size_t)> &finished) {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<size_t> ended;
  size_t next = 0, running = std::min(workers, hands_.size());
  std::exception_ptr failure;
  std::vector<std::thread> threads;
  for (size_t w = 0; w < std::min(workers, hands_.size()); ++w)
    threads.emplace_back([&, w] {
      for (;;) {
        size_t job;
        {
          const std::lock_guard lock(mutex);
          if (failure || next >= count || Clock::now() > deadline) break;
          job = next++;
        }
        try {
          work(hands_[w], job);
        } catch (...) {
          const std::lock_guard lock(mutex);
          failure = std::current_exception();
          break;
        }
        const std::lock_guard lock(mutex);
        ended.push_back(job);
        changed.notify_one();
      }
      const std::lock_guard lock(mutex);
      --running;
      changed.notify_one();
    });
  try {
    std::unique_lock lock(mutex);
    while (running > 0 || !ended.empty()) {
      changed.wait(lock, [&] { return !ended.empty() || running == 0; });
      while (!ended.empty()) {
        const size_t job = ended.front();
        ended.pop_front();
        lock.unlock();
        finished(job);
        lock.lock();
      }
    }
  } catch (...) {
    const std::lock_guard lock(mutex);
    if (!failure) failure = std::current_exception();
  }
  for (std::thread &thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
}

json Farm::proof_request(const FarmJob &job, const std::string &library, size_t index) const {
  return {{"op", "prove"},
          {"spec", job.problem->spec_text},
          {"library", library},
          {"index", index},
          {"hash", job.object.sha256},
          {"sizes", job.problem->sizes()},
          {"threads", 1},
          {"references", folder_},
          {"call_ms", limits_.call_ms},
          {"proof_sizes", job.proof_sizes}};
}

json Farm::prove(Hand &hand, const FarmJob &job, const std::string &library, size_t index) const {
  const json request = proof_request(job, library, index);
  if (!hand.runner) return hand.worker->call(request, limits_.proof_seconds);
  json question = request;
  question["op"] = "expect";
  question["descriptor"] = json::parse(job.object.descriptor);
  return hand.runner->prove(request, hand.worker->call(question, limits_.proof_seconds), limits_.proof_seconds);
}

void Farm::take_proof(FarmJob &job, const json &verdict) {
  job.proof.passed = verdict.at("passed");
  job.proof.reason = verdict.value("reason", "");
  if (!job.proof.passed) return;
  job.proof.inputs = verdict.at("inputs").dump();
  job.proof.reference = verdict.at("reference");
  job.proof.proof_id = verdict.at("id");
}

void Farm::make(Hand &hand, FarmJob &job) const {
  Worker &worker = *hand.worker;
  try {
    std::vector<std::string> paths;
    if (job.object.objects.empty()) {
      const json compiled = worker.call({{"op", "compile"},
                                         {"spec", job.problem->spec_text},
                                         {"schedule", job.schedule},
                                         {"target", job.problem->target},
                                         {"fixed", job.compiled},
                                         {"m_min", job.problem->m_min},
                                         {"m_max", job.problem->m_max},
                                         {"symbol", job.symbol},
                                         {"meanings_on", job.meanings_on},
                                         {"unchecked", job.unchecked},
                                         {"folder", folder_}},
                                        limits_.compile_seconds);
      std::string all;
      for (const json &path : compiled.at("objects")) {
        paths.push_back(path);
        job.object.objects.push_back(read_file(path));
        all += job.object.objects.back();
      }
      job.object.sha256 = sha256_hex(all);
      job.object.descriptor = compiled.at("descriptor").dump();
      job.object.compile_ms = compiled.at("ms");
    }
    const std::string library = fmt::format("{}/{}.so", folder_, job.symbol);
    if (!job.object.library.empty()) {
      write_file(library, job.object.library);
    } else {
      for (size_t i = paths.size(); i < job.object.objects.size(); ++i) {
        paths.push_back(fmt::format("{}/{}.{}.o", folder_, job.symbol, i));
        write_file(paths.back(), job.object.objects[i]);
      }
      worker.call({{"op", "link"},
                   {"objects", paths},
                   {"target", job.meanings_on.empty() ? job.problem->target : job.meanings_on},
                   {"path", library + ".linked"},
                   {"rows",
                    {{{"descriptor", json::parse(job.object.descriptor)},
                      {"proof", job.meanings_on.empty() ? "candidate" : ""},
                      {"threads", job.problem->threads},
                      {"roof_pct", 0}}}}},
                  limits_.compile_seconds);
      job.object.library = read_file(library + ".linked");
      write_file(library, job.object.library);
    }
    if (job.proof.id == 0 && !job.only_compile) {
      take_proof(job, prove(hand, job, library, 0));
    }
    if (!job.proof.passed && !job.only_compile) job.rejected = job.proof.reason;
    job.library = library;
  } catch (const Interrupted &) {
    throw;
  } catch (const RunnerFailure &) {
    throw;
  } catch (const WorkerFailure &error) {
    job.rejected = job.proof.reason = error.what();
  } catch (const Error &error) {
    job.rejected = error.what();
  }
  job.done = true;
}

void Farm::run(std::vector<FarmJob> &jobs, Clock::time_point deadline, const std::function<void(FarmJob &)> &finished) {
  if (jobs.empty()) return;
  const compiler::KernelSpec spec = compiler::parse_kernel(jobs.front().problem->spec_text, "kernel");
  const compiler::Sizes sizes = jobs.front().problem->sizes();
  const bool open = sizes.size() < spec.sizes.size();  // defaults of every size: proved at sizes of the proof's choice
  const bool large = !open && touched_bytes(spec, sizes) > kLargeOperands;
  each(
      jobs.size(), large ? 1 : hands_.size(), deadline, [&](Hand &hand, size_t i) { make(hand, jobs[i]); },
      [&](size_t i) { finished(jobs[i]); });
}

void Farm::prove_pack(const std::string &library, std::vector<FarmJob> &jobs,
                      const std::function<void(FarmJob &)> &finished) {
  each(
      jobs.size(), hands_.size(), Clock::time_point::max(),
      [&](Hand &hand, size_t i) {
        FarmJob &job = jobs[i];
        try {
          const json verdict = prove(hand, job, library, job.index);
          if (verdict.at("passed") != true)
            job.rejected = verdict.value("reason", "no reason given");
          else if (job.proof.proof_id.empty())
            take_proof(job, verdict);
          else if (verdict.at("id") != job.proof.proof_id)
            job.rejected = "the proof through the pack has another id";
        } catch (const Interrupted &) {
          throw;
        } catch (const RunnerFailure &) {
          throw;
        } catch (const Error &error) {
          job.rejected = error.what();
        }
        job.done = true;
      },
      [&](size_t i) { finished(jobs[i]); });
}

}  // namespace bittern::tuning
