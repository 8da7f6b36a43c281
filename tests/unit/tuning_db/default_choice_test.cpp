// The tuner and bitnet-emit name the very default that dispatch takes: dispatch is given the defaults of every kernel
// of the engine, and both choose for every number of tokens.
#include "tuning_db/making/default_choice.h"

#include <doctest/doctest.h>

#include <list>
#include <map>
#include <string>
#include <vector>

#include "compiler/library.h"
#include "compiler/printer.h"
#include "runtime/kernels/dispatch.h"
#include "runtime/kernels/roles.h"

using namespace bittern;
using namespace bittern::tuning;

namespace {

// A pack whose rows are defaults, with no code behind them.
struct DefaultsPack {
  std::list<bt_layout> layouts;
  std::map<std::string, const bt_layout *> by_name;
  std::list<bt_kernel> rows;
  std::vector<const bt_kernel *> table;
  bt_pack pack{};

  DefaultsPack(const runtime::RoleInfo &role, const std::vector<schedules::Default> &defaults) {
    for (const schedules::Default &d : defaults) {
      bt_kernel row{};
      row.spec = role.spec.c_str();
      row.spec_hash = role.spec_hash.c_str();
      row.proof = "for a test";
      for (int64_t &fixed : row.fixed) fixed = -1;
      row.m_min = d.m_min;
      row.m_max = d.m_max;
      if (const std::string &name = d.schedule.layout; !name.empty()) {
        if (!by_name.count(name)) {
          layouts.emplace_back();
          layouts.back().name = name.c_str();
          layouts.back().version = "1";
          by_name[name] = &layouts.back();
        }
        row.layout = by_name[name];
      }
      rows.push_back(row);
      table.push_back(&rows.back());
    }
    pack.kernels = table.data();
    pack.count = static_cast<uint32_t>(table.size());
  }
};

}  // namespace

TEST_CASE("the default that dispatch takes is the one that tuner and emitter name") {
  int compared = 0;
  for (const schedules::Target &target : schedules::targets())
    for (const std::string &name : compiler::builtin_kernel_names()) {
      const runtime::RoleInfo *role = runtime::find_role(compiler::spec_hash(compiler::builtin_kernel(name)));
      if (!role) continue;
      CAPTURE(target.name);
      CAPTURE(name);
      const std::vector<schedules::Default> all = schedules::defaults(compiler::builtin_kernel(name), target);
      std::vector<schedules::Default> built_in;
      for (const schedules::Default &d : all)
        if (d.built_in) built_in.push_back(d);
      const DefaultsPack programs(*role, built_in), tuned(*role, all);
      const runtime::KernelSet untuned(runtime::KernelChoice::Tuned, 1, {&programs.pack});
      const runtime::KernelSet with_pack(runtime::KernelChoice::Tuned, 1, {&tuned.pack});
      for (int64_t m : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 127, 128, 1000, 65536}) {
        std::vector<int64_t> sizes(role->sizes.size(), 64);
        sizes[0] = m;
        const auto same = [&](const runtime::KernelSet &kernels, const std::vector<schedules::Default> &of,
                              const DefaultsPack &pack, const std::string &layout, Defaults which) {
          const schedules::Default *named = dispatched_default(all, m, layout, which);
          REQUIRE(named != nullptr);
          size_t row = 0;
          while (row < of.size() && !(of[row].schedule == named->schedule && of[row].m_min == named->m_min)) ++row;
          REQUIRE(row < of.size());
          const bt_layout *lies = layout.empty() ? nullptr : pack.by_name.at(layout);
          CHECK(kernels.find(role->role, sizes, lies) == pack.table[row]);
          ++compared;
        };
        same(untuned, built_in, programs, "", Defaults::BuiltIn);
        for (const auto &[layout, unused] : programs.by_name)
          same(untuned, built_in, programs, layout, Defaults::BuiltIn);
        for (const auto &[layout, unused] : tuned.by_name) same(with_pack, all, tuned, layout, Defaults::All);
      }
    }
  CHECK(compared > 1000);
  CHECK(dispatched_default({}, 1, "", Defaults::All) == nullptr);
}

TEST_CASE("where ranges overlap both take the narrowest, of equals the first") {
  const runtime::RoleInfo &role = runtime::role_info(runtime::Role::ResidualAdd);
  std::vector<schedules::Default> all;
  for (const auto &[m_min, m_max] : std::vector<std::pair<int64_t, int64_t>>{
           {1, INT64_MAX}, {1, 8}, {5, 8}, {5, 8}, {6, 1000}, {2, 6}, {1000, INT64_MAX}})
    all.push_back({{"llvm", "loops", {{"row", static_cast<int64_t>(all.size())}}, ""}, m_min, m_max});
  const DefaultsPack pack(role, all);
  const runtime::KernelSet kernels(runtime::KernelChoice::Tuned, 1, {&pack.pack});
  std::vector<int64_t> rows;
  for (const int64_t m : {1, 2, 4, 5, 6, 7, 8, 9, 999, 1000, 1001}) {
    const schedules::Default *named = dispatched_default(all, m, "", Defaults::BuiltIn);
    REQUIRE(named != nullptr);
    rows.push_back(named - all.data());
    std::vector<int64_t> sizes(role.sizes.size(), 64);
    sizes[0] = m;
    CHECK(kernels.find(role.role, sizes) == pack.table[static_cast<size_t>(rows.back())]);
  }
  CHECK(rows == std::vector<int64_t>{1, 5, 5, 2, 2, 2, 2, 4, 4, 4, 6});
}
