// llvm.loops lowers every kernel: all built-in texts and texts it has never seen, on every target that this machine
// runs, bit for bit as the interpreter.
#include <fstream>
#include <iterator>

#include "codegen/backend.h"
#include "compiler/library.h"
#include "compiler/parser.h"
#include "tests/unit/codegen/kernel_harness.h"

using namespace bittern;
using compiler::KernelSpec;
using compiler::Sizes;

namespace {

bool has_ternary(const KernelSpec &spec) {
  for (const compiler::Tensor &tensor : spec.tensors)
    if (tensor.type == compiler::Type::Ternary) return true;
  return false;
}

std::string with_layout(const KernelSpec &spec, const std::string &parameters) {
  std::string all = parameters;
  if (has_ternary(spec)) all = "layout=i2r4" + std::string(all.empty() ? "" : ",") + all;
  return "llvm.loops{" + all + "}";
}

void check(const KernelSpec &spec, const std::vector<Sizes> &all_sizes, const std::string &parameters = "") {
  for (const std::string &target : test::runnable_targets()) {
    const test::LoadedPack pack({test::compile(spec, with_layout(spec, parameters), target)});
    uint32_t seed = 1;
    for (const Sizes &sizes : all_sizes) {
      const test::Problem problem = test::make_problem(spec, sizes, seed++);
      for (const bool at_end : {true, false}) {
        INFO(spec.name, " on ", target, " {", parameters, "} run ", seed);
        CHECK(test::run(spec, pack.kernel(), sizes, problem, at_end) == "");
      }
    }
  }
}

std::vector<Sizes> shapes_of(const std::string &kernel) {
  if (kernel.starts_with("attention_window"))
    return {{{"M", 3}, {"H", 4}, {"G", 2}, {"D", 20}, {"B", 2}, {"T", 2}, {"NP", 5}, {"W", 21}},
            {{"M", 5}, {"H", 6}, {"G", 3}, {"D", 100}, {"B", 3}, {"T", 3}, {"NP", 9}, {"W", 1}},
            {{"M", 4}, {"H", 2}, {"G", 1}, {"D", 64}, {"B", 1}, {"T", 7}, {"NP", 7}, {"W", 64}},
            {{"M", 2}, {"H", 2}, {"G", 1}, {"D", 8}, {"B", 1}, {"T", 2}, {"NP", 3}, {"W", 1000}}};
  if (kernel == "rmsnorm_heads") return {{{"M", 3}, {"H", 5}, {"D", 37}}, {{"M", 1}, {"H", 2}, {"D", 128}}};
  if (kernel == "group_sums") return {{{"M", 3}, {"K", 256}, {"G", 64}}, {{"M", 1}, {"K", 384}, {"G", 128}}};
  if (kernel.starts_with("attention"))
    return {{{"M", 3}, {"H", 4}, {"G", 2}, {"D", 20}, {"B", 2}, {"T", 2}, {"NP", 5}},
            {{"M", 5}, {"H", 6}, {"G", 3}, {"D", 100}, {"B", 3}, {"T", 3}, {"NP", 9}},
            {{"M", 1}, {"H", 2}, {"G", 1}, {"D", 128}, {"B", 1}, {"T", 7}, {"NP", 7}}};
  if (kernel.starts_with("rope")) return {{{"M", 3}, {"H", 2}, {"R", 19}}, {{"M", 1}, {"H", 5}, {"R", 32}}};
  if (kernel.starts_with("kv_store")) return {{{"M", 3}, {"H", 2}, {"D", 37}}, {{"M", 1}, {"H", 3}, {"D", 64}}};
  if (kernel.starts_with("embed")) return {{{"M", 3}, {"V", 11}, {"K", 37}}, {{"M", 1}, {"V", 5}, {"K", 600}}};
  if (kernel.starts_with("ffn")) return {{{"M", 3}, {"F", 37}}, {{"M", 1}, {"F", 600}}};
  if (kernel == "w2a8_group_matmul") return {{{"M", 3}, {"N", 9}, {"K", 256}, {"G", 64}}};
  if (kernel == "w2a8_matmul") return {{{"M", 3}, {"N", 9}, {"K", 131}}, {{"M", 1}, {"N", 5}, {"K", 256}}};
  if (kernel.starts_with("head"))
    return {{{"M", 5}, {"N", 70}, {"K", 131}}, {{"M", 1}, {"N", 7}, {"K", 256}}, {{"M", 2}, {"N", 133}, {"K", 15}}};
  std::vector<Sizes> shapes = {{{"M", 3}}, {{"M", 1}}, {{"M", 2}}};
  for (const std::string &size : compiler::builtin_kernel(kernel).sizes)
    if (size != "M") shapes[0][size] = 131, shapes[1][size] = 640, shapes[2][size] = 5;
  return shapes;
}

KernelSpec read_kernel(const std::string &name) {
  const std::string path = std::string(BITTERN_TEST_DATA) + "/kernels/" + name + ".bk";
  std::ifstream file(path);
  REQUIRE(file.good());
  return compiler::parse_kernel(std::string{std::istreambuf_iterator<char>(file), {}}, path);
}

}  // namespace

TEST_CASE("one wrong bit is noticed") {
  const KernelSpec &spec = compiler::builtin_kernel("residual_add");
  const test::LoadedPack pack({test::compile(spec, "llvm.loops{}", "x86-64")});
  const Sizes sizes = {{"M", 2}, {"K", 21}};
  test::Problem problem = test::make_problem(spec, sizes, 3);
  CHECK(test::run(spec, pack.kernel(), sizes, problem, true) == "");
  problem.tensors.at("Y").bytes.back() ^= 1;
  CHECK(test::run(spec, pack.kernel(), sizes, problem, true).starts_with("Y[1, 20] is "));
}

TEST_CASE("every built-in kernel equals the interpreter") {
  for (const std::string &name : compiler::builtin_kernel_names())
    check(compiler::builtin_kernel(name), shapes_of(name));
}

TEST_CASE("every choice of a schedule gives the same bits") {
  for (const char *parameters :
       {"rows=1,tokens=1", "rows=2,tokens=2,prefetch=1024", "rows=4,tokens=2,unroll=2", "rows=1,tokens=4,prefetch=4096",
        "rows=8,unroll=4,prefetch=1024", "rows=3,tile=4", "parallel=0,tile=1"})
    for (const char *name : {"head_bf16", "head_f32", "head_int8"})
      check(compiler::builtin_kernel(name), shapes_of(name), parameters);
  for (const char *parameters : {"unroll=4,tile=16", "parallel=0,tile=1,unroll=2"})
    for (const char *name : {"ffn_silu", "residual_add", "rope", "embed_bf16"})
      check(compiler::builtin_kernel(name), shapes_of(name), parameters);
  for (const char *name : {"attention", "attention_f16", "attention_window"})
    check(compiler::builtin_kernel(name), shapes_of(name), "parallel=0,tile=1,rows=2");
}

TEST_CASE("sizes that are fixed become constants and change nothing") {
  const Sizes sizes = {{"M", 2}, {"N", 37}, {"K", 96}};
  const KernelSpec &spec = compiler::builtin_kernel("head_bf16");
  const test::LoadedPack pack(
      {test::compile(spec, "llvm.loops{prefetch=1024}", "x86-64-avx2", {{"N", 37}, {"K", 96}})});
  CHECK(pack.kernel().fixed[0] == -1);
  CHECK(pack.kernel().fixed[1] == 37);
  CHECK(pack.kernel().fixed[2] == 96);
  CHECK(test::run(spec, pack.kernel(), sizes, test::make_problem(spec, sizes, 7), true) == "");
}

TEST_CASE("tiles leave work for several threads, for one token and for many") {
  struct Expected {
    const char *kernel, *size;
    int64_t tile;
  };
  for (const Expected &row : {Expected{"rmsnorm_quant", "M", 1},
                              {"ffn_relu2", "F", 256},
                              {"head_bf16", "N", 64},
                              {"attention", "H", 1},
                              {"rope", "H", 1},
                              {"residual_add", "K", 256}}) {
    const KernelSpec &spec = compiler::builtin_kernel(row.kernel);
    const codegen::Descriptor descriptor = test::compile(spec, "llvm.loops{}", "x86-64").descriptor;
    INFO(row.kernel);
    CHECK(spec.sizes[static_cast<size_t>(descriptor.tile_size_index)] == row.size);
    CHECK(descriptor.tile == row.tile);
  }
}

TEST_CASE("kernels that exist only as text") {
  check(read_kernel("bias_clamp"), {{{"M", 3}, {"N", 9}, {"K", 131}}});
  check(read_kernel("gather_rows"), {{{"M", 3}, {"R", 5}, {"N", 9}, {"K", 131}}});
  check(read_kernel("gather_columns"), {{{"M", 3}, {"N", 9}, {"K", 131}, {"C", 21}}});
  check(read_kernel("two_sums"), {{{"M", 3}, {"N", 9}, {"K", 131}}});
}
