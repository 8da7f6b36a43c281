// halide.loops: every float kernel of the library with sizes open and fixed, odd lengths and tails, against the
// interpreter, bit for bit.
#include "codegen/backend.h"
#include "compiler/printer.h"
#include "halide_harness.h"

using namespace halide_test;

namespace {

struct Row {
  const char *kernel;
  std::vector<Sizes> shapes;
  std::vector<const char *> open;  // sizes that a tuned kernel leaves open
};

std::vector<Sizes> rows_of(const char *length) {
  return {{{"M", 1}, {length, 1}}, {{"M", 3}, {length, 67}}, {{"M", 2}, {length, 256}}, {{"M", 5}, {length, 131}}};
}
std::vector<Sizes> heads() {
  return {{{"M", 1}, {"N", 1}, {"K", 1}}, {{"M", 3}, {"N", 70}, {"K", 33}}, {{"M", 6}, {"N", 129}, {"K", 160}}};
}
std::vector<Sizes> attention() {
  return {{{"M", 1}, {"H", 2}, {"G", 1}, {"D", 8}, {"B", 1}, {"T", 1}, {"NP", 1}},
          {{"M", 3}, {"H", 4}, {"G", 2}, {"D", 20}, {"B", 2}, {"T", 3}, {"NP", 5}},
          {{"M", 5}, {"H", 2}, {"G", 2}, {"D", 64}, {"B", 3}, {"T", 2}, {"NP", 4}}};
}
// attention() with a window that no query, some queries and every query fills.
std::vector<Sizes> windows() {
  std::vector<Sizes> sizes = attention();
  sizes[0]["W"] = 40, sizes[1]["W"] = 17, sizes[2]["W"] = 1;
  return sizes;
}

const std::vector<Row> &table() {
  static const std::vector<Row> rows = {
      {"rmsnorm_quant", rows_of("K"), {"M"}},
      {"rmsnorm", rows_of("K"), {"M"}},
      {"absmax_quant", rows_of("K"), {"M"}},
      {"residual_add", rows_of("K"), {"M"}},
      {"ffn_relu2", rows_of("F"), {"M"}},
      {"ffn_silu", rows_of("F"), {"M"}},
      {"ffn_gelu_tanh", rows_of("F"), {"M"}},
      {"rope", {{{"M", 1}, {"H", 1}, {"R", 1}}, {{"M", 3}, {"H", 5}, {"R", 20}}}, {"M"}},
      {"rope_f16", {{{"M", 1}, {"H", 1}, {"R", 1}}, {{"M", 3}, {"H", 5}, {"R", 20}}}, {"M"}},
      {"kv_store", {{{"M", 2}, {"H", 3}, {"D", 21}}}, {"M"}},
      {"kv_store_f16", {{{"M", 2}, {"H", 3}, {"D", 21}}}, {"M"}},
      {"embed_bf16", {{{"M", 3}, {"V", 9}, {"K", 70}}}, {"M", "V"}},
      {"embed_f32", {{{"M", 3}, {"V", 9}, {"K", 70}}}, {"M", "V"}},
      {"head_bf16", heads(), {"M"}},
      {"head_f32", heads(), {"M"}},
      {"head_int8", heads(), {"M"}},
      {"attention", attention(), {"M", "B", "T", "NP"}},
      {"attention_f16", attention(), {"M", "B", "T", "NP"}},
      {"attention_window", windows(), {"M", "B", "T", "NP"}},
      {"attention_window_f16", windows(), {"M", "B", "T", "NP"}},
      {"rmsnorm_heads", {{{"M", 2}, {"H", 3}, {"D", 21}}, {{"M", 1}, {"H", 2}, {"D", 64}}}, {"M"}},
      {"group_sums", {{{"M", 3}, {"K", 256}, {"G", 64}}}, {"M"}},
  };
  return rows;
}

Schedule loops(const std::map<std::string, int64_t> &params = {}) { return {"halide", "loops", params, ""}; }

}  // namespace

TEST_CASE("every float kernel with its sizes open") {
  for (const Row &row : table()) {
    const KernelSpec &spec = compiler::builtin_kernel(row.kernel);
    CAPTURE(row.kernel);
    const Loaded kernel(spec, loops());
    for (const Sizes &sizes : row.shapes) check(kernel, spec, loops(), sizes, {Fill::Random, Fill::Extremes});
  }
}

TEST_CASE("every float kernel with its sizes fixed, other schedules") {
  for (const Row &row : table()) {
    const KernelSpec &spec = compiler::builtin_kernel(row.kernel);
    CAPTURE(row.kernel);
    Sizes fixed = row.shapes.back();
    for (const char *open : row.open) fixed.erase(open);
    const bool has_sums = compiler::print_kernel(spec).find("sum(") != std::string::npos;
    const Schedule schedule = has_sums ? loops({{"width", 8}, {"rows", 2}, {"tokens", 2}}) : loops({{"width", 8}});
    const Loaded kernel(spec, schedule, fixed);
    check(kernel, spec, schedule, row.shapes.back(), {Fill::Random, Fill::Zeros});
  }
}
