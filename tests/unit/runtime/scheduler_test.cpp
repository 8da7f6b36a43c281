// Many requests give each the text that it has alone: whatever the number of sequences, with pages for few of them
// (some wait, some are put off and computed again), with prompts that begin alike.
#include "runtime/engine/scheduler.h"

#include <doctest/doctest.h>

#include <map>

#include "runtime/error.h"
#include "tests/made_model.h"

using namespace bittern::runtime;
using namespace bittern::test;

namespace {

EngineOptions options_of(int64_t sequences, int64_t pages, int64_t context = 100) {
  EngineOptions options;
  options.threads = 2;
  options.context = context;
  options.sequences = sequences;
  options.kv_pages = pages;
  options.kernels = KernelChoice::Scalar;
  options.prepacked_cache = false;
  return options;
}

std::unique_ptr<ModelSource> model() {
  ModelConfig config = made_config();
  config.eos = {7};
  return std::make_unique<MadeModel>(config);
}

// Prompts of 1 to 60 tokens, draws of all kinds; every third begins with the same 40 tokens.
std::vector<Request> requests(int count) {
  std::vector<Request> all;
  for (int i = 0; i < count; ++i) {
    Request r;
    for (int t = 0; i % 3 == 0 && t < 40; ++t) r.prompt.push_back((t * 7 + 3) % 50);
    for (int t = 0; t < 1 + (i * 13) % 20; ++t) r.prompt.push_back((i * 31 + t * 17) % 50);
    r.count = 1 + (i * 29) % 60;
    r.ignore_eos = i % 2 == 0;
    if (i % 4 != 0) {
      r.sampling.greedy = false;
      r.sampling.temperature = 1.5f;
      r.sampling.seed = static_cast<uint64_t>(i);
      r.sampling.repetition_penalty = i % 4 == 1 ? 1.2f : 1;
    }
    all.push_back(std::move(r));
  }
  return all;
}

std::map<int64_t, Finished> run(Scheduler &scheduler, const std::vector<Request> &all) {
  for (const Request &request : all) scheduler.add(request);
  std::map<int64_t, Finished> done;
  std::map<int64_t, std::vector<int32_t>> made;
  int steps = 0;
  while (!scheduler.idle()) {
    for (const Scheduler::Made &m : scheduler.step()) made[m.id].push_back(m.token);
    while (auto finished = scheduler.collect()) done[finished->id] = std::move(*finished);
    REQUIRE(++steps < 10000);
  }
  for (const auto &[id, finished] : done) CHECK(made[id] == finished.tokens);
  return done;
}

}  // namespace

TEST_CASE("the text of a request does not depend on what else is asked for") {
  const std::vector<Request> all = requests(24);
  std::vector<Generation> alone;
  {
    Engine engine(model(), options_of(1, 0));
    for (const Request &r : all) {
      GenerateOptions options;
      options.count = r.count;
      options.ignore_eos = r.ignore_eos;
      options.sampling = r.sampling;
      alone.push_back(generate(engine, r.prompt, options, [](int32_t) { return true; }));
    }
  }
  struct Way {
    int64_t sequences, pages;
    bool put_off, shared;
  };
  for (const Way &way : {Way{1, 0, false, false}, Way{5, 0, false, true}, Way{24, 100, false, true},
                         Way{24, 9, false, true}, Way{64, 4, true, false}}) {
    CAPTURE(way.sequences);
    CAPTURE(way.pages);
    Engine engine(model(), options_of(way.sequences, way.pages));
    Scheduler scheduler(engine);
    const std::map<int64_t, Finished> done = run(scheduler, all);
    REQUIRE(done.size() == all.size());
    int64_t prompts = 0;
    for (size_t i = 0; i < all.size(); ++i) {
      CAPTURE(i);
      const Finished &finished = done.at(static_cast<int64_t>(i));
      CHECK(finished.tokens == alone[i].tokens);
      CHECK(static_cast<int>(finished.reason) == static_cast<int>(alone[i].reason));
      prompts += static_cast<int64_t>(all[i].prompt.size() + alone[i].tokens.size()) - 1;
    }
    const Scheduler::Figures &f = scheduler.figures();
    CHECK((f.put_off > 0) == way.put_off);
    // What was shared was not computed; what was put off was computed again.
    CHECK((f.shared > 0) == way.shared);
    if (!way.put_off) CHECK(f.computed + f.shared == prompts);
    CHECK(engine.free_pages() == engine.pages());
  }
}

TEST_CASE("a prompt that many have in common is computed once") {
  Engine engine(model(), options_of(8, 0));
  Scheduler scheduler(engine);
  std::vector<Request> all = requests(1);
  all[0].count = 5;
  all[0].prompt.resize(70, 1);
  all.resize(8, all[0]);
  for (size_t i = 0; i < all.size(); ++i) all[i].prompt.push_back(static_cast<int32_t>(i));
  run(scheduler, all);
  CHECK(scheduler.figures().shared == 7 * 64);  // whole pages: six more positions are not worth a copy
}

TEST_CASE("what cannot be run is refused, what is not wanted is dropped") {
  Engine engine(model(), options_of(2, 2));
  Scheduler scheduler(engine);
  Request request = requests(2)[1];
  request.count = 40;
  request.ignore_eos = true;
  Request bad = request;
  bad.prompt.assign(65, 1);
  CHECK_THROWS_WITH_AS(scheduler.add(bad), doctest::Contains("the context holds 64"), Error);
  bad.prompt = {50};
  CHECK_THROWS_WITH_AS(scheduler.add(bad), doctest::Contains("vocabulary of 50"), Error);
  bad.prompt = {};
  CHECK_THROWS_AS(scheduler.add(bad), Error);
  bad = request;
  bad.count = 0;
  const int64_t nothing = scheduler.add(bad), dropped = scheduler.add(request), kept = scheduler.add(request);
  CHECK(scheduler.collect()->id == nothing);
  scheduler.step();
  scheduler.cancel(dropped);
  while (!scheduler.idle()) scheduler.step();
  const auto finished = scheduler.collect();
  REQUIRE(finished.has_value());
  CHECK(finished->id == kept);
  CHECK(finished->tokens.size() == 40);
  CHECK(!scheduler.collect());
  CHECK(engine.free_pages() == 2);
}

TEST_CASE("steps are refused before anything is changed") {
  Engine engine(model(), options_of(3, 3));
  const std::vector<int32_t> tokens(40, 1);
  const Engine::Part twice[] = {{0, tokens}, {0, tokens}}, much[] = {{0, tokens}, {1, tokens}},
                     none[] = {{0, tokens}, {3, tokens}}, empty[] = {{0, tokens}, {1, {}}};
  CHECK_THROWS_WITH_AS(engine.step(twice), doctest::Contains("twice"), Error);
  CHECK_THROWS_WITH_AS(engine.step(much), doctest::Contains("4 pages are wanted, 3 of 3 are free"), Error);
  CHECK_THROWS_WITH_AS(engine.step(none), doctest::Contains("no sequence 3"), Error);
  CHECK_THROWS_AS(engine.step(empty), Error);
  CHECK(engine.position(0) == 0);
  CHECK(engine.free_pages() == 3);
  CHECK_THROWS_WITH_AS(engine.begin_as(1, 0, 1), doctest::Contains("cannot begin"), Error);
  CHECK_THROWS_WITH_AS(Engine(model(), options_of(65, 0)), doctest::Contains("between 1 and 64"), Error);
}
