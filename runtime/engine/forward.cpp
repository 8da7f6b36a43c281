// See forward.h. Small steps of one token run on the calling thread; only steps with enough work are split, since each
// split costs a barrier.
#include "runtime/engine/forward.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/io/float_formats.h"

namespace bittern::runtime {
namespace {

// Elements below which a step is not worth a barrier.
constexpr int64_t kWorthSplitting = 1 << 14;

}  // namespace

Forward::Forward(const ModelSource &source, const Plan &plan, const Weights &weights, ThreadPool &pool,
                 int64_t most_tokens, int64_t context, KvType kv)
    : config_(source.config()),
      weights_(weights),
      pool_(pool),
      most_tokens_(std::min(most_tokens, context * sequences_of(config_))),
      angles_(config_.head_dim, config_.rope_theta),
      local_angles_(config_.head_dim, config_.rope_theta_local > 0 ? config_.rope_theta_local : config_.rope_theta),
      kv_(config_.layers, config_.kv_heads, config_.head_dim, cache_pages(config_, context), kv),
      scratch_(pool.threads()),
      embedding_(source.embedding()) {
  for (int64_t i = 0; i < sequences_of(config_); ++i) sequences_.push_back(std::make_unique<Sequence>(kv_, context));
  if (sequences_.size() > 1)
    page_table_.resize(sequences_.size() * static_cast<size_t>(sequences_.front()->page_count()));
  find_steps(plan);
  plan_buffers();
}

void Forward::find_steps(const Plan &plan) {
  const ModelConfig &c = config_;
  const bool groups = c.scale_group > 0, both = c.sub_norms && c.linear_norms;
  const auto maybe = [&](const char *what, bool there) { return there ? &plan[what] : nullptr; };
  bool local = false, global = false;
  for (int64_t l = 0; l < c.layers; ++l) (is_local_layer(c, l) ? local : global) = true;
  hidden_ = {c.hidden, &plan["norm"], &plan["final_norm"], maybe("group_sums_hidden", groups)};
  query_ = {c.heads * c.head_dim, &plan["attn_sub_norm"], maybe("attn_sub_norm_first", both),
            maybe("group_sums_q", groups)};
  ffn_ = {c.ffn, &plan["ffn_sub_norm"], maybe("ffn_sub_norm_first", both), maybe("group_sums_ffn", groups)};
  for (const Projection &projection : projections(c))
    products_[static_cast<size_t>(projection.name())] = &plan[projection.what];
  steps_ = {maybe("head", c.has_head),
            maybe("attention", global),
            maybe("local_attention", local),
            &plan["activation"],
            &plan["final_norm"],
            maybe("q_norm", c.qk_norm),
            maybe("k_norm", c.qk_norm),
            &plan["rope_q"],
            &plan["rope_k"],
            &plan["store_v"],
            &plan["residual"],
            &plan["embedding"]};
  for (const Choice &choice : plan.choices()) {
    std::vector<int64_t> sizes = choice.need.sizes;
    for (size_t m = 1; m <= choice.by_m.size(); ++m) {
      sizes[0] = static_cast<int64_t>(m);
      scratch_.reserve(*choice.by_m[m - 1], sizes.data());
    }
  }
}

void Forward::plan_buffers() {
  const ModelConfig &c = config_;
  embed_from_head_ = c.has_head && c.tied_head && !weights_.head().int8;
  const int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim, rows = most_tokens_;
  const int64_t widest = std::max({c.hidden, q, c.ffn});
  code_stride_ = padded(widest);
  cached_.reserve(ThreadPool::kMostAnnounced);
  // Two passes: count, then give addresses.
  for (int pass = 0; pass < 2; ++pass) {
    int64_t used = 0;
    const auto take = [&]<typename T>(T *&pointer, int64_t count) {
      used = (used + 63) / 64 * 64;
      if (pass == 1) pointer = reinterpret_cast<T *>(activations_.data() + used);
      used += count * static_cast<int64_t>(sizeof(T));
    };
    take(x_, rows * c.hidden);
    take(wide_, rows * std::max(q + 2 * kv, 2 * c.ffn));
    take(queries_, rows * q);
    take(attended_, rows * q);
    take(keys_, c.qk_norm ? rows * kv : 0);
    take(narrow_, rows * c.hidden);
    take(gated_, rows * c.ffn);
    take(normed_, rows * (c.linear_norms ? widest : c.hidden));
    take(inverse_, rows);
    take(cosines_, rows * c.head_dim / 2);
    take(sines_, rows * c.head_dim / 2);
    take(local_cosines_, steps_.local_attention ? rows * c.head_dim / 2 : 0);
    take(local_sines_, steps_.local_attention ? rows * c.head_dim / 2 : 0);
    take(codes_, rows * code_stride_);
    take(code_sums_, rows);
    take(group_sums_, c.scale_group > 0 ? rows * widest / c.scale_group : 0);
    take(ids_, rows);
    take(positions_, rows);
    take(sequence_ids_, rows);
    take(embedding_rows_, embed_from_head_ ? 0 : rows * c.hidden * 4);
    if (pass == 0) activations_ = HugeBuffer(used, "activations");
  }
}

void Forward::clear() {
  for (const auto &sequence : sequences_) sequence->clear();
}

void Forward::step(const Choice &choice, int64_t m, int64_t work, std::initializer_list<bt_tensor> tensors,
                   const float *scalars) {
  const bt_kernel &kernel = *choice.at(m);
  int64_t sizes[BT_MAX_SIZES];
  std::copy(choice.need.sizes.begin(), choice.need.sizes.end(), sizes);
  sizes[0] = m;
  if (m * work < kWorthSplitting)
    launch_serial(kernel, tensors.begin(), sizes, scalars, scratch_);
  else
    launch(pool_, kernel, tensors.begin(), sizes, scalars, scratch_);
}

void Forward::quantise(const Input &input, const float *in, const float *norm, const float *eps, int64_t m) {
  const int64_t width = input.width;
  const bt_tensor q = tensor(codes_, {code_stride_, 1});
  if (norm)
    step(*input.quantise, m, width, {tensor(in, {width, 1}), tensor(norm), q, tensor(inverse_), tensor(code_sums_)},
         eps);
  else
    step(*input.quantise, m, width, {tensor(in, {width, 1}), q, tensor(inverse_), tensor(code_sums_)});
  if (input.group_sums) step(*input.group_sums, m, width, {q, tensor(group_sums_, {width / config_.scale_group, 1})});
}

void Forward::matmul(const Input &input, const PackedMatrix &matrix, Linear which, int64_t m, float *out,
                     int64_t stride) {
  const bool groups = input.group_sums != nullptr;
  const int64_t per_row = matrix.scales_per_row();
  // What comes after the projections of the queries, keys and values is attention.
  if (which == Linear::V || (which == Linear::Q && !config_.linear_norms))
    pool_.announce(cached_);
  else
    pool_.announce({{matrix.next, matrix.next_bytes}});
  step(*products_[static_cast<size_t>(which)], m, matrix.n * matrix.k,
       {tensor(matrix.packed), groups ? tensor(matrix.scales, {per_row, 1}) : tensor(matrix.scales),
        tensor(codes_, {code_stride_, 1}), tensor(inverse_),
        groups ? tensor(group_sums_, {per_row, 1}) : tensor(code_sums_), tensor(out, {stride, 1})});
}

// Linear layers that read the same vector, normalised by `norm` (or not, when null); their outputs side by side in rows
// of `out`, `stride` apart.
void Forward::project(const Input &input, const float *in, const float *norm, const LayerWeights &w,
                      std::initializer_list<Linear> parts, int64_t m, float *out, int64_t stride) {
  if (!config_.linear_norms) {
    const Linear name = *parts.begin();
    quantise(input, in, norm, &config_.rms_eps, m);
    matmul(input, w[name], name, m, out, stride);
    return;
  }
  if (norm) {
    step(*input.norm, m, input.width, {tensor(in, {input.width, 1}), tensor(norm), tensor(normed_, {input.width, 1})},
         &config_.rms_eps);
    in = normed_;
  }
  for (Linear part : parts) {
    quantise(input, in, w.norm_of(part), &config_.linear_norm_eps, m);
    matmul(input, w[part], part, m, out, stride);
    out += w[part].n;
  }
}

void Forward::embed(int64_t m) {
  const int64_t k = config_.hidden;
  const bt_tensor out = tensor(x_, {k, 1});
  if (embed_from_head_) {
    step(*steps_.embedding, m, k, {tensor(ids_), tensor(weights_.head().data, {k, 1}), out});
  } else {
    // Rows come one by one from the source: no second copy of a table that is read a row a token.
    const int64_t row_bytes = k * (embedding_.dtype == DType::F32 ? 4 : 2);
    for (int64_t i = 0; i < m; ++i) {
      embedding_.fill(ids_[i], 1, embedding_rows_ + i * row_bytes);
      ids_[i] = static_cast<int32_t>(i);
    }
    if (embedding_.dtype == DType::F16) {
      const auto *half = reinterpret_cast<const uint16_t *>(embedding_rows_);
      for (int64_t i = 0; i < m * k; ++i) x_[i] = f16_to_f32(half[i]);
    } else {
      step(*steps_.embedding, m, k, {tensor(ids_), tensor(embedding_rows_, {k, 1}), out});
    }
  }
  if (config_.embedding_scale != 1)
    for (int64_t i = 0; i < m * k; ++i) x_[i] *= config_.embedding_scale;
}

// Turns the keys and copies the values of m tokens into their pages, a page at a time.
void Forward::store_keys_values(int64_t index, int64_t m) {
  const ModelConfig &c = config_;
  const int64_t d = c.head_dim, r = d / 2, row = (c.heads + 2 * c.kv_heads) * d;
  const int64_t bytes = kv_.element_bytes();
  const bool local = is_local_layer(c, index);
  const float *cosines = local ? local_cosines_ : cosines_, *sines = local ? local_sines_ : sines_;
  const float *keys = wide_ + c.heads * d, *values = keys + c.kv_heads * d;
  int64_t key_row = row;
  if (c.qk_norm) {
    key_row = c.kv_heads * d;
    step(*steps_.k_norm, m, key_row,
         {tensor(keys, {row, d, 1}), tensor(weights_.layers()[static_cast<size_t>(index)][Vector::KNorm]),
          tensor(keys_, {key_row, d, 1})},
         &c.rms_eps);
    keys = keys_;
  }
  for (int64_t i = 0; i < m;) {
    const int64_t p = positions_[i], slot = p % KvCache::kPage, most = std::min(KvCache::kPage - slot, m - i);
    int64_t count = 1;
    while (count < most && sequence_ids_[i + count] == sequence_ids_[i]) ++count;
    const Sequence &sequence = *sequences_[static_cast<size_t>(sequence_ids_[i])];
    const int64_t offset =
        (sequence.pages()[p / KvCache::kPage] * kv_.page_stride() + slot * kv_.position_stride()) * bytes;
    step(
        *steps_.rope_k, count, c.kv_heads * d,
        {tensor(keys + i * key_row, {key_row, d, r, 1}), tensor(cosines + i * r, {r, 1}), tensor(sines + i * r, {r, 1}),
         tensor(kv_.keys(index) + offset, {kv_.position_stride(), kv_.head_stride(), r, 1})});
    step(*steps_.store_v, count, c.kv_heads * d,
         {tensor(values + i * row, {row, d, 1}),
          tensor(kv_.values(index) + offset, {kv_.position_stride(), kv_.head_stride(), 1})});
    i += count;
  }
}

// Keys and values of the pages that one sequence's attention will read; threads divide a page's heads among them.
void Forward::find_cached(int64_t index, int64_t tokens) {
  cached_.clear();
  if (sequences_.size() > 1 || kv_.bytes() == 0) return;
  const Sequence &sequence = *sequences_.front();
  const int64_t end = sequence.length() + tokens;
  const int64_t first = is_local_layer(config_, index) ? std::max<int64_t>(0, end - tokens - config_.window) : 0;
  const int64_t bytes = config_.kv_heads * kv_.head_stride() * kv_.element_bytes();
  for (const uint8_t *base : {kv_.keys(index), kv_.values(index)})
    for (int64_t page = first / KvCache::kPage; page * KvCache::kPage < end; ++page) {
      if (cached_.size() == ThreadPool::kMostAnnounced) return;
      cached_.push_back({base + sequence.pages()[page] * kv_.page_stride() * kv_.element_bytes(), bytes});
    }
}

// Attention of `rows` tokens from the first on, from their queries in wide_ to attended_.
void Forward::attend(int64_t index, int64_t first, int64_t rows) {
  const ModelConfig &c = config_;
  const bool local = is_local_layer(c, index);
  const int64_t d = c.head_dim, r = d / 2, q = c.heads * d;
  const float *cosines = local ? local_cosines_ : cosines_, *sines = local ? local_sines_ : sines_;
  int64_t row = (c.heads + 2 * c.kv_heads) * d;
  const float *in = wide_ + first * row;
  if (c.qk_norm) {  // into attended_, which attention overwrites only after the turned queries are made
    step(*steps_.q_norm, rows, q,
         {tensor(in, {row, d, 1}), tensor(weights_.layers()[static_cast<size_t>(index)][Vector::QNorm]),
          tensor(attended_, {q, d, 1})},
         &c.rms_eps);
    in = attended_;
    row = q;
  }
  step(*steps_.rope_q, rows, q,
       {tensor(in, {row, d, r, 1}), tensor(cosines + first * r, {r, 1}), tensor(sines + first * r, {r, 1}),
        tensor(queries_, {q, d, r, 1})});
  const float scale = c.attention_scale > 0 ? c.attention_scale : 1.0f / std::sqrt(static_cast<float>(d));
  int64_t length = *std::max_element(positions_ + first, positions_ + first + rows) + 1;
  if (local) length = std::min(length, c.window);
  const PackedMatrix &output = weights_.layers()[static_cast<size_t>(index)][Linear::O];
  pool_.announce({{output.packed, output.n * output.k / 4}});
  const Sequence &front = *sequences_.front();
  const int32_t *table = sequences_.size() > 1 ? page_table_.data() : front.pages();
  step(local ? *steps_.local_attention : *steps_.attention, rows, q * length,
       {tensor(queries_, {q, d, 1}),
        tensor(kv_.keys(index), {kv_.page_stride(), kv_.head_stride(), kv_.position_stride(), 1}),
        tensor(kv_.values(index), {kv_.page_stride(), kv_.head_stride(), kv_.position_stride(), 1}),
        tensor(table, {front.page_count(), 1}), tensor(sequence_ids_ + first), tensor(positions_ + first),
        tensor(attended_, {q, d, 1})},
       &scale);
}

// The residual sum with narrow_, which `norm` normalises first unless it is null.
void Forward::add(float *in, const float *norm, int64_t rows) {
  const int64_t k = config_.hidden;
  if (norm)
    step(*steps_.final_norm, rows, k, {tensor(narrow_, {k, 1}), tensor(norm), tensor(normed_, {k, 1})},
         &config_.rms_eps);
  step(*steps_.residual, rows, k, {tensor(in, {k, 1}), tensor(norm ? normed_ : narrow_, {k, 1}), tensor(in, {k, 1})});
}

void Forward::layer(int64_t index, int64_t m, bool last_only) {
  const ModelConfig &c = config_;
  const LayerWeights &w = weights_.layers()[static_cast<size_t>(index)];
  const int64_t row = (c.heads + 2 * c.kv_heads) * c.head_dim, k = c.hidden;

  find_cached(index, m);
  project(hidden_, x_, w[Vector::InputNorm], w, {Linear::Q, Linear::K, Linear::V}, m, wide_, row);
  store_keys_values(index, m);
  // In the last layer, only the tokens whose logits are wanted go on.
  const int64_t first = last_only ? m - 1 : 0, rows = m - first;
  attend(index, first, rows);
  float *in = x_ + first * k;
  project(query_, attended_, w[Vector::AttentionSubNorm], w, {Linear::O}, rows, narrow_, k);
  add(in, w[Vector::AttentionOutNorm], rows);
  project(hidden_, in, w[Vector::PostAttentionNorm], w, {Linear::Gate, Linear::Up}, rows, wide_, 2 * c.ffn);
  step(*steps_.activation, rows, c.ffn, {tensor(wide_, {2 * c.ffn, 1}), tensor(gated_, {c.ffn, 1})});
  project(ffn_, gated_, w[Vector::FfnSubNorm], w, {Linear::Down}, rows, narrow_, k);
  add(in, w[Vector::FfnOutNorm], rows);
}

void Forward::run(std::span<const Part> parts, bool last_only) {
  const int64_t half = config_.head_dim / 2;
  int64_t m = 0;
  for (const Part &part : parts) {
    Sequence &sequence = *sequences_[static_cast<size_t>(part.sequence)];
    sequence.reserve(static_cast<int64_t>(part.tokens.size()));
    if (!page_table_.empty())
      std::copy_n(sequence.pages(), sequence.page_count(), page_table_.begin() + part.sequence * sequence.page_count());
    for (size_t i = 0; i < part.tokens.size(); ++i, ++m) {
      ids_[m] = part.tokens[i];
      positions_[m] = static_cast<int32_t>(sequence.length() + static_cast<int64_t>(i));
      sequence_ids_[m] = part.sequence;
      angles_.fill(positions_[m], cosines_ + m * half, sines_ + m * half);
      if (steps_.local_attention) local_angles_.fill(positions_[m], local_cosines_ + m * half, local_sines_ + m * half);
    }
  }
  embed(m);
  for (int64_t l = 0; l < config_.layers; ++l) layer(l, m, last_only && l == config_.layers - 1);
  for (const Part &part : parts)
    sequences_[static_cast<size_t>(part.sequence)]->advance(static_cast<int64_t>(part.tokens.size()));
}

void Forward::final_norm(const float *in, int64_t m, float *out) {
  const int64_t k = config_.hidden;
  step(*steps_.final_norm, m, k, {tensor(in, {k, 1}), tensor(weights_.final_norm()), tensor(out, {k, 1})},
       &config_.rms_eps);
}

void Forward::head(const float *in, int64_t m, float *out) {
  const Head &h = weights_.head();
  const int64_t k = config_.hidden;
  pool_.announce({});
  const bt_tensor y = tensor(out, {h.rows, 1});
  if (h.int8) {
    const bt_tensor q = tensor(codes_, {code_stride_, 1});
    step(*hidden_.quantise, m, k,
         {tensor(in, {k, 1}), tensor(weights_.final_norm()), q, tensor(inverse_), tensor(code_sums_)},
         &config_.rms_eps);
    step(*steps_.head, m, h.rows * k, {tensor(h.data, {k, 1}), tensor(h.scales), q, tensor(inverse_), y});
  } else {
    final_norm(in, m, normed_);
    step(*steps_.head, m, h.rows * k, {tensor(h.data, {k, 1}), tensor(normed_, {k, 1}), y});
  }
}

}  // namespace bittern::runtime
