// The proof matrix, made from the registries: every built-in kernel and some texts of tests/data/kernels in every
// layout that a template reads, by every template that applies, on every target of the table, compiled with all sizes
// left open and proved at the sizes of matrix_sizes.h. A row of a registry without its proof cannot be. Targets that
// this machine lacks are proved by their instructions' meanings. BITTERN_PROOF in the environment says how many
// schedules of each: a number, or "full" for 6 at every size and, natively, on the true shapes of all known models.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "compiler/library.h"
#include "compiler/parser.h"
#include "runtime/machine/machine.h"
#include "runtime/model/model_source.h"
#include "schedules/layout.h"
#include "schedules/space.h"
#include "schedules/template.h"
#include "tests/proof/matrix_sizes.h"
#include "tests/proof/worker_process.h"
#include "tests/scratch_folder.h"
#include "tuning_db/making/farm.h"
#include "tuning_db/proof/problem.h"
#include "tuning_db/workers/run_folder.h"

using namespace bittern;
using namespace bittern::tuning;

namespace {

struct Extent {
  size_t schedules = 1;  // of each template, layout, kernel and target
  bool full = false;
};

Extent extent() {
  const char *wanted = std::getenv("BITTERN_PROOF");
  if (wanted == nullptr) return {};
  if (std::string(wanted) == "full") return {6, true};
  const long number = std::atol(wanted);
  REQUIRE_MESSAGE(number >= 1, "BITTERN_PROOF=" << wanted << " is neither full nor a number");
  return {static_cast<size_t>(number), false};
}

// `count` of them, evenly spread, the best prior first; of one the one in the middle is more telling.
std::vector<std::string> spread(const std::vector<std::string> &all, size_t count) {
  if (all.size() <= count) return all;
  if (count == 1) return {all[all.size() / 2]};
  std::vector<std::string> some;
  for (size_t i = 0; i < count; ++i) some.push_back(all[i * (all.size() - 1) / (count - 1)]);
  return some;
}

// BITTERN_PROOF_ONLY in the environment leaves out what has not this very name: a kernel's, target's, template's or
// layout's.
const char *only() {
  const char *name = std::getenv("BITTERN_PROOF_ONLY");
  return name == nullptr || *name == '\0' ? nullptr : name;
}
bool asked_for(const std::vector<std::string> &names) {
  return only() == nullptr || std::find(names.begin(), names.end(), only()) != names.end();
}

bool runs_here(const schedules::Target &target) { return (target.isa_needs & ~runtime::machine_isa()) == 0; }

const schedules::Target &host() { return schedules::host_target(runtime::machine_isa()); }

// Legal schedules by what the registries combine: template and layout.
std::map<std::pair<std::string, std::string>, std::vector<std::string>> legal_schedules(
    const compiler::KernelSpec &spec, const Problem &problem, const schedules::Target &target) {
  std::map<std::pair<std::string, std::string>, std::vector<std::string>> legal;
  // Every combination must have a schedule: begin with all of them, empty.
  for (const schedules::Template &row : schedules::templates()) {
    if (!row.applies(spec, target)) continue;
    std::vector<std::string> layouts = row.layouts(spec, target);
    if (layouts.empty()) layouts.push_back("");
    for (const std::string &layout : layouts) legal[{row.backend + "." + row.name, layout}];
  }
  for (const schedules::Point &point : schedules::enumerate(spec, problem.sizes(), target)) {
    const schedules::Schedule &s = point.schedule;
    if (point.illegal.empty()) legal[{s.backend + "." + s.template_name, s.layout}].push_back(print_schedule(s));
  }
  return legal;
}

compiler::KernelSpec read_kernel(const std::string &name) {
  const std::string path = std::string(BITTERN_TEST_DATA) + "/kernels/" + name + ".bk";
  std::ifstream file(path);
  REQUIRE(file.good());
  return compiler::parse_kernel(std::string{std::istreambuf_iterator<char>(file), {}}, path);
}

class Matrix {
 public:
  // Makes kernels and counts them.
  void prove(std::vector<Order> &orders) {
    for (Order &order : orders) order.symbol = "matrix_" + std::to_string(tried_++);
    const std::vector<Made> all = farm_.make(orders);
    for (size_t i = 0; i < orders.size(); ++i) {
      const Made &made = all[i];
      CHECK_MESSAGE(made.good(), orders[i].problem.spec_name << " on " << orders[i].problem.target << " as "
                                                             << orders[i].schedule << ": " << made.why());
      CHECK(made.proof);
      proved_ += made.proof ? 1 : 0;
      if (made.proof && orders[i].meanings_on.empty()) ++executed_[orders[i].problem.target];
      if (!made.library.empty()) std::filesystem::remove(made.library);
    }
  }
  int proved() const { return proved_; }
  int tried() const { return tried_; }
  // By target, of those that this machine has the instructions of: README.md's table tells of them.
  const std::map<std::string, int> &executed() const { return executed_; }

 private:
  const test::ScratchFolder base_;
  const RunFolder folder_{base_.root()};
  Farm farm_{test_worker(), runtime::machine_cores(), folder_.path(), MakeLimits{60, 600, 20000}, nullptr};
  int proved_ = 0, tried_ = 0;
  std::map<std::string, int> executed_;
};

}  // namespace

TEST_CASE("every kernel in every layout by every template on every target gives the reference's bits") {
  const Extent wanted = extent();
  Matrix matrix;
  std::set<std::string> layouts_met;
  std::vector<compiler::KernelSpec> specs;
  for (const std::string &name : compiler::builtin_kernel_names()) specs.push_back(compiler::builtin_kernel(name));
  // Texts of no program, for what those do not do.
  for (const char *name : {"extrema", "centred_quant", "shared_reduction"}) specs.push_back(read_kernel(name));
  for (const compiler::KernelSpec &spec : specs) {
    const std::string &name = spec.name;
    test::MatrixSizes sizes(spec);
    const std::vector<compiler::Sizes> all_sizes = wanted.full ? sizes.full() : sizes.quick();
    for (const schedules::Target &target : schedules::targets()) {
      const Problem problem = make_problem(spec, test::common_sizes(spec), 33, 1, target.name);
      std::vector<Order> orders;
      for (const auto &[combination, legal] : legal_schedules(spec, problem, target)) {
        CHECK_MESSAGE(!legal.empty(), name << " on " << target.name << " has no legal schedule for "
                                           << combination.first << " and layout \"" << combination.second << "\"");
        layouts_met.insert(combination.second);
        if (!asked_for({name, target.name, combination.first, combination.second})) continue;
        for (const std::string &schedule : spread(legal, wanted.schedules)) {
          Order order;
          order.problem = problem;
          order.schedule = schedule;
          order.proof_sizes = all_sizes;
          if (combination.first.starts_with("halide")) {  // its tiles are chosen for sizes that it knows
            order.fixed = test::common_sizes(spec);
            for (compiler::Sizes &at : order.proof_sizes)
              for (const auto &[size, value] : order.fixed) at[size] = value;
          }
          if (!runs_here(target)) order.meanings_on = host().name;
          orders.push_back(order);
        }
      }
      CHECK_MESSAGE((only() || !orders.empty()), name << " on " << target.name << " has no schedule at all");
      matrix.prove(orders);
      if (wanted.full)  // takes long: says where it is
        MESSAGE(name << " on " << target.name << ": " << orders.size() << " schedules at " << all_sizes.size()
                     << " sizes");
    }
  }
  for (const schedules::Layout &layout : schedules::layouts())
    CHECK_MESSAGE(layouts_met.count(layout.name) == 1, "no template reads layout " << layout.name);
  MESSAGE(matrix.proved() << " of " << matrix.tried() << " schedules proved");
  for (const auto &[target, count] : matrix.executed()) MESSAGE(target << ": " << count << " of them executed");
  CHECK(matrix.proved() > (only() ? 0 : 50));
}

// Where sizes are what models have: the offsets are large, sums long, tiles many.
TEST_CASE("every layout gives the reference's bits at the true shapes of models") {
  const bool full = extent().full;
  const compiler::KernelSpec &spec = compiler::builtin_kernel("w2a8_matmul");
  std::set<std::pair<int64_t, int64_t>> shapes;
  for (const std::string &preset : full ? runtime::preset_names() : std::vector<std::string>{"2b-4t"}) {
    const auto model = runtime::synthetic_model(preset);
    for (size_t i = 0; i < runtime::kLinearCount; ++i)
      shapes.insert(runtime::linear_shape(model->config(), static_cast<runtime::Linear>(i)));
  }
  constexpr int64_t kMost = int64_t{1} << 27;  // weights: more than this only the memory of a large machine holds
  std::vector<compiler::Sizes> sizes;
  for (const auto &[n, k] : shapes)
    if (n * k <= kMost) sizes.push_back({{"M", 1}, {"N", n}, {"K", k}});
  Matrix matrix;
  const Problem problem = make_problem(spec, test::common_sizes(spec), 1, 1, host().name);
  std::map<std::string, Order> best;  // by layout: the first legal schedule is that of the best prior
  for (const schedules::Point &point : schedules::enumerate(spec, problem.sizes(), host())) {
    if (!point.illegal.empty()) continue;
    Order &order = best[point.schedule.layout];
    if (!order.schedule.empty()) continue;
    order.problem = problem;
    order.schedule = print_schedule(point.schedule);
    order.proof_sizes = sizes;
  }
  std::vector<Order> orders;
  for (const auto &[layout, order] : best)
    if (asked_for({layout})) orders.push_back(order);
  CHECK((only() || orders.size() >= 7));
  matrix.prove(orders);
}
