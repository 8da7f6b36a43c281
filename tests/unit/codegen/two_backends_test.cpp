// The independent second opinion: every family of Halide's schedules and its counterpart of LLVM's compute the same
// kernels from the same inputs, and their outputs are held to equal bits.
#include <algorithm>
#include <filesystem>
#include <set>

#include "codegen/backend.h"
#include "halide_harness.h"
#include "schedules/template.h"
#include "tests/proof/matrix_sizes.h"
#include "tuning_db/proof/problem.h"

using namespace halide_test;

namespace {

const schedules::Target &avx2() { return schedules::find_target("x86-64-avx2"); }

// Built-in kernels and those of tests/data/kernels.
std::vector<KernelSpec> kernels() {
  std::vector<KernelSpec> all;
  for (const std::string &name : compiler::builtin_kernel_names()) all.push_back(compiler::builtin_kernel(name));
  for (const auto &entry : std::filesystem::directory_iterator(std::string(BITTERN_TEST_DATA) + "/kernels")) {
    if (!entry.is_regular_file()) continue;  // texts that must be refused lie in a folder of their own
    std::ifstream file(entry.path());
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    all.push_back(compiler::parse_kernel(text, entry.path().filename().string()));
  }
  return all;
}

// The schedule in the middle of those of a template that are legal, best prior first; nothing when none is.
std::optional<Schedule> middle(const std::vector<schedules::Point> &points, const std::string &backend,
                               const std::string &name, const std::string &layout) {
  std::vector<Schedule> legal;
  for (const schedules::Point &point : points) {
    const Schedule &s = point.schedule;
    if (point.illegal.empty() && s.backend == backend && s.template_name == name && s.layout == layout)
      legal.push_back(s);
  }
  if (legal.empty()) return std::nullopt;
  return legal[legal.size() / 2];
}

}  // namespace

TEST_CASE("Halide's schedules and LLVM's counterparts give equal bits") {
  std::set<std::string> families;
  size_t compared = 0;
  for (const KernelSpec &spec : kernels()) {
    CAPTURE(spec.name);
    const Sizes fixed = test::common_sizes(spec);
    Sizes sizes = fixed;
    for (const std::string &size : spec.sizes) sizes.emplace(size, 9);
    const std::vector<schedules::Point> points = schedules::enumerate(spec, sizes, avx2());
    const Case c(spec, sizes, Fill::Extremes);
    for (const schedules::Template &row : schedules::templates()) {
      if (row.backend != "halide" || !row.applies(spec, avx2())) continue;
      const std::vector<std::string> layouts = row.layouts(spec, avx2());
      const std::string layout = layouts.empty() ? "" : layouts[compared % layouts.size()];
      const auto mine = middle(points, "halide", row.name, layout);
      // LLVM's template of the same name, or the one that lowers everything.
      auto other = middle(points, "llvm", row.name, layout);
      if (!other) other = middle(points, "llvm", "loops", layout);
      REQUIRE(mine.has_value());
      REQUIRE(other.has_value());
      CAPTURE(schedules::print_schedule(*mine));
      CAPTURE(schedules::print_schedule(*other));
      const Loaded halide(spec, *mine, fixed), llvm(spec, *other, fixed);
      const Outcome outcome = run(llvm, c, *other, 1, true);
      CHECK(outcome.damage == "");
      CHECK(mismatch(halide, c, *mine, 2, true, outcome.outputs) == "");
      families.insert(row.name);
      ++compared;
    }
  }
  for (const schedules::Template &row : schedules::templates())
    if (row.backend == "halide") CHECK_MESSAGE(families.count(row.name) == 1, row.name << " was compared nowhere");
  CHECK(compared >= 30);
}
