// The worker's side: a loop over requests. It keeps what is dear between them (parsed kernels, loaded libraries,
// reference outputs, cold copies, the roof's buffer), all of it gone with the process when a kernel misbehaves.
#include <dlfcn.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <thread>

#include "compiler/parser.h"
#include "compiler/printer.h"
#include "runtime/bench/roof.h"
#include "runtime/kernels/pack_loader.h"
#include "runtime/machine/machine.h"
#include "tuning_db/proof/problem.h"
#include "tuning_db/proof/proof.h"
#include "tuning_db/workers/arena.h"
#include "tuning_db/workers/worker.h"

namespace bittern::tuning {
namespace {

using nlohmann::json;

constexpr int64_t kFixtureBytes = int64_t{3} << 29;
constexpr int64_t kLeastRoofBytes = int64_t{256} << 20, kMostRoofBytes = int64_t{1} << 30;

char *status_page = nullptr;

// The default action of SIGALRM ends the process: that is how a kernel that never returns is found out.
void set_alarm(int64_t milliseconds) {
  itimerval timer{};
  timer.it_value.tv_sec = milliseconds / 1000;
  timer.it_value.tv_usec = milliseconds % 1000 * 1000;
  setitimer(ITIMER_REAL, &timer, nullptr);
}

class Server {
 public:
  explicit Server(const WorkerOps &more) : ops_(more) {
    ops_["prove"] = [this](const json &request) { return prove_kernel(request); };
    ops_["time"] = [this](const json &request) { return time(request); };
  }

  json serve(const json &request) {
    const auto op = ops_.find(request.at("op").get<std::string>());
    if (op == ops_.end()) throw Error("unknown request");
    return op->second(request);
  }

 private:
  struct Library {
    std::string bytes_hash;
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

  const compiler::KernelSpec &spec(const json &request) {
    const auto text = request.at("spec").get<std::string>();
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

  // {spec, library, index, hash, sizes, proof_sizes, threads, references, call_ms}
  // -> {passed, reason, inputs, reference, id}
  json prove_kernel(const json &request) {
    const compiler::KernelSpec &text = spec(request);
    const bt_kernel &candidate = kernel(request.at("library"), request.at("index"));
    const int64_t call_ms = request.at("call_ms");
    if (compiler::spec_hash(text) != candidate.spec_hash) throw Error("the kernel was made from another text");
    if (candidate.layout) {
      // Once for every library would prove the same generated code again and again.
      const std::string id = fmt::format("{}@{}", candidate.layout->name, candidate.layout->version);
      const std::string path = request.at("library");
      if (path.ends_with(".json") || !layouts_.count(id)) {
        say_status("packing weights in layout " + id);
        set_alarm(call_ms);
        const std::string wrong = prove_layout(*candidate.layout);
        set_alarm(0);
        if (!wrong.empty()) return json{{"passed", false}, {"reason", wrong}};
        layouts_.insert(id);
      }
    }
    if (!fixtures_)
      fixtures_ = std::make_unique<FixtureCache>(kFixtureBytes, request.at("threads"), request.at("references"));
    const auto at = request.value("proof_sizes", std::vector<compiler::Sizes>());
    const auto steps = at.empty() ? proof_steps(text, candidate, request.at("sizes").get<compiler::Sizes>())
                                  : proof_steps_at(text, at);
    const ProofResult result = prove(candidate, request.at("hash"), text, steps, *fixtures_,
                                     {[&](const std::string &what) {
                                        say_status(what);
                                        set_alarm(call_ms);
                                      },
                                      [] { set_alarm(0); }});
    return {{"passed", result.passed},       {"reason", result.reason}, {"inputs", result.inputs},
            {"reference", result.reference}, {"steps", result.steps},   {"id", result.id}};
  }

  // {spec, sizes, threads, libraries: [path], rounds, block_us, cold_bytes, read_roof, multiply_roof, call_ms}
  // -> {samples: [round][library] microseconds, calls: [library], read_gb_s: [round], int8_gop_s: [round]}
  json time(const json &request) {
    say_status("preparing operands");
    const int threads = request.at("threads");
    const std::string key = request.at("spec").get<std::string>() + request.at("sizes").dump();
    if (key != arena_key_) {
      arena_.reset();
      fixtures_.reset();  // timing wants the memory, and the proof of these sizes is over
      arena_ = std::make_unique<Arena>(spec(request), request.at("sizes").get<compiler::Sizes>(),
                                       request.at("cold_bytes").get<int64_t>());
      arena_key_ = key;
    }
    Crew &crew = crew_of(threads);
    const bool read_roof = request.at("read_roof"), multiply_roof = request.at("multiply_roof");
    if ((read_roof || multiply_roof) && !crew.roof)
      crew.roof = std::make_unique<runtime::Roof>(
          crew.pool, std::clamp(8 * runtime::last_level_cache_bytes(), kLeastRoofBytes, kMostRoofBytes));
    std::vector<const bt_kernel *> kernels;
    for (const json &path : request.at("libraries")) kernels.push_back(&kernel(path, 0));
    arena_->keep_only(kernels);
    const double block_us = request.at("block_us");
    const int64_t call_ms = request.at("call_ms");
    const auto timed = [&](size_t i, int calls) {
      say_status("timing " + std::string(kernels[i]->schedule));
      set_alarm(call_ms);
      const double us = arena_->run(*kernels[i], crew.pool, calls) / calls;
      set_alarm(0);
      return us;
    };
    std::vector<int> calls;
    for (size_t i = 0; i < kernels.size(); ++i) {
      timed(i, 1);  // makes its copies and brings in its code
      calls.push_back(static_cast<int>(std::clamp(block_us / std::max(timed(i, 2), 0.05), 1.0, 20000.0)));
    }
    json samples = json::array(), reads = json::array(), multiplies = json::array();
    const int rounds = request.at("rounds");
    for (int round = 0; round < rounds; ++round) {
      std::vector<double> row(kernels.size());
      // Another one goes first each round, so that none always follows the same neighbour.
      for (size_t turn = 0; turn < kernels.size(); ++turn) {
        const size_t i = (turn + static_cast<size_t>(round)) % kernels.size();
        row[i] = timed(i, calls[i]);
      }
      samples.push_back(row);
      if (read_roof) reads.push_back(crew.roof->sample_read());
      if (multiply_roof) multiplies.push_back(crew.roof->sample_multiply());
    }
    return {{"samples", samples}, {"calls", calls}, {"read_gb_s", reads}, {"int8_gop_s", multiplies}};
  }

  WorkerOps ops_;
  std::map<std::string, std::unique_ptr<compiler::KernelSpec>> specs_;
  std::map<std::string, Library> libraries_;
  std::set<std::string> layouts_;
  std::unique_ptr<FixtureCache> fixtures_;
  std::list<Crew> crews_;  // last used first
  std::unique_ptr<Arena> arena_;
  std::string arena_key_;
};

bool read_line(std::string &line) {
  line.clear();
  static std::string rest;
  for (;;) {
    if (const size_t end = rest.find('\n'); end != std::string::npos) {
      line = rest.substr(0, end);
      rest.erase(0, end + 1);
      return true;
    }
    char buffer[65536];
    const ssize_t n = read(kWorkerSocket, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    rest.append(buffer, static_cast<size_t>(n));
  }
}

bool write_line(const std::string &line) {
  for (size_t done = 0; done < line.size();) {
    const ssize_t n = write(kWorkerSocket, line.data() + done, line.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

}  // namespace

void say_status(const std::string &text) {
  if (!status_page) return;
  const size_t length = std::min(text.size(), kStatusBytes - 1);
  std::memcpy(status_page, text.data(), length);
  status_page[length] = 0;
}

int serve_worker(const WorkerOps &more) {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  void *page = mmap(nullptr, kStatusBytes, PROT_READ | PROT_WRITE, MAP_SHARED, kWorkerStatus, 0);
  if (page != MAP_FAILED) status_page = static_cast<char *>(page);
  // A parent that is killed cannot say goodbye; its end of the socket closes, even while a kernel hangs here.
  std::thread([] {
    pollfd parent{kWorkerSocket, 0, 0};
    while (poll(&parent, 1, -1) < 0 || (parent.revents & (POLLHUP | POLLERR)) == 0) {
    }
    _exit(0);
  }).detach();

  Server server(more);
  for (std::string line; read_line(line);) {
    json reply;
    try {
      reply = server.serve(json::parse(line));
      reply["ok"] = true;
    } catch (const std::exception &error) {
      reply = {{"ok", false}, {"error", error.what()}};
    }
    set_alarm(0);
    say_status("");
    // Reasons may quote bytes that are not text.
    if (!write_line(reply.dump(-1, ' ', false, json::error_handler_t::replace) + "\n")) break;
  }
  return 0;
}

}  // namespace bittern::tuning
