// One database and two builds of the programs: nothing that one has compiled, proved or timed counts for the other.
#include <algorithm>
#include <set>

#include "compiler/parser.h"
#include "tests/proof/worker_process.h"
#include "tests/scratch_folder.h"
#include "tuning_db/records/sqlite_store.h"
#include "tuning_db/search/tuner.h"
#include "tuning_db/workers/run_folder.h"

using namespace bittern;
using namespace bittern::tuning;

namespace {

// What a database holds of one problem.
struct Counts {
  size_t objects = 0, proofs = 0, samples = 0, of_build = 0;
};

}  // namespace

TEST_CASE("another build shares nothing, the same build everything") {
  const test::ScratchFolder base;
  const RunFolder folder(base.root());
  const std::string path = base.path("tuning.sqlite");
  SqliteStore store(path);
  const KernelWork work{"scale",
                        compiler::parse_kernel("kernel scale(M, K) {\n  in X : f32[M, K]\n  out Y : f32[M, K]\n"
                                               "  Y[m, k] = X[m, k] * 2.0\n}\n",
                                               "scale"),
                        {{"K", 64}},
                        {1}};
  const auto tune = [&](const char *build, size_t first) {
    TunerOptions options;
    options.threads = {1};
    options.patience = {"quick", first, first, 0, 0, 3, 0, 0};
    options.worker = test_worker();
    options.build = build;
    return Tuner(store, folder, std::move(options)).run({work});
  };
  const auto counts = [&](const std::string &build) {
    Counts c;
    Database database(path);
    c.objects = static_cast<size_t>(database.integer("SELECT count(*) FROM objects"));
    c.proofs = static_cast<size_t>(database.integer("SELECT count(*) FROM proofs"));
    c.samples = static_cast<size_t>(database.integer("SELECT count(*) FROM samples"));
    for (const StoredProblem &problem : store.problems(store.machines().at(0)))
      for (const CandidateRecord &row : store.candidates({problem.id})) c.of_build += row.build == build;
    return c;
  };
  const TuningResult first = tune("a", 6);
  REQUIRE(first.outcomes.size() == 1);
  CHECK_FALSE(first.outcomes[0].reused);
  const Counts a = counts("a");
  CHECK(a.of_build >= 6);
  CHECK(a.objects == a.proofs);

  const TuningResult again = tune("a", 6);
  REQUIRE(again.outcomes.size() == 1);
  CHECK(again.outcomes[0].reused);
  CHECK(counts("a").objects == a.objects);
  CHECK(counts("a").samples == a.samples);

  const TuningResult other = tune("b", 1);
  REQUIRE(other.outcomes.size() == 1);
  CHECK_FALSE(other.outcomes[0].reused);
  const Counts b = counts("b");
  CHECK(b.of_build >= 1);
  CHECK(b.of_build < a.of_build);              // what "a" has timed is not carried on with
  CHECK(b.objects == a.objects + b.of_build);  // all compiled again, nothing found
  CHECK(b.proofs == a.proofs + b.of_build);
  CHECK(b.samples > a.samples);
  CHECK(counts("a").of_build == a.of_build - b.of_build);
  std::set<int64_t> objects;
  for (const Outcome *outcome : {&first.outcomes[0], &other.outcomes[0]}) objects.insert(outcome->object.id);
  CHECK(objects.size() == 2);
}
