// The comparison of weight layouts: every layout that some template reads is measured once at every batch size and
// thread count, and text, JSON and picture say the same of it. The command line is tests/install/tune_cli_test.sh's.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "compiler/library.h"
#include "runtime/machine/machine.h"
#include "schedules/layout.h"
#include "schedules/template.h"
#include "tests/proof/worker_process.h"
#include "tests/scratch_folder.h"
#include "tuning_db/commands/layout_report.h"
#include "tuning_db/records/sqlite_store.h"
#include "tuning_db/search/tuner.h"
#include "tuning_db/workers/run_folder.h"

using namespace bittern;
using namespace bittern::tuning;
using nlohmann::json;

namespace {

// A row that bytes bind and one that instructions bind in one group, and a row by itself, not counted and without a
// roof.
std::vector<LayoutTime> made_up() {
  LayoutTime fast{"ffn", "64x128", 1, 1, "i2q32", "llvm.gemv{layout=i2q32,rows=4}", 2.0, 2.0, 0.074, 35.5, 0.81, ""};
  LayoutTime slow{"ffn", "64x128", 1,     1,    "tl2r64", "llvm.lut{layout=tl2r64,units=2}",
                  5.0,   1.67,     0.203, 35.5, 0.27,     "the machine was busy"};
  LayoutTime alone{"ffn", "64x128", 8, 2, "t5r20", "llvm.base3{layout=t5r20,units=4}", 123.45, 1.6, 0, 0, 0, ""};
  return {fast, slow, alone};
}

// The cells of a table's lines; columns are two blanks or more apart.
std::vector<std::vector<std::string>> cells(const std::string &table) {
  static const std::regex gap("  +");
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);)
    rows.emplace_back(std::sregex_token_iterator(line.begin(), line.end(), gap, -1), std::sregex_token_iterator());
  return rows;
}

// Holds the table to the JSON, row by row.
void check_table(const std::vector<LayoutTime> &times) {
  const auto table = cells(layout_table(times));
  const json rows = layout_json(times);
  const auto notes = std::count_if(times.begin(), times.end(), [](const LayoutTime &row) { return !row.note.empty(); });
  REQUIRE(table.size() == times.size() + 1 + static_cast<size_t>(notes));
  REQUIRE(rows.size() == times.size());
  CHECK(table[0] == std::vector<std::string>{"shape", "layout", "us", "to best", "bits/weight", "ops/weight",
                                             "of read roof", "binds", "schedule"});
  std::map<std::string, double> best;
  for (size_t i = 0; i < rows.size(); ++i) {
    const json &row = rows[i];
    const std::vector<std::string> &line = table[i + 1];
    CAPTURE(row.dump());
    REQUIRE(line.size() == 9);
    const int threads = row.at("threads");
    CHECK(line[0] == fmt::format("{} M={} {} thread{}", row.at("shape").get<std::string>(), row.at("m").get<int64_t>(),
                                 threads, threads == 1 ? "" : "s"));
    const double us = row.at("us_median"), roof = row.at("roof_gb_s");
    const json &operations = row.at("operations_per_weight");
    CHECK(line[1] == row.at("layout").get<std::string>());
    CHECK(line[2] == fmt::format("{:.1f}", us));
    const double first = best.emplace(line[0], us).first->second;  // the first of a group is its fastest
    CHECK(us >= first);
    CHECK(line[3] == fmt::format("{:.2f}", us / first));
    CHECK(line[4] == fmt::format("{:.2f}", row.at("bits_per_weight").get<double>()));
    CHECK(line[5] == (operations.is_null() ? "-" : fmt::format("{:.3f}", operations.get<double>())));
    CHECK(line[6] == (roof > 0 ? fmt::format("{:.0f} %{}", 100 * row.at("read_share").get<double>(),
                                             row.at("note") == "" ? "" : " !")
                               : "-"));
    CHECK(line[7] == row.at("binds").get<std::string>());
    CHECK(line[8] == row.at("schedule").get<std::string>());
  }
}

std::set<std::string> readable_layouts(const compiler::KernelSpec &spec, const schedules::Target &target) {
  std::set<std::string> all;
  for (const schedules::Template &row : schedules::templates())
    if (row.applies(spec, target))
      for (const std::string &layout : row.layouts(spec, target)) all.insert(layout);
  return all;
}

// Whether the schedule's template has a count of its instructions.
bool counts_operations(const schedules::Schedule &schedule) {
  for (const schedules::Template &row : schedules::templates())
    if (row.backend == schedule.backend && row.name == schedule.template_name) return bool(row.operations);
  return false;
}

}  // namespace

TEST_CASE("text, JSON and picture of a comparison agree, and what binds is one of two words") {
  const std::vector<LayoutTime> times = made_up();
  check_table(times);
  const json rows = layout_json(times);
  std::set<std::string> keys;
  for (const auto &[key, value] : rows[0].items()) keys.insert(key);
  CHECK(keys == std::set<std::string>{"what", "shape", "m", "threads", "layout", "schedule", "us_median",
                                      "bits_per_weight", "operations_per_weight", "roof_gb_s", "read_share", "note",
                                      "binds"});
  CHECK(rows[2].at("operations_per_weight").is_null());
  CHECK(rows[0].at("binds") == "bytes");
  CHECK(rows[1].at("binds") == "instructions");
  CHECK(rows[2].at("binds") == "instructions");
  const std::string html = layout_html(times);
  CHECK(html.find(">2.0 us, bytes<") != std::string::npos);
  CHECK(html.find(">5.0 us, instructions<") != std::string::npos);
  CHECK(html.find("64x128 M=8 2 threads") != std::string::npos);
  CHECK(layout_table({}).empty());
  CHECK(layout_html({}).empty());
  CHECK(layout_json({}) == json::array());
}

TEST_CASE("every layout is measured once for each shape, batch size and thread count") {
  const compiler::KernelSpec &spec = compiler::builtin_kernel("w2a8_matmul");
  const test::ScratchFolder base;
  const RunFolder folder(base.root());
  SqliteStore store(base.path("tuning.sqlite"));
  TunerOptions options;
  options.threads = {1, 2};
  options.patience = find_patience("quick");
  options.time_limit = 1e6;  // what is tried and for how many rounds is counted, not clocked
  options.compare = true;
  options.worker = test_worker();
  Tuner tuner(store, folder, std::move(options));
  const schedules::Target &target = schedules::host_target(runtime::machine_isa());
  const std::set<std::string> expected = readable_layouts(spec, target);
  CHECK(expected.size() >= 7);
  const TuningResult result = tuner.run({{"matmul", spec, {{"N", 64}, {"K", 128}}, {1, 8}},
                                         {"head", compiler::builtin_kernel("residual_add"), {{"K", 64}}, {1}}});
  CHECK(result.outcomes.size() == 6);
  std::map<std::pair<int64_t, int>, std::set<std::string>> met;
  for (const LayoutTime &row : result.layouts) {
    CAPTURE(row.schedule);
    CHECK(row.shape == "64x128");
    CHECK_MESSAGE(met[std::pair(row.m, row.threads)].insert(row.layout).second, row.layout << " is there twice");
    CHECK(row.us > 0);
    CHECK(row.roof_read_gb_s > 0);
    CHECK(row.read_share > 0);
    CHECK(row.bits_per_weight == schedules::find_layout(row.layout).bits_per_weight());
    const schedules::Schedule schedule = schedules::parse_schedule(row.schedule);
    CHECK((row.operations > 0) == counts_operations(schedule));
    CHECK(schedule.layout == row.layout);
    CHECK_FALSE(schedules::illegal(spec, {{"M", row.m}, {"N", 64}, {"K", 128}}, schedule, target));
  }
  CHECK(met.size() == 4);
  for (const auto &[where, layouts] : met) {
    CAPTURE(where.first);
    CAPTURE(where.second);
    CHECK(layouts == expected);
  }
  check_table(result.layouts);
}
