// See self_check.h. Matrix kernels run on single tiles of the real weights; the other kernels are small and run whole,
// on made-up activations.
#include "runtime/device/cpu/self_check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <set>

#include "runtime/io/float_formats.h"
#include "runtime/kernels/launch.h"
#include "runtime/kernels/scalar/scalar.h"

namespace bittern::runtime {
namespace {

constexpr int64_t kRows = 64;    // rows of a matrix that are checked
constexpr int64_t kTokens = 6;   // tokens of a larger M that are compared
constexpr int64_t kSmallM = 20;  // largest M for kernels that are not matrix products

// Numbers in [-1, 1), the same on every machine.
class Noise {
 public:
  float next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<float>(static_cast<int32_t>(state_ >> 32)) * 0x1p-31f;
  }
  void fill(std::vector<float> &values) {
    for (float &v : values) v = next();
  }

 private:
  uint64_t state_ = 20240601;
};

const bt_kernel &scalar_kernel(Role role) { return *bt_scalar_pack()->kernels[static_cast<size_t>(role)]; }

// Scratch for one call.
class Temporary {
 public:
  Temporary(const bt_kernel &kernel, const int64_t *sizes) : scratch_(1) { scratch_.reserve(kernel, sizes); }
  void *get() const { return scratch_.of(0); }

 private:
  Scratch scratch_;
};

void call(const bt_kernel &kernel, const std::vector<bt_tensor> &tensors, const int64_t *sizes, const float *scalars,
          int64_t tile_begin, int64_t tile_end) {
  const Temporary scratch(kernel, sizes);
  const bt_args args{tensors.data(), sizes, scalars, tile_begin, tile_end, scratch.get()};
  kernel.fn(&args);
}

void call(const bt_kernel &kernel, const std::vector<bt_tensor> &tensors, const int64_t *sizes, const float *scalars) {
  call(kernel, tensors, sizes, scalars, 0, bt_tile_count(&kernel, sizes));
}

// The matrix or head of a step, whose rows can be checked.
struct Rows {
  const bt_layout *layout = nullptr;  // of a ternary one
  const uint8_t *data = nullptr;
  const float *scales = nullptr;  // of a ternary or an int8 one
  int64_t row_bytes = 0, group = 0;
  bool ternary() const { return layout != nullptr; }
  bool int8() const { return !layout && scales; }
};

// Activations for M tokens as the quantiser would leave them, or as floats. Sums are of whole rows, or of groups.
struct Activations {
  std::vector<float> x, inverse;
  std::vector<int8_t> codes;
  std::vector<int32_t> sums;

  Activations(int64_t m, int64_t k, int64_t group, Noise &noise)
      : x(static_cast<size_t>(m * k)),
        inverse(static_cast<size_t>(m)),
        codes(static_cast<size_t>(m * padded(k))),
        sums(static_cast<size_t>(m)) {
    noise.fill(x);
    const bt_tensor q = tensor(codes.data(), {padded(k), 1});
    const int64_t sizes[] = {m, k, group};
    call(scalar_kernel(Role::AbsmaxQuant), {tensor(x.data(), {k, 1}), q, tensor(inverse.data()), tensor(sums.data())},
         sizes, nullptr);
    if (group == 0) return;
    sums.resize(static_cast<size_t>(m * (k / group)));
    call(scalar_kernel(Role::GroupSums), {q, tensor(sums.data(), {k / group, 1})}, sizes, nullptr);
  }
};

// The tiles whose rows are compared: first, last (the tail), and others spread between them.
std::set<int64_t> tiles_to_check(int64_t tiles, int64_t tile) {
  const int64_t wanted = std::clamp<int64_t>(kRows / tile, 2, 16);
  std::set<int64_t> chosen = {0, tiles - 1};
  for (int64_t i = 1; i + 1 < wanted; ++i) chosen.insert(i * tiles / wanted);
  return chosen;
}

// Whether one kernel gives the scalar kernel's bits for m tokens on some tiles of a matrix.
bool matrix_rows_equal(const Choice &choice, const bt_kernel &kernel, const Rows &rows, int64_t m, Noise &noise) {
  const int64_t n = choice.need.sizes[1], k = choice.need.sizes[2], group = rows.group;
  const int64_t per_row = group > 0 ? k / group : 1;  // scales of a row, sums of a token
  const auto strided = [&](const auto *data) { return group > 0 ? tensor(data, {per_row, 1}) : tensor(data); };
  const Activations a(m, k, group, noise);
  std::vector<float> out(static_cast<size_t>(m * n), NAN);
  int64_t sizes[] = {m, n, k, group};
  const bt_tensor codes = tensor(a.codes.data(), {padded(k), 1}), inverse = tensor(a.inverse.data()),
                  sums = strided(a.sums.data()), x = tensor(a.x.data(), {k, 1}), y = tensor(out.data(), {n, 1});
  std::vector<bt_tensor> tensors;
  if (rows.ternary())
    tensors = {tensor(rows.data), strided(rows.scales), codes, inverse, sums, y};
  else if (rows.int8())
    tensors = {tensor(rows.data, {k, 1}), tensor(rows.scales), codes, inverse, y};
  else
    tensors = {tensor(rows.data, {k, 1}), x, y};

  // A few tokens, the first and the last among them, are compared.
  std::set<int64_t> tokens;
  for (int64_t i = 0; i < std::min(m, kTokens); ++i) tokens.insert(m <= kTokens ? i : i * (m - 1) / (kTokens - 1));

  for (int64_t tile : tiles_to_check(bt_tile_count(&kernel, sizes), kernel.tile)) {
    call(kernel, tensors, sizes, nullptr, tile, tile + 1);
    const int64_t row0 = tile * kernel.tile, row_end = std::min(n, row0 + kernel.tile);
    // A large tile is checked at its two ends.
    for (int64_t from = row0; from < row_end;
         from = from + kRows / 2 < row_end - kRows / 2 ? row_end - kRows / 2 : row_end) {
      const int64_t count = std::min(kRows / 2, row_end - from);
      std::vector<float> reference(static_cast<size_t>(count));
      std::vector<uint8_t> packed;
      bt_tensor w;
      if (rows.ternary()) {
        // Unpacking starts at a multiple of the layout's row tile.
        const bt_layout &layout = *rows.layout;
        const int64_t aligned = from / layout.row_tile * layout.row_tile;
        std::vector<int8_t> trits(static_cast<size_t>((from + count - aligned) * k));
        layout.unpack(rows.data, aligned, from + count - aligned, n, k, trits.data(), k);
        packed.resize(static_cast<size_t>(scalar::kRowsLayout.packed_bytes(count, k)));
        scalar::kRowsLayout.pack(trits.data() + (from - aligned) * k, k, 0, count, count, k, packed.data());
        w = tensor(packed.data());
      } else {
        w = tensor(rows.data + from * rows.row_bytes, {k, 1});
      }
      for (int64_t token : tokens) {
        const int64_t part[] = {1, count, k, group};
        const bt_tensor code = tensor(a.codes.data() + token * padded(k), {padded(k), 1}),
                        inv = tensor(a.inverse.data() + token), sum = strided(a.sums.data() + token * per_row),
                        result = tensor(reference.data(), {count, 1});
        std::vector<bt_tensor> plain;
        if (rows.ternary())
          plain = {w, strided(rows.scales + from * per_row), code, inv, sum, result};
        else if (rows.int8())
          plain = {w, tensor(rows.scales + from), code, inv, result};
        else
          plain = {w, tensor(a.x.data() + token * k, {k, 1}), result};
        call(scalar_kernel(choice.need.role), plain, part, nullptr);
        if (std::memcmp(reference.data(), out.data() + token * n + from, static_cast<size_t>(count) * sizeof(float)) !=
            0)
          return false;
      }
    }
  }
  return true;
}

// Made-up inputs and two sets of outputs for a role that is not a matrix product.
class SmallProblem {
 public:
  SmallProblem(const KernelNeed &need, int64_t m, float eps) : need_(need), m_(m) {
    sizes_ = need.sizes;
    sizes_[0] = m;
    scalar_ = eps;
    const auto &s = sizes_;
    switch (need.role) {
      case Role::RmsNormQuant:
        input(m * s[1], {s[1], 1}), input(s[1]);
        output(m * padded(s[1]), {padded(s[1]), 1}, 1), output(m), output(m);
        break;
      case Role::AbsmaxQuant:
        input(m * s[1], {s[1], 1});
        output(m * padded(s[1]), {padded(s[1]), 1}, 1), output(m), output(m);
        break;
      case Role::RmsNorm:
        input(m * s[1], {s[1], 1}), input(s[1]), output(m * s[1], {s[1], 1});
        break;
      case Role::RmsNormHeads:
        input(m * s[1] * s[2], {s[1] * s[2], s[2], 1}), input(s[2]), output(m * s[1] * s[2], {s[1] * s[2], s[2], 1});
        break;
      case Role::GroupSums:
        codes(m, s[1]), output(m * (s[1] / s[2]), {s[1] / s[2], 1});
        break;
      case Role::Rope:
      case Role::RopeF16:
        input(m * s[1] * 2 * s[2], {s[1] * 2 * s[2], 2 * s[2], s[2], 1}), input(m * s[2], {s[2], 1}),
            input(m * s[2], {s[2], 1});
        output(m * s[1] * 2 * s[2], {s[1] * 2 * s[2], 2 * s[2], s[2], 1}, need.role == Role::Rope ? 4 : 2);
        break;
      case Role::KvStore:
      case Role::KvStoreF16:
        input(m * s[1] * s[2], {s[1] * s[2], s[2], 1});
        output(m * s[1] * s[2], {s[1] * s[2], s[2], 1}, need.role == Role::KvStore ? 4 : 2);
        break;
      case Role::FfnRelu2:
      case Role::FfnSilu:
      case Role::FfnGeluTanh:
        input(m * 2 * s[1], {2 * s[1], 1}), output(m * s[1], {s[1], 1});
        break;
      case Role::ResidualAdd:
        input(m * s[1], {s[1], 1}), input(m * s[1], {s[1], 1}), output(m * s[1], {s[1], 1});
        break;
      case Role::Attention:
      case Role::AttentionF16:
      case Role::AttentionWindow:
      case Role::AttentionWindowF16:
        attention();
        break;
      case Role::W2A8:  // matrix products are checked on real weights, and look-ups not at all: see self_check()
      case Role::W2A8Group:
      case Role::HeadBf16:
      case Role::HeadF32:
      case Role::HeadInt8:
      case Role::EmbedBf16:
      case Role::EmbedF32:
      case Role::Count:
        break;
    }
  }

  bool equal(const bt_kernel &kernel) {
    run(kernel);
    const std::vector<std::vector<uint8_t>> got = outputs_;
    for (auto &out : outputs_) std::fill(out.begin(), out.end(), uint8_t{0xa5});
    run(scalar_kernel(need_.role));
    return got == outputs_;
  }

 private:
  void input(int64_t count, std::initializer_list<int64_t> strides = {1}) {
    inputs_.emplace_back(static_cast<size_t>(count));
    noise_.fill(inputs_.back());
    tensors_.push_back(tensor(inputs_.back().data(), strides));
  }
  // int8 rows, padded with zeros.
  void codes(int64_t m, int64_t k) {
    codes_.assign(static_cast<size_t>(m * padded(k)), 0);
    for (int64_t i = 0; i < m * k; ++i)
      codes_[static_cast<size_t>(i / k * padded(k) + i % k)] = static_cast<int8_t>(127 * noise_.next());
    tensors_.push_back(tensor(codes_.data(), {padded(k), 1}));
  }
  void output(int64_t count, std::initializer_list<int64_t> strides = {1}, int64_t bytes = 4) {
    outputs_.emplace_back(static_cast<size_t>(count * bytes), uint8_t{0xa5});
    tensors_.push_back(tensor(nullptr, strides));
  }

  // Three pages in mixed order, positions that end in the first, at a page's end and in the last.
  void attention() {
    const int64_t h = sizes_[1], heads = h / sizes_[2], d = sizes_[3], pages = sizes_[5];
    const bool half = need_.role == Role::AttentionF16 || need_.role == Role::AttentionWindowF16;
    const int64_t used = std::min<int64_t>(3, pages), page = heads * 32 * d;
    scalar_ = 1.0f / std::sqrt(static_cast<float>(d));
    input(m_ * h * d, {h * d, d, 1});
    for (int side = 0; side < 2; ++side) {
      input(used * page, {page, 32 * d, d, 1});
      if (!half) continue;
      halves_.emplace_back();
      for (float v : inputs_.back()) halves_.back().push_back(f32_to_f16(v));
      tensors_.back().data = halves_.back().data();
    }
    table_.assign(static_cast<size_t>(pages), 0);  // of one sequence, which is the only one that is used
    for (int64_t p = 0; p < used; ++p) table_[static_cast<size_t>(p)] = static_cast<int32_t>(used - 1 - p);
    sequences_.assign(static_cast<size_t>(m_), 0);
    const int64_t last = used * 32 - 1;
    for (int64_t i = 0; i < m_; ++i)
      positions_.push_back(static_cast<int32_t>(m_ == 1 ? last - 5 : i * last / (m_ - 1)));
    tensors_.push_back(tensor(table_.data(), {pages, 1}));
    tensors_.push_back(tensor(sequences_.data()));
    tensors_.push_back(tensor(positions_.data()));
    output(m_ * h * d, {h * d, d, 1});
  }

  void run(const bt_kernel &kernel) {
    size_t next = 0;
    std::vector<bt_tensor> tensors = tensors_;
    for (bt_tensor &t : tensors)
      if (!t.data) t.data = outputs_[next++].data();
    call(kernel, tensors, sizes_.data(), &scalar_);
  }

  KernelNeed need_;
  int64_t m_;
  float scalar_;
  Noise noise_;
  std::vector<int64_t> sizes_;
  std::vector<std::vector<float>> inputs_;
  std::vector<std::vector<uint16_t>> halves_;
  std::vector<int8_t> codes_;
  std::vector<int32_t> table_, sequences_, positions_;
  std::vector<std::vector<uint8_t>> outputs_;
  std::vector<bt_tensor> tensors_;
};

}  // namespace

std::vector<const bt_kernel *> self_check(const Program &program, const Plan &plan, const Weights &weights,
                                          const Warn &warn) {
  Noise noise;
  std::vector<const bt_kernel *> wrong;
  std::set<const bt_kernel *> seen;
  for (const Choice &choice : plan.choices()) {
    const StepId id = choice.need.id;
    if (id == StepId::Embedding) continue;  // copies; its table is the head or rows from the source
    Rows rows;
    if (const View *view = streamed(program, *program.find(id));
        view && program[view->buffer].kind == BufferKind::Weight) {
      const Buffer &buffer = program[view->buffer];
      rows.layout = buffer.weight.of == WeightOf::Of::Matrix ? choice.layout() : nullptr;
      rows.data = weights.at(view->buffer);
      rows.row_bytes = buffer.dims[1] * element_bytes(buffer.type);
      rows.group = buffer.weight.group;
      // Scales, where there are some, are the next buffer.
      if (rows.ternary() || buffer.type == ElementType::I8)
        rows.scales = reinterpret_cast<const float *>(weights.at(view->buffer + 1));
    }
    for (size_t i = 0; i < choice.by_m.size(); ++i) {
      const bt_kernel *kernel = choice.by_m[i];
      if (!std::strcmp(kernel->backend, "scalar") || !seen.insert(kernel).second) continue;
      // Its smallest and its largest number of tokens.
      size_t last = i;
      for (size_t j = i; j < choice.by_m.size(); ++j)
        if (choice.by_m[j] == kernel) last = j;
      bool good = true;
      for (int64_t m : std::set<int64_t>{static_cast<int64_t>(i) + 1, static_cast<int64_t>(last) + 1}) {
        if (rows.data)
          good = good && matrix_rows_equal(choice, *kernel, rows, m, noise);
        else
          good = good && SmallProblem(choice.need, std::min(m, kSmallM), program.config.rms_eps).equal(*kernel);
      }
      if (good) continue;
      wrong.push_back(kernel);
      warn(std::string("the ") + kernel->backend + " kernel " + kernel->schedule + " for " + step_name(id) + " (" +
           kernel->spec + ") fails the self-check on this machine and is not used");
    }
  }
  return wrong;
}

}  // namespace bittern::runtime
