// See build.h. Buffers of weights come first, in the order in which they lie in memory and in the prepacked cache.
#include "runtime/program/build.h"

#include <algorithm>
#include <cmath>

#include "runtime/kernels/roles.h"

namespace bittern::runtime {
namespace {

using Of = WeightOf::Of;

constexpr int64_t kTexts = 32;  // that an embedding model runs in one pass

// Linear layers that read the same quantised activations are one matrix, their rows one after the other. With norms
// inside the linear layers every input differs, and each matrix stands alone.
struct Projection {
  StepId step;
  std::vector<Linear> parts;
};

std::vector<Projection> projections(const ModelConfig &config) {
  if (config.linear_norms)
    return {{StepId::Q, {Linear::Q}},      {StepId::KeyOrValue, {Linear::K}},  {StepId::KeyOrValue, {Linear::V}},
            {StepId::O, {Linear::O}},      {StepId::GateOrUp, {Linear::Gate}}, {StepId::GateOrUp, {Linear::Up}},
            {StepId::Down, {Linear::Down}}};
  return {{StepId::Qkv, {Linear::Q, Linear::K, Linear::V}},
          {StepId::O, {Linear::O}},
          {StepId::GateUp, {Linear::Gate, Linear::Up}},
          {StepId::Down, {Linear::Down}}};
}

// The weights of one layer; what the model does not have is kNoBuffer.
struct LayerBuffers {
  std::array<BufferId, kLinearCount> matrices, scales, linear_norms;
  std::array<BufferId, kVectorCount> norms;
  LayerBuffers() {
    for (auto *ids : {&matrices, &scales, &linear_norms}) ids->fill(kNoBuffer);
    norms.fill(kNoBuffer);
  }
};

// The steps that turn `width` floats a token into what a matrix product reads.
struct Input {
  int64_t width;
  StepId quantise, norm, sums;  // norm: to floats, before the norms inside the linear layers
  const char *name;
};

class Builder {
 public:
  Builder(const ModelConfig &config, const ProgramOptions &options) : c_(program_.config) {
    program_.config = config;
    program_.options = options;
    widest_ = std::max({c_.hidden, query_width(), c_.ffn});
  }

  Program build() {
    weights();
    inputs();
    embed();
    for (layer_ = 0; layer_ < c_.layers; ++layer_) layer();
    layer_ = -1;
    count_ = Count::Rows;
    section_ = Section::Hidden;
    program_.hidden = buffer("hidden", BufferKind::Output, ElementType::F32, Axis::Rows, {c_.hidden});
    rms_norm(StepId::FinalNorm, c_.hidden, rows(program_.states), final_norm_, rows(program_.hidden), c_.rms_eps);
    section_ = Section::Logits;
    if (c_.has_head) head();
    find_lifetimes();
    return std::move(program_);
  }

 private:
  int64_t query_width() const { return c_.heads * c_.head_dim; }
  int64_t key_width() const { return c_.kv_heads * c_.head_dim; }
  bool half() const { return program_.options.kv == KvType::F16; }
  bool local() const { return is_local_layer(c_, layer_); }
  LayerBuffers &w() { return layers_[static_cast<size_t>(layer_)]; }

  BufferId buffer(std::string name, BufferKind kind, ElementType type, Axis axis, std::vector<int64_t> dims,
                  WeightOf weight = {}) {
    program_.buffers.push_back({std::move(name), kind, type, axis, std::move(dims), layer_, std::move(weight)});
    return static_cast<BufferId>(program_.buffers.size()) - 1;
  }
  BufferId weight(std::string name, ElementType type, std::vector<int64_t> dims, WeightOf what) {
    return buffer(std::move(name), BufferKind::Weight, type, Axis::None, std::move(dims), std::move(what));
  }
  BufferId activation(std::string name, int64_t width, ElementType type = ElementType::F32) {
    return buffer(std::move(name), BufferKind::Activation, type, axis(), {width});
  }
  BufferId input(std::string name, std::vector<int64_t> dims, ElementType type, Axis axis = Axis::Tokens) {
    return buffer(std::move(name), BufferKind::Input, type, axis, std::move(dims));
  }
  Axis axis() const { return count_ == Count::Rows ? Axis::Rows : Axis::Tokens; }

  // Rows of a buffer: [its row's elements, 1]; a plain list when a row is one element.
  View rows(BufferId id, int64_t stride = 0) const {
    const int64_t width = stride ? stride : program_[id].row_elements();
    return {id, 0, program_[id].dims.empty() ? std::array<int64_t, 4>{1} : std::array<int64_t, 4>{width, 1}};
  }
  static View list(BufferId id) { return {id, 0, {1}}; }
  // Rows of `heads` pieces, or of pieces in two halves.
  static View heads(View view, int64_t row, int64_t d) { return {view.buffer, view.offset, {row, d, 1}}; }
  static View halves(View view, int64_t row, int64_t d) { return {view.buffer, view.offset, {row, d, d / 2, 1}}; }
  static View written(View view) {
    view.written = true;
    return view;
  }

  Step &step(StepId id, Role role, std::vector<int64_t> sizes, int64_t work, std::vector<View> operands,
             std::vector<float> scalars = {}) {
    program_.steps.push_back(
        {id, section_, layer_, role, std::move(sizes), std::move(operands), std::move(scalars), count_, work});
    return program_.steps.back();
  }
  Step &host(StepId id, std::vector<View> operands, std::vector<float> scalars = {}) {
    return step(id, Role::Count, {}, 0, std::move(operands), std::move(scalars));
  }

  void weights() {
    layers_.resize(static_cast<size_t>(c_.layers));
    for (layer_ = 0; layer_ < c_.layers; ++layer_) {
      for (const Projection &projection : projections(c_)) {
        int64_t n = 0;
        for (const Linear part : projection.parts) n += linear_shape(c_, part).first;
        const int64_t k = linear_shape(c_, projection.parts.front()).second, group = c_.scale_group;
        const auto name = static_cast<size_t>(projection.parts.front());
        w().matrices[name] = weight(std::string(step_name(projection.step)) + " weights", ElementType::Trits, {n, k},
                                    {Of::Matrix, projection.parts, {}, projection.step, group});
        std::vector<int64_t> shape = {n};
        if (group > 0) shape.push_back(k / group);
        w().scales[name] = weight(std::string(step_name(projection.step)) + " scales", ElementType::F32,
                                  std::move(shape), {Of::Scales, projection.parts, {}, projection.step, group});
      }
      constexpr const char *kNorms[] = {"input norm", "FFN norm", "attention sub norm", "FFN sub norm", "final norm",
                                        "q norm",     "k norm",   "attention out norm", "FFN out norm"};
      static_assert(std::size(kNorms) == kVectorCount);
      for (size_t i = 0; i < kVectorCount; ++i) {
        const auto which = static_cast<Vector>(i);
        if (which == Vector::FinalNorm || !has_vector(c_, which)) continue;
        w().norms[i] = weight(kNorms[i], ElementType::F32, {vector_size(c_, which)}, {Of::Norm, {}, which});
      }
      for (size_t i = 0; i < kLinearCount && c_.linear_norms; ++i) {
        const auto which = static_cast<Linear>(i);
        w().linear_norms[i] = weight("norm inside a linear layer", ElementType::F32, {linear_shape(c_, which).second},
                                     {Of::LinearNorm, {which}});
      }
    }
    layer_ = -1;
    final_norm_ = weight("final norm", ElementType::F32, {c_.hidden}, {Of::Norm, {}, Vector::FinalNorm});
    if (!c_.has_head) return;
    const ProgramOptions &o = program_.options;
    const ElementType type = o.head == HeadType::Int8     ? ElementType::I8
                             : o.head_rows == DType::BF16 ? ElementType::BF16
                                                          : ElementType::F32;
    program_.head = weight("head", type, {c_.vocab, c_.hidden}, {Of::Head});
    if (type == ElementType::I8) head_scales_ = weight("head scales", ElementType::F32, {c_.vocab}, {Of::HeadScales});
  }

  void inputs() {
    const ProgramOptions &o = program_.options;
    program_.ids = input("ids", {}, ElementType::I32);
    program_.positions = input("positions", {}, ElementType::I32);
    program_.sequence_ids = input("sequence ids", {}, ElementType::I32);
    program_.page_table = input("page table", {pages_for(o.context)}, ElementType::I32, Axis::Sequences);
    program_.cache = buffer("keys and values", BufferKind::Cache, half() ? ElementType::F16 : ElementType::F32,
                            Axis::None, {o.pages, c_.layers, 2, c_.kv_heads, kPagePositions, c_.head_dim});
    bool any_local = false, any_global = false;
    for (int64_t l = 0; l < c_.layers; ++l) (is_local_layer(c_, l) ? any_local : any_global) = true;
    for (const bool near : {false, true}) {
      if (!(near ? any_local : any_global)) continue;
      cosines_[near] = activation(near ? "local cosines" : "cosines", c_.head_dim / 2);
      sines_[near] = activation(near ? "local sines" : "sines", c_.head_dim / 2);
      host(StepId::RopeAngles, {list(program_.positions), written(rows(cosines_[near])), written(rows(sines_[near]))})
          .local = near;
    }
  }

  void embed() {
    const ProgramOptions &o = program_.options;
    const bool bf16 = o.embedding == DType::BF16;
    program_.states = activation("states", c_.hidden);
    View table = rows_of_head(), ids = list(program_.ids);
    if (!c_.has_head || !c_.tied_head || o.head == HeadType::Int8) {
      // Rows come one by one from the source: no second copy of a table that is read a row a token.
      const BufferId fetched = activation("embedding rows", c_.hidden, bf16 ? ElementType::BF16 : ElementType::F32),
                     numbers = buffer("row numbers", BufferKind::Activation, ElementType::I32, Axis::Tokens, {});
      host(StepId::FetchRows, {ids, written(rows(fetched)), written(list(numbers))});
      table = rows(fetched);
      ids = list(numbers);
    }
    step(StepId::Embedding, bf16 ? Role::EmbedBf16 : Role::EmbedF32, {1, c_.vocab, c_.hidden}, c_.hidden,
         {ids, table, written(rows(program_.states))});
    if (c_.embedding_scale != 1) host(StepId::Scale, {written(rows(program_.states))}, {c_.embedding_scale});
  }

  void rms_norm(StepId id, int64_t width, View in, BufferId norm, View out, float eps) {
    step(id, Role::RmsNorm, {1, width}, width, {in, list(norm), written(out)}, {eps});
  }

  // What a matrix product reads: int8 codes, the factor that turns them back, and their sums.
  struct Codes {
    View codes, inverse, sums;
  };
  Codes quantise(const Input &input, View in, BufferId norm, float eps) {
    const int64_t stride = padded(widest_);
    Codes out{rows(activation(std::string(input.name) + " codes", stride, ElementType::I8)),
              list(buffer(std::string(input.name) + " factors", BufferKind::Activation, ElementType::F32, axis(), {})),
              list(buffer(std::string(input.name) + " sums", BufferKind::Activation, ElementType::I32, axis(), {}))};
    if (norm == kNoBuffer)
      step(input.quantise, Role::AbsmaxQuant, {1, input.width}, input.width,
           {in, written(out.codes), written(out.inverse), written(out.sums)});
    else
      step(input.quantise, Role::RmsNormQuant, {1, input.width}, input.width,
           {in, list(norm), written(out.codes), written(out.inverse), written(out.sums)}, {eps});
    if (c_.scale_group == 0 || section_ != Section::Pass) return out;
    const int64_t groups = input.width / c_.scale_group;
    out.sums = rows(activation(std::string(input.name) + " group sums", groups, ElementType::I32));
    step(input.sums, Role::GroupSums, {1, input.width, c_.scale_group}, input.width, {out.codes, written(out.sums)});
    return out;
  }

  void multiply(const Codes &in, Linear name, View out) {
    const auto index = static_cast<size_t>(name);
    const BufferId matrix = w().matrices[index];
    const Buffer &b = program_[matrix];
    const int64_t n = b.dims[0], k = b.dims[1], group = c_.scale_group;
    std::vector<int64_t> sizes = {1, n, k};
    if (group > 0) sizes.push_back(group);
    const View scales = group > 0 ? View{w().scales[index], 0, {k / group, 1}} : list(w().scales[index]);
    step(b.weight.step, group > 0 ? Role::W2A8Group : Role::W2A8, std::move(sizes), n * k,
         {list(matrix), scales, in.codes, in.inverse, in.sums, written(out)});
  }

  // Linear layers that read the same vector, normalised by `norm` (or not, when there is none); their outputs side by
  // side in rows of `out`.
  void project(const Input &input, View in, BufferId norm, std::initializer_list<Linear> parts, BufferId out) {
    View to = rows(out);
    if (!c_.linear_norms) {
      multiply(quantise(input, in, norm, c_.rms_eps), *parts.begin(), to);
      return;
    }
    if (norm != kNoBuffer) {
      const View normed = rows(activation(std::string(input.name) + " normed", input.width));
      rms_norm(input.norm, input.width, in, norm, normed, c_.rms_eps);
      in = normed;
    }
    for (const Linear part : parts) {
      multiply(quantise(input, in, w().linear_norms[static_cast<size_t>(part)], c_.linear_norm_eps), part, to);
      to.offset += linear_shape(c_, part).first;
    }
  }

  // One layer's keys (0) or values (1) in the cache: [pages, heads, positions, ...], `inner` strides after the page.
  View cached(int64_t side, std::array<int64_t, 4> strides) const {
    const int64_t elements = c_.kv_heads * kPagePositions * c_.head_dim;
    return {program_.cache, (2 * layer_ + side) * elements, strides};
  }

  void store_keys_values(BufferId qkv, int64_t row) {
    const int64_t d = c_.head_dim, width = key_width(), head = kPagePositions * d;
    View keys{qkv, query_width()}, values{qkv, query_width() + width};
    int64_t key_row = row;
    if (c_.qk_norm) {
      const View normed = rows(activation("normed keys", width));
      step(StepId::KNorm, Role::RmsNormHeads, {1, c_.kv_heads, d}, width,
           {heads(keys, row, d), list(norm(Vector::KNorm)), written(heads(normed, width, d))}, {c_.rms_eps});
      keys = normed;
      key_row = width;
    }
    step(StepId::RopeK, half() ? Role::RopeF16 : Role::Rope, {1, c_.kv_heads, d / 2}, width,
         {halves(keys, key_row, d), rows(cosines_[local()]), rows(sines_[local()]),
          written(cached(0, {d, head, d / 2, 1}))})
        .by_pages = true;
    step(StepId::StoreV, half() ? Role::KvStoreF16 : Role::KvStore, {1, c_.kv_heads, d}, width,
         {heads(values, row, d), written(cached(1, {d, head, 1}))})
        .by_pages = true;
  }

  // Attention from the queries in the rows of qkv to a buffer of its own.
  BufferId attend(BufferId qkv, int64_t row) {
    const int64_t d = c_.head_dim, q = query_width();
    View in{qkv};
    if (c_.qk_norm) {
      const View normed = rows(activation("normed queries", q));
      step(StepId::QNorm, Role::RmsNormHeads, {1, c_.heads, d}, q,
           {heads(in, row, d), list(norm(Vector::QNorm)), written(heads(normed, q, d))}, {c_.rms_eps});
      in = normed;
      row = q;
    }
    const View queries = rows(activation("queries", q));
    step(StepId::RopeQ, Role::Rope, {1, c_.heads, d / 2}, q,
         {halves(in, row, d), rows(cosines_[local()]), rows(sines_[local()]), written(halves(queries, q, d))});
    const BufferId attended = activation("attended", q);
    const ProgramOptions &o = program_.options;
    const float scale = c_.attention_scale > 0 ? c_.attention_scale : 1.0f / std::sqrt(static_cast<float>(d));
    std::vector<int64_t> sizes = {1, c_.heads, c_.heads / c_.kv_heads, d, o.sequences, pages_for(o.context), o.pages};
    if (local()) sizes.push_back(c_.window);
    const std::array<int64_t, 4> strides = {program_.page_stride(), kPagePositions * d, d, 1};
    const Role roles[] = {Role::Attention, Role::AttentionF16, Role::AttentionWindow, Role::AttentionWindowF16};
    Step &s =
        step(local() ? StepId::LocalAttention : StepId::Attention, roles[2 * local() + half()], std::move(sizes), q,
             {heads(queries, q, d), cached(0, strides), cached(1, strides), rows(program_.page_table),
              list(program_.sequence_ids), list(program_.positions), written(heads(rows(attended), q, d))},
             {scale});
    s.by_positions = true;
    s.local = local();
    s.window = local() ? c_.window : 0;
    return attended;
  }

  BufferId norm(Vector which) { return w().norms[static_cast<size_t>(which)]; }

  // The states plus a branch's output, which `norm` normalises first unless there is none.
  void add(BufferId branch, BufferId norm) {
    View in = rows(branch);
    if (norm != kNoBuffer) {
      const View normed = rows(activation("normed branch", c_.hidden));
      rms_norm(StepId::FinalNorm, c_.hidden, in, norm, normed, c_.rms_eps);
      in = normed;
    }
    const View states = rows(program_.states);
    step(StepId::Residual, Role::ResidualAdd, {1, c_.hidden}, c_.hidden, {states, in, written(states)});
  }

  void layer() {
    const Input hidden{c_.hidden, StepId::Norm, StepId::FinalNorm, StepId::GroupSumsHidden, "hidden"},
        query{query_width(), StepId::AttentionSubNorm, StepId::AttentionSubNormFirst, StepId::GroupSumsQuery,
              "attended"},
        ffn{c_.ffn, StepId::FfnSubNorm, StepId::FfnSubNormFirst, StepId::GroupSumsFfn, "gated"};
    const int64_t row = query_width() + 2 * key_width();
    const View states = rows(program_.states);

    const BufferId qkv = activation("q, k and v", row);
    project(hidden, states, norm(Vector::InputNorm), {Linear::Q, Linear::K, Linear::V}, qkv);
    store_keys_values(qkv, row);
    if (layer_ == c_.layers - 1 && c_.has_head) {
      // From here on only the tokens whose logits are wanted.
      host(StepId::KeepWanted,
           {written(states), written(rows(qkv)), written(list(program_.positions)),
            written(list(program_.sequence_ids)), written(rows(cosines_[local()])), written(rows(sines_[local()]))});
      count_ = Count::Rows;
    }
    const BufferId attended = attend(qkv, row), branch = activation("attention output", c_.hidden);
    project(query, rows(attended), norm(Vector::AttentionSubNorm), {Linear::O}, branch);
    add(branch, norm(Vector::AttentionOutNorm));
    const BufferId gate_up = activation("gate and up", 2 * c_.ffn), gated = activation("gated", c_.ffn),
                   down = activation("FFN output", c_.hidden);
    project(hidden, states, norm(Vector::PostAttentionNorm), {Linear::Gate, Linear::Up}, gate_up);
    const Role activations[] = {Role::FfnRelu2, Role::FfnSilu, Role::FfnGeluTanh};
    step(StepId::Activation, activations[static_cast<int>(c_.activation)], {1, c_.ffn}, c_.ffn,
         {rows(gate_up), written(rows(gated))});
    project(ffn, rows(gated), norm(Vector::FfnSubNorm), {Linear::Down}, down);
    add(down, norm(Vector::FfnOutNorm));
  }

  void head() {
    const bool bf16 = program_[program_.head].type == ElementType::BF16;
    const std::vector<int64_t> sizes = {1, c_.vocab, c_.hidden};
    const int64_t work = c_.vocab * c_.hidden;
    const View states = rows(program_.states), table = rows_of_head();
    program_.logits = buffer("logits", BufferKind::Output, ElementType::F32, Axis::Rows, {c_.vocab});
    if (program_.options.head == HeadType::Int8) {
      const Input hidden{c_.hidden, StepId::Norm, StepId::FinalNorm, StepId::GroupSumsHidden, "final"};
      const Codes codes = quantise(hidden, states, final_norm_, c_.rms_eps);
      step(StepId::Head, Role::HeadInt8, sizes, work,
           {table, list(head_scales_), codes.codes, codes.inverse, written(rows(program_.logits))});
      return;
    }
    const View normed = rows(activation("final states", c_.hidden));
    rms_norm(StepId::FinalNorm, c_.hidden, states, final_norm_, normed, c_.rms_eps);
    step(StepId::Head, bf16 ? Role::HeadBf16 : Role::HeadF32, sizes, work,
         {table, normed, written(rows(program_.logits))});
  }
  View rows_of_head() const { return {program_.head, 0, {c_.hidden, 1}}; }

  // Weights and the cache live always, inputs from the start, outputs and states to the end.
  void find_lifetimes() {
    const int end = static_cast<int>(program_.steps.size()) - 1;
    for (int i = 0; i <= end; ++i)
      for (const View &view : program_.steps[static_cast<size_t>(i)].operands) {
        Buffer &b = program_.buffers[static_cast<size_t>(view.buffer)];
        if (b.first < 0) b.first = i;
        b.last = i;
      }
    for (Buffer &b : program_.buffers) {
      if (b.kind == BufferKind::Input) b.first = 0;
      if (b.kind == BufferKind::Output) b.last = end;
      if (b.kind == BufferKind::Weight || b.kind == BufferKind::Cache) b.first = 0, b.last = end;
    }
    program_.buffers[static_cast<size_t>(program_.states)].last = end;
  }

  Program program_;
  const ModelConfig &c_;
  int64_t widest_ = 0, layer_ = -1;
  Section section_ = Section::Pass;
  Count count_ = Count::Tokens;
  std::vector<LayerBuffers> layers_;
  BufferId final_norm_ = kNoBuffer, head_scales_ = kNoBuffer;
  std::array<BufferId, 2> cosines_{kNoBuffer, kNoBuffer}, sines_{kNoBuffer, kNoBuffer};  // by whether it is local
};

}  // namespace

Program build_program(const ModelConfig &config, ProgramOptions options) {
  if (options.sequences == 0) options.sequences = config.has_head ? 1 : kTexts;
  if (options.pages == 0) options.pages = std::max(pages_for(options.context), config.has_head ? 0 : options.sequences);
  return Builder(config, options).build();
}

ProgramOptions with_formats_of(const ModelSource &source, ProgramOptions options) {
  options.embedding = source.embedding().dtype;
  if (source.config().has_head) options.head_rows = source.head().dtype;
  return options;
}

}  // namespace bittern::runtime
