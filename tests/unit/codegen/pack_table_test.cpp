// The table of a linked pack says what the descriptors said, and the generated functions of the layouts do what the
// layouts' reference does.
#include "codegen/backend.h"
#include "compiler/library.h"
#include "compiler/printer.h"
#include "tests/unit/codegen/kernel_harness.h"

using namespace bittern;

namespace {

// A table needs kernels to point to; one per layout, none of which is called.
std::vector<codegen::Compiled> a_kernel_per_layout() {
  std::vector<codegen::Compiled> kernels;
  for (const schedules::Layout &layout : schedules::layouts()) {
    codegen::Compiled kernel = test::compile(compiler::builtin_kernel("residual_add"), "llvm.loops{}", "x86-64", {},
                                             "kernel_" + std::to_string(kernels.size()));
    kernel.descriptor.layout = layout.name;
    kernels.push_back(std::move(kernel));
  }
  return kernels;
}

std::vector<int8_t> random_trits(int64_t count) {
  std::mt19937 random(11);
  std::uniform_int_distribution<int> trit(-1, 1);
  std::vector<int8_t> trits(static_cast<size_t>(count));
  for (int8_t &t : trits) t = static_cast<int8_t>(trit(random));
  return trits;
}

}  // namespace

TEST_CASE("a row of the table is the descriptor") {
  const compiler::KernelSpec &spec = compiler::builtin_kernel("rmsnorm_quant");
  codegen::Compiled compiled = test::compile(spec, "llvm.loops{unroll=2}", "x86-64-avx2", {{"K", 96}});
  compiled.descriptor.m_min = 3;
  compiled.descriptor.m_max = 9;
  std::vector<std::string> objects = compiled.objects;
  objects.push_back(codegen::emit_pack_table({{compiled.descriptor, "the proof", 2, 87.5}}, "bt_pack_table",
                                             schedules::find_target("x86-64")));
  const test::Linked linked(objects, "bt_pack_table");
  CHECK(linked.find(compiled.descriptor.symbol) == nullptr);  // only the table is visible
  const auto *pack = static_cast<const bt_pack *>(linked.exported());
  CHECK(pack->abi_version == BT_ABI_VERSION);
  CHECK(pack->count == 1);
  CHECK(std::string(pack->generator) == "bittern " BITTERN_VERSION);
  const bt_kernel &kernel = *pack->kernels[0];
  CHECK(kernel.abi_version == BT_ABI_VERSION);
  CHECK(kernel.isa_needs == schedules::find_target("x86-64-avx2").isa_needs);
  CHECK(std::string(kernel.spec) == "rmsnorm_quant");
  CHECK(kernel.spec_hash == compiler::spec_hash(spec));
  CHECK(std::string(kernel.schedule) == "llvm.loops{unroll=2}");
  CHECK(std::string(kernel.backend) == "llvm");
  CHECK(std::string(kernel.target) == "x86-64-avx2");
  CHECK(std::string(kernel.proof) == "the proof");
  CHECK(kernel.fixed[0] == -1);
  CHECK(kernel.fixed[1] == 96);
  CHECK(kernel.m_min == 3);
  CHECK(kernel.m_max == 9);
  CHECK(kernel.threads == 2);
  CHECK(kernel.size_count == 2);
  CHECK(kernel.tensor_count == 5);
  CHECK(kernel.scalar_count == 1);
  CHECK(kernel.tile_size_index == compiled.descriptor.tile_size_index);
  CHECK(kernel.tile == compiled.descriptor.tile);
  CHECK(kernel.scratch_base == compiled.descriptor.scratch_base);
  CHECK(kernel.scratch_base > 0);
  for (int i = 0; i < BT_MAX_SIZES; ++i) CHECK(kernel.scratch_per[i] == compiled.descriptor.scratch_per[i]);
  CHECK(kernel.layout == nullptr);
  CHECK(kernel.roof_pct == 87.5);
  CHECK((kernel.fn != nullptr));
}

TEST_CASE("generated pack and unpack equal the layout's reference") {
  const test::LoadedPack pack(a_kernel_per_layout());
  for (uint32_t i = 0; i < pack.pack().count; ++i) {
    const bt_layout &generated = *pack.kernel(i).layout;
    const schedules::Layout &reference = schedules::layouts()[i];
    CHECK(reference.name == generated.name);
    CHECK(generated.row_tile == reference.row_tile);
    CHECK(std::string(generated.version) != "");
    for (const auto &[n, k] : {std::pair<int64_t, int64_t>{1, 1}, {9, 131}, {40, 256}, {67, 700}, {128, 128}}) {
      INFO(reference.name, " ", n, " x ", k);
      const auto bytes = static_cast<size_t>(reference.packed_bytes(n, k));
      REQUIRE(generated.packed_bytes(n, k) == static_cast<int64_t>(bytes));
      const std::vector<int8_t> trits = random_trits(n * k);
      std::vector<uint8_t> expected(bytes);
      reference.pack(trits.data(), k, 0, n, n, k, expected.data());

      test::Guarded source(trits.size(), true), packed(bytes, true), unpacked(trits.size(), true);
      std::memcpy(source.data(), trits.data(), trits.size());
      generated.pack(reinterpret_cast<const int8_t *>(source.data()), k, 0, n, n, k, packed.data());
      CHECK(std::memcmp(packed.data(), expected.data(), bytes) == 0);
      generated.unpack(packed.data(), 0, n, n, k, reinterpret_cast<int8_t *>(unpacked.data()), k);
      CHECK(std::memcmp(unpacked.data(), trits.data(), trits.size()) == 0);
    }
  }
}

TEST_CASE("rows can be packed and unpacked part by part") {
  const int64_t n = 100, k = 300, stride = 320;
  const test::LoadedPack pack(a_kernel_per_layout());
  const std::vector<int8_t> trits = random_trits(n * stride);
  for (uint32_t i = 0; i < pack.pack().count; ++i) {
    const bt_layout &layout = *pack.kernel(i).layout;
    INFO(layout.name);
    const auto bytes = static_cast<size_t>(layout.packed_bytes(n, k));
    std::vector<uint8_t> whole(bytes), parts(bytes);
    layout.pack(trits.data(), stride, 0, n, n, k, whole.data());
    std::vector<int8_t> back(static_cast<size_t>(n * k), 5);
    const int64_t step = layout.row_tile > 32 ? layout.row_tile : 32 / layout.row_tile * layout.row_tile;
    for (int64_t row = 0; row < n; row += step) {
      const int64_t rows = std::min(step, n - row);
      layout.pack(trits.data() + row * stride, stride, row, rows, n, k, parts.data());
      layout.unpack(whole.data(), row, rows, n, k, back.data() + row * k, k);
    }
    CHECK(whole == parts);
    bool same = true;
    for (int64_t row = 0; row < n; ++row)
      for (int64_t c = 0; c < k; ++c)
        same = same && back[static_cast<size_t>(row * k + c)] == trits[static_cast<size_t>(row * stride + c)];
    CHECK(same);
  }
}
