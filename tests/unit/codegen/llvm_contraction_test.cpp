// The contraction kernels that LLVM generates (gemv, gemm), run against the interpreter: every layout, odd shapes and
// tails, extremes of the operands, unseen kernel texts, with guard pages behind every tensor and sentinels in outputs.
#include <dlfcn.h>
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <random>

#include "codegen/backend.h"
#include "compiler/error.h"
#include "compiler/interpreter.h"
#include "compiler/library.h"
#include "compiler/parser.h"
#include "runtime/machine/machine.h"
#include "schedules/layout.h"
#include "schedules/space.h"

using namespace bittern;
using codegen::Compiled;
using compiler::KernelSpec;
using compiler::Sizes;
using compiler::TensorData;
using compiler::Type;
using schedules::Schedule;

namespace {

// Bytes that end right before a page nobody may touch, or begin right behind one.
class Guarded {
 public:
  Guarded(size_t bytes, bool at_end) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    length_ = (bytes + page - 1) / page * page + 2 * page;
    base_ = static_cast<uint8_t *>(mmap(nullptr, length_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    REQUIRE(base_ != MAP_FAILED);
    mprotect(base_ + page, length_ - 2 * page, PROT_READ | PROT_WRITE);
    data_ = at_end ? base_ + length_ - page - bytes : base_ + page;
    std::memset(base_ + page, 0xA5, length_ - 2 * page);
  }
  ~Guarded() { munmap(base_, length_); }
  Guarded(const Guarded &) = delete;
  Guarded &operator=(const Guarded &) = delete;
  uint8_t *data() { return data_; }

 private:
  size_t length_;
  uint8_t *base_, *data_;
};

// A compiled kernel that can be called.
class Loaded {
 public:
  Loaded(const KernelSpec &spec, const Schedule &schedule, const std::string &target, const Sizes &fixed = {})
      : compiled_(codegen::compile(
            {spec, schedule, schedules::find_target(target), fixed, 1, INT64_MAX, "kernel_under_test"})) {
    char path[] = "/tmp/bittern-contraction-XXXXXX";
    const int file = mkstemp(path);
    REQUIRE(file >= 0);
    close(file);
    codegen::link_shared(compiled_.objects, {"kernel_under_test"}, path);
    library_ = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    unlink(path);
    REQUIRE(library_ != nullptr);
    dlerror();
    function_ = reinterpret_cast<bt_kernel_fn>(dlsym(library_, "kernel_under_test"));
    REQUIRE(dlerror() == nullptr);
  }
  ~Loaded() { dlclose(library_); }
  Loaded(const Loaded &) = delete;
  Loaded &operator=(const Loaded &) = delete;

  const codegen::Descriptor &descriptor() const { return compiled_.descriptor; }
  void call(const bt_args &args) const { function_(&args); }

 private:
  Compiled compiled_;
  void *library_ = nullptr;
  bt_kernel_fn function_ = nullptr;
};

enum class Fill { Random, Ones, MinusOnes, Extremes, Lowest };

int trit_of(Fill fill, std::mt19937 &random) {
  switch (fill) {
    case Fill::Ones:
      return 1;
    case Fill::MinusOnes:
    case Fill::Lowest:
      return -1;
    default:
      return static_cast<int>(random() % 3) - 1;
  }
}

int activation_of(Fill fill, std::mt19937 &random) {
  switch (fill) {
    case Fill::Ones:
      return 127;
    case Fill::MinusOnes:
      return -127;
    case Fill::Lowest:
      return -128;
    case Fill::Extremes:
      return random() % 2 ? 127 : -128;
    default:
      return static_cast<int>(random() % 256) - 128;
  }
}

// Inputs and the interpreter's outputs for one kernel at one size.
struct Case {
  Case(const KernelSpec &spec_, Sizes sizes_, Fill fill) : spec(spec_), sizes(std::move(sizes_)) {
    std::mt19937 random(7);
    std::uniform_real_distribution<float> real(-2.0F, 2.0F);
    for (const compiler::Tensor *tensor : spec.arguments()) {
      if (tensor->role != compiler::Role::In) continue;
      TensorData data = compiler::make_tensor(*tensor, sizes);
      for (int64_t i = 0; i < data.elements(); ++i) {
        if (tensor->type == Type::Ternary) data.set_int(i, trit_of(fill, random));
        if (tensor->type == Type::I8) data.set_int(i, activation_of(fill, random));
        if (tensor->type == Type::I32) data.set_int(i, static_cast<int>(random() % 100));
        if (tensor->type == Type::F32) data.set_float(i, real(random));
      }
      tensors[tensor->name] = std::move(data);
    }
    compiler::interpret(spec, sizes, {}, tensors, compiler::Givens::Compute);
  }
  const KernelSpec &spec;
  Sizes sizes;
  std::map<std::string, TensorData> tensors;
};

// Runs the kernel on guarded copies, tile by tile in `parts` calls, and compares every output bit for bit.
std::string mismatch(const Loaded &kernel, const Case &c, const Schedule &schedule, int64_t parts, bool at_end) {
  const codegen::Descriptor &d = kernel.descriptor();
  const schedules::Layout &layout = schedules::find_layout(schedule.layout);
  std::vector<std::unique_ptr<Guarded>> memory;
  std::vector<bt_tensor> tensors;
  for (const compiler::Tensor *tensor : c.spec.arguments()) {
    const TensorData &data = c.tensors.at(tensor->name);
    bt_tensor t{};
    if (tensor->type == Type::Ternary) {
      const int64_t n = data.shape[0], k = data.shape[1];
      memory.push_back(std::make_unique<Guarded>(static_cast<size_t>(layout.packed_bytes(n, k)), at_end));
      layout.pack(reinterpret_cast<const int8_t *>(data.bytes.data()), k, 0, n, n, k, memory.back()->data());
    } else {
      const int64_t element = compiler::type_bytes(tensor->type), row = data.shape.back();
      const int64_t stride = (row + tensor->pad - 1) / tensor->pad * tensor->pad;
      const int64_t rows = data.elements() / std::max<int64_t>(1, row);
      memory.push_back(std::make_unique<Guarded>(static_cast<size_t>(rows * stride * element), at_end));
      if (tensor->role != compiler::Role::Out)
        for (int64_t r = 0; r < rows; ++r) {
          uint8_t *to = memory.back()->data() + r * stride * element;
          std::memset(to, 0, static_cast<size_t>(stride * element));
          std::memcpy(to, data.bytes.data() + r * row * element, static_cast<size_t>(row * element));
        }
      int64_t step = 1;
      for (size_t i = data.shape.size(); i-- > 0;) {
        t.stride[i] = step;
        step *= i + 1 == data.shape.size() ? stride : data.shape[i];
      }
    }
    t.data = memory.back()->data();
    tensors.push_back(t);
  }
  std::vector<int64_t> sizes;
  for (const std::string &name : c.spec.sizes) sizes.push_back(c.sizes.at(name));
  int64_t scratch_bytes = d.scratch_base;
  for (size_t i = 0; i < sizes.size(); ++i) scratch_bytes += d.scratch_per[i] * sizes[i];
  scratch_bytes = (scratch_bytes + 63) / 64 * 64;
  Guarded scratch(static_cast<size_t>(scratch_bytes), true);
  const int64_t tiles = (sizes[static_cast<size_t>(d.tile_size_index)] + d.tile - 1) / d.tile;
  for (int64_t part = 0; part < parts; ++part)
    kernel.call(
        {tensors.data(), sizes.data(), nullptr, tiles * part / parts, tiles * (part + 1) / parts, scratch.data()});
  size_t index = 0;
  for (const compiler::Tensor *tensor : c.spec.arguments()) {
    const size_t at = index++;
    if (tensor->role != compiler::Role::Out) continue;
    const TensorData &want = c.tensors.at(tensor->name);
    if (std::memcmp(tensors[at].data, want.bytes.data(), want.bytes.size()) == 0) continue;
    for (size_t i = 0; i < want.bytes.size(); ++i)
      if (static_cast<const uint8_t *>(tensors[at].data)[i] != want.bytes[i])
        return fmt::format("{} differs first at byte {} of {}", tensor->name, i, want.bytes.size());
  }
  return "";
}

void check(const KernelSpec &spec, const Schedule &schedule, const std::string &target,
           const std::vector<Sizes> &shapes, const std::vector<Fill> &fills, bool fix = false) {
  std::unique_ptr<Loaded> kernel;
  if (!fix) kernel = std::make_unique<Loaded>(spec, schedule, target);
  for (const Sizes &sizes : shapes) {
    if (fix) {
      Sizes fixed = sizes;
      fixed.erase("M");
      kernel = std::make_unique<Loaded>(spec, schedule, target, fixed);
    }
    for (const Fill fill : fills) {
      const Case c(spec, sizes, fill);
      std::string where = fmt::format("{} {} {}", spec.name, schedules::print_schedule(schedule), target);
      for (const auto &[name, value] : sizes) where += fmt::format(" {}={}", name, value);
      CAPTURE(where);
      CAPTURE(static_cast<int>(fill));
      CHECK(mismatch(*kernel, c, schedule, 1, true) == "");
      CHECK(mismatch(*kernel, c, schedule, 2, false) == "");
    }
  }
}

Schedule gemv(const std::string &layout, int64_t rows, int64_t tokens, int64_t unroll = 1, int64_t scaled = 0) {
  return {"llvm",
          "gemv",
          {{"rows", rows},
           {"tokens", tokens},
           {"chunk", scaled ? 8 : 16},
           {"unroll", unroll},
           {"prefetch", 1024},
           {"hint", 1},
           {"scaled", scaled}},
          layout};
}
Schedule gemm(const std::string &layout, int64_t nr, int64_t mt, int64_t mb = 32, int64_t kb = 256) {
  return {"llvm", "gemm", {{"nr", nr}, {"mt", mt}, {"nb", 96}, {"mb", mb}, {"kb", kb}, {"unroll", 2}}, layout};
}

const char *const kAvx2 = "x86-64-avx2", *const kBaseline = "x86-64";
// The targets of the table that this machine runs.
std::vector<const char *> runnable_targets() {
  std::vector<const char *> names;
  for (const schedules::Target &target : schedules::targets())
    if ((target.isa_needs & ~runtime::machine_isa()) == 0) names.push_back(target.name.c_str());
  return names;
}

std::vector<Sizes> dense_shapes() {
  return {{{"M", 1}, {"N", 1}, {"K", 1}},     {{"M", 1}, {"N", 67}, {"K", 64}},   {{"M", 3}, {"N", 33}, {"K", 129}},
          {{"M", 2}, {"N", 130}, {"K", 192}}, {{"M", 5}, {"N", 100}, {"K", 447}}, {{"M", 9}, {"N", 40}, {"K", 2300}}};
}
std::vector<Sizes> grouped_shapes() {
  return {{{"M", 1}, {"N", 5}, {"K", 64}, {"G", 64}},
          {{"M", 3}, {"N", 70}, {"K", 192}, {"G", 64}},
          {{"M", 5}, {"N", 33}, {"K", 2304}, {"G", 128}},
          {{"M", 2}, {"N", 9}, {"K", 576}, {"G", 192}}};
}
std::vector<std::string> layout_names() {
  std::vector<std::string> names;
  for (const schedules::Layout &layout : schedules::layouts()) names.push_back(layout.name);
  return names;
}
int64_t units(const std::string &layout) {
  const schedules::Layout &found = schedules::find_layout(layout);
  return found.k_tile == 16 ? found.row_tile / 8 : found.row_tile;
}

}  // namespace

TEST_CASE("every layout: one token, many tokens, dynamic sizes, every target") {
  const KernelSpec &dense = compiler::builtin_kernel("w2a8_matmul");
  const KernelSpec &grouped = compiler::builtin_kernel("w2a8_group_matmul");
  for (const std::string &layout : layout_names()) {
    const int64_t own = units(layout);
    for (const char *target : runnable_targets()) {
      check(dense, gemv(layout, own, 1), target, dense_shapes(), {Fill::Random});
      check(dense, gemm(layout, 4, 2), target, dense_shapes(), {Fill::Random});
      check(grouped, gemv(layout, own, 1), target, grouped_shapes(), {Fill::Random});
      check(grouped, gemm(layout, 3, 3, 32), target, grouped_shapes(), {Fill::Random});
    }
    check(dense, gemv(layout, std::max<int64_t>(own, 2), 4, 2), kAvx2, dense_shapes(), {Fill::Random});
    check(dense, gemv(layout, 8, 1, 2), kAvx2, dense_shapes(), {Fill::Random});
    check(dense, gemv(layout, std::max<int64_t>(own, 2), 3, 2, 1), kAvx2, dense_shapes(), {Fill::Random});
  }
}

TEST_CASE("a step may take a part of what a layout keeps together") {
  const KernelSpec &dense = compiler::builtin_kernel("w2a8_matmul");
  for (const char *layout : {"i2q32", "i2q16", "i2r4", "i2r8"}) {
    check(dense, gemv(layout, 1, 4), kAvx2, dense_shapes(), {Fill::Random});
    check(dense, gemv(layout, 2, 4), kAvx2, dense_shapes(), {Fill::Random});
  }
}

TEST_CASE("sizes fixed at compile time") {
  const KernelSpec &dense = compiler::builtin_kernel("w2a8_matmul");
  const KernelSpec &grouped = compiler::builtin_kernel("w2a8_group_matmul");
  for (const char *layout : {"i2q32", "i2r4"}) {
    check(dense, gemv(layout, 4, 2, 2), kAvx2, dense_shapes(), {Fill::Random}, true);
    check(dense, gemm(layout, 4, 2, 128, 512), kAvx2, dense_shapes(), {Fill::Random}, true);
    check(grouped, gemv(layout, 4, 2, 2), kAvx2, grouped_shapes(), {Fill::Random}, true);
    check(grouped, gemm(layout, 2, 4, 32, 512), kAvx2, grouped_shapes(), {Fill::Random}, true);
  }
}

TEST_CASE("extremes stay inside int16 and int32 at the deepest K") {
  const KernelSpec &dense = compiler::builtin_kernel("w2a8_matmul");
  const std::vector<Sizes> deep = {{{"M", 2}, {"N", 9}, {"K", 16384}}};
  const std::vector<Fill> fills = {Fill::Ones, Fill::MinusOnes, Fill::Extremes, Fill::Lowest};
  for (const char *target : {kAvx2, schedules::host_target(runtime::machine_isa()).name.c_str()}) {
    for (const char *layout : {"i2q32", "i2r4"}) {
      check(dense, gemv(layout, 4, 2), target, deep, fills);
      check(dense, gemv(layout, 4, 1, 1, 1), target, deep, fills);
      check(dense, gemm(layout, 4, 2, 128, 2048), target, deep, fills);
    }
  }
  check(dense, gemv("i2q8", 1, 1), kBaseline, deep, fills);
}

TEST_CASE("kernels nobody has seen before") {
  const KernelSpec bias = compiler::parse_kernel(R"(
kernel biased(M, N, K) {
  in W : ternary[N, K]
  in A : i8[M, K] pad 64
  in s : f32[M]
  in b : f32[N]
  out Y : f32[M, N]
  acc[m, n] = sum(k: K) i32(A[m, k]) * i32(W[n, k])
  Y[m, n] = min(max(f32(acc[m, n]) * s[m] + b[n], -6.0), 6.0)
})",
                                                 "bias.bk");
  const KernelSpec two = compiler::parse_kernel(R"(
kernel two_sums(M, N, K) {
  in U : ternary[N, K]
  in V : ternary[N, K]
  in A : i8[M, K] pad 64
  in x : f32[M, K]
  out Y : f32[M, N]
  out S : i32[M, N]
  u[i, j] = sum(k: K) i32(U[j, k]) * i32(A[i, k])
  v[i, j] = sum(k: K) i32(V[j, k]) * i32(A[i, k])
  norm[i] = sum(k: K) x[i, k] * x[i, k]
  top[i] = max(k: K) x[i, k]
  Y[m, n] = f32(u[m, n]) * f32(max(v[m, n], 0)) / (norm[m] + top[m])
  S[p, q] = u[p, q] + v[p, q]
})",
                                                "two.bk");
  const KernelSpec vector = compiler::parse_kernel(R"(
kernel vector_only(O, I) {
  in W : ternary[O, I]
  in a : i8[I] pad 64
  in w : f32[O]
  out y : f32[O]
  y[o] = f32(sum(i: I) i32(W[o, i]) * i32(a[i])) * w[o]
})",
                                                   "vector.bk");
  const KernelSpec groups = compiler::parse_kernel(R"(
kernel groups(M, N, K, G) {
  require G % 64 == 0
  require K % G == 0
  in W : ternary[N, K]
  in ws : f32[N, K / G]
  in as : f32[M, K / G]
  in A : i8[M, K] pad 64
  out Y : f32[M, N]
  Y[m, n] = sum(g: K / G) (f32(sum(j: G) i32(W[n, g * G + j]) * i32(A[m, g * G + j])) * ws[n, g]) * as[m, g]
})",
                                                   "groups.bk");
  for (const char *layout : {"i2q16", "i2r2"}) {
    check(bias, gemv(layout, 2, 2), kAvx2, dense_shapes(), {Fill::Random});
    check(bias, gemm(layout, 4, 2), kBaseline, dense_shapes(), {Fill::Random});
    check(two, gemv(layout, 2, 2), kAvx2, dense_shapes(), {Fill::Random});
    check(two, gemm(layout, 4, 2), kAvx2, dense_shapes(), {Fill::Random});
    check(vector, gemv(layout, 4, 1), kAvx2, {{{"O", 70}, {"I", 300}}, {{"O", 3}, {"I", 64}}}, {Fill::Random});
    check(groups, gemv(layout, 2, 2), kAvx2, grouped_shapes(), {Fill::Random});
    check(groups, gemm(layout, 3, 2), kAvx2, grouped_shapes(), {Fill::Random});
  }
}

TEST_CASE("rows picked through an index list") {
  const KernelSpec picked = compiler::parse_kernel(R"(
kernel picked(M, N, K, P) {
  in W : ternary[N, K]
  in ws : f32[N]
  in A : i8[M, K] pad 64
  in rows : i32[P] range 0 .. N
  out Y : f32[M, P]
  Y[m, p] = f32(sum(k: K) i32(W[rows[p], k]) * i32(A[m, k])) * ws[rows[p]]
})",
                                                   "picked.bk");
  const KernelSpec halves = compiler::parse_kernel(R"(
kernel halves(M, F, K) {
  in W : ternary[2 * F, K]
  in A : i8[M, K] pad 64
  out Y : i32[M, F]
  gate[m, f: F] = sum(k: K) i32(W[f, k]) * i32(A[m, k])
  up[m, f: F] = sum(k: K) i32(W[f + F, k]) * i32(A[m, k])
  Y[m, f] = max(gate[m, f], 0) * up[m, f]
})",
                                                   "halves.bk");
  const std::vector<Sizes> lists = {{{"M", 1}, {"N", 100}, {"K", 300}, {"P", 37}},
                                    {{"M", 3}, {"N", 101}, {"K", 64}, {"P", 130}}};
  const std::vector<Sizes> fused = {{{"M", 1}, {"F", 37}, {"K", 300}}, {{"M", 3}, {"F", 70}, {"K", 128}}};
  for (const char *layout : {"i2r1", "i2r4", "i2r8"}) {
    check(picked, gemv(layout, 4, 2), kAvx2, lists, {Fill::Random});
    check(picked, gemm(layout, 2, 4), kAvx2, lists, {Fill::Random});
    check(halves, gemv(layout, 2, 2), kAvx2, fused, {Fill::Random});
    check(halves, gemm(layout, 2, 4), kBaseline, fused, {Fill::Random});
  }
  CHECK_THROWS_WITH_AS(Loaded(picked, gemv("i2q32", 4, 1), kAvx2),
                       "llvm.gemv: layout i2q32 keeps 8 rows together, and W is read row by row", Error);
}

TEST_CASE("what the contraction templates cannot walk is refused with the reason") {
  const KernelSpec gather = compiler::parse_kernel(R"(
kernel gathered(M, N, K, L) {
  in W : ternary[N, K]
  in A : i8[M, L] pad 64
  in list : i32[K] range 0 .. L
  out Y : i32[M, N]
  Y[m, n] = sum(k: K) i32(W[n, k]) * i32(A[m, list[k]])
})",
                                                   "gather.bk");
  CHECK_THROWS_WITH_AS(
      Loaded(gather, gemv("i2r4", 4, 1), kAvx2),
      "llvm.gemv cannot lower kernel gathered: it has no sum of ternary weights times int8 activations", Error);
}
