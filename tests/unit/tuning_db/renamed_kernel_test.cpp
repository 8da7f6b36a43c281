// Nothing of how a kernel is tuned, compiled or measured goes by a name: under other names, in another order of names,
// every text gets the same schedules, buckets and machine code.
#include "tests/renamed_kernel.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "codegen/backend.h"
#include "compiler/library.h"
#include "compiler/parser.h"
#include "compiler/token_size.h"
#include "schedules/space.h"
#include "schedules/template.h"
#include "tests/proof/matrix_sizes.h"
#include "tuning_db/proof/cost.h"
#include "tuning_db/proof/problem.h"

using namespace bittern;
using compiler::KernelSpec;
using compiler::Sizes;

namespace {

// Every size of the text; M of those that count tokens.
Sizes sizes_at(const KernelSpec &spec, int64_t m) {
  Sizes sizes = test::common_sizes(spec);
  sizes[compiler::token_size(spec)] = m;
  return sizes;
}

// The whole object: symbols are the same, and code has no other names in it.
std::vector<std::string> code(const KernelSpec &spec, const schedules::Schedule &schedule,
                              const schedules::Target &target, Sizes sizes) {
  sizes.erase(compiler::token_size(spec));
  return codegen::compile({spec, schedule, target, sizes, 1, INT64_MAX, "kernel"}).objects;
}

}  // namespace

TEST_CASE("schedules, their order and their defaults are the same under other names") {
  for (const std::string &name : compiler::builtin_kernel_names()) {
    const KernelSpec &spec = compiler::builtin_kernel(name);
    const test::RenamedKernel other = test::renamed(spec);
    CAPTURE(name);
    for (const char *target_name : {"x86-64-avx2", "aarch64-i8mm"}) {
      const schedules::Target &target = schedules::find_target(target_name);
      const auto here = schedules::defaults(spec, target), there = schedules::defaults(other.spec, target);
      REQUIRE(here.size() == there.size());
      for (size_t i = 0; i < here.size(); ++i) {
        CHECK(here[i].schedule == there[i].schedule);
        CHECK(here[i].m_min == there[i].m_min);
        CHECK(here[i].m_max == there[i].m_max);
      }
    }
    const schedules::Target &target = schedules::find_target("x86-64-avx2");
    for (const int64_t m : {1, 40}) {
      const Sizes sizes = sizes_at(spec, m);
      const auto here = schedules::enumerate(spec, sizes, target);
      const auto there = schedules::enumerate(other.spec, other.sizes(sizes), target);
      REQUIRE(here.size() == there.size());
      size_t same = 0;
      for (size_t i = 0; i < here.size(); ++i)
        same += here[i].schedule == there[i].schedule && here[i].prior == there[i].prior &&
                here[i].illegal.empty() == there[i].illegal.empty();
      CHECK(same == here.size());
    }
  }
}

TEST_CASE("buckets, fixed sizes and what GB/s counts are the same under other names") {
  for (const std::string &name : compiler::builtin_kernel_names()) {
    const KernelSpec &spec = compiler::builtin_kernel(name);
    const test::RenamedKernel other = test::renamed(spec);
    CAPTURE(name);
    Sizes fixed = sizes_at(spec, 1);
    fixed.erase(compiler::token_size(spec));
    for (const int64_t m : {1, 6, 128}) {
      const tuning::Problem here = tuning::make_problem(spec, fixed, m, 1, "x86-64-avx2");
      const tuning::Problem there = tuning::make_problem(other.spec, other.sizes(fixed), m, 1, "x86-64-avx2");
      CHECK(here.m_min == there.m_min);
      CHECK(here.m_max == there.m_max);
      CHECK(there.sizes() == other.sizes(here.sizes()));
      CHECK(tuning::compiled_sizes(other.spec, there) == other.sizes(tuning::compiled_sizes(spec, here)));
      CHECK(tuning::weight_bytes(other.spec, there.sizes()) == tuning::weight_bytes(spec, here.sizes()));
      CHECK(tuning::multiply_adds(other.spec, there.sizes()) == tuning::multiply_adds(spec, here.sizes()));
      if (!here.rows.empty())
        CHECK(here.shape().substr(0, here.shape().find(',')) == there.shape().substr(0, there.shape().find(',')));
    }
  }
  // The largest operand stays open, and of equal ones the first of the text.
  const KernelSpec &head = compiler::builtin_kernel("head_f32");
  const test::RenamedKernel other = test::renamed(head);
  const Sizes square = {{"N", 16384}, {"K", 16384}};
  const Sizes left = tuning::compiled_sizes(head, tuning::make_problem(head, square, 1, 1, ""));
  CHECK(left.size() == 1);
  CHECK(tuning::compiled_sizes(other.spec, tuning::make_problem(other.spec, other.sizes(square), 1, 1, "")) ==
        other.sizes(left));
}

TEST_CASE("machine code is the same under other names") {
  const schedules::Target &target = schedules::find_target("x86-64-avx2");
  for (const std::string &name : compiler::builtin_kernel_names()) {
    const KernelSpec &spec = compiler::builtin_kernel(name);
    const test::RenamedKernel other = test::renamed(spec);
    const Sizes sizes = sizes_at(spec, 3);
    // One default of every template that has some.
    std::vector<std::string> seen;
    for (const schedules::Default &d : schedules::defaults(spec, target)) {
      if (std::count(seen.begin(), seen.end(), d.schedule.template_name)) continue;
      seen.push_back(d.schedule.template_name);
      CAPTURE(name);
      CAPTURE(schedules::print_schedule(d.schedule));
      CHECK(code(spec, d.schedule, target, sizes) == code(other.spec, d.schedule, target, other.sizes(sizes)));
    }
  }
  // Halide's best guess of three kinds of kernel.
  for (const char *name : {"w2a8_matmul", "rmsnorm", "ffn_silu"}) {
    const KernelSpec &spec = compiler::builtin_kernel(name);
    const test::RenamedKernel other = test::renamed(spec);
    const Sizes sizes = sizes_at(spec, 3);
    for (const schedules::Point &point : schedules::enumerate(spec, sizes, target)) {
      if (point.schedule.backend != "halide" || !point.illegal.empty()) continue;
      CAPTURE(name);
      CAPTURE(schedules::print_schedule(point.schedule));
      CHECK(code(spec, point.schedule, target, sizes) == code(other.spec, point.schedule, target, other.sizes(sizes)));
      break;
    }
  }
}
