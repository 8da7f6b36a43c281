// See executor.h. Small steps of one token run on the calling thread; only steps with enough work are split, since each
// split costs a barrier.
#include "runtime/device/cpu/executor.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/io/float_formats.h"

namespace bittern::runtime {
namespace {

// Elements below which a step is not worth a barrier.
constexpr int64_t kWorthSplitting = 1 << 14;
// Runs of pages above which they are divided among the threads, instead of the tokens of each.
constexpr size_t kManyRuns = 4;

double local_theta(const ModelConfig &c) { return c.rope_theta_local > 0 ? c.rope_theta_local : c.rope_theta; }

}  // namespace

Executor::Executor(const Program &program, const Plan &plan, const Weights &weights, FloatMatrix embedding,
                   ThreadPool &pool, int64_t most_tokens)
    : program_(program),
      plan_(plan),
      weights_(weights),
      embedding_(std::move(embedding)),
      pool_(pool),
      logit_rows_(program.options.sequences),
      angles_(program.config.head_dim, program.config.rope_theta),
      local_angles_(program.config.head_dim, local_theta(program.config)),
      buffers_(plan_buffers(program, most_tokens)),
      activations_(buffers_.bytes, "activations"),
      cache_(buffer_bytes(program, program[program.cache], 1), "the KV cache"),
      hidden_(buffer_bytes(program, program[program.hidden], most_tokens), "hidden states"),
      scratch_(pool.threads()) {
  if (program.logits != kNoBuffer)
    logits_ = HugeBuffer(buffer_bytes(program, program[program.logits], logit_rows_), "logits");
  for (const Choice &choice : plan.choices()) {
    std::vector<int64_t> sizes = choice.need.sizes;
    for (size_t m = 1; m <= choice.by_m.size(); ++m) {
      sizes[0] = static_cast<int64_t>(m);
      scratch_.reserve(*choice.by_m[m - 1], sizes.data());
    }
  }
  runs_.reserve(static_cast<size_t>(most_tokens));
  cached_.reserve(ThreadPool::kMostAnnounced);
  positions_ = input<int32_t>(program.positions);
  bind();
}

uint8_t *Executor::place(BufferId id) const {
  const Buffer &buffer = program_[id];
  if (buffer.kind == BufferKind::Weight) return weights_.at(id);
  if (buffer.kind == BufferKind::Cache) return cache_.data();
  if (buffer.kind == BufferKind::Output) return id == program_.logits ? logits_.data() : hidden_.data();
  return activations_.data() + buffers_.offsets[static_cast<size_t>(id)];
}

bool Executor::Form::operator==(const Form &o) const {
  return id == o.id && count == o.count && by_positions == o.by_positions && by_pages == o.by_pages &&
         local == o.local && states == o.states && operands == o.operands && bytes == o.bytes && sizes == o.sizes &&
         scalars == o.scalars && work == o.work && window == o.window &&
         std::memcmp(tensors.data(), o.tensors.data(), sizeof tensors) == 0;
}

size_t Executor::form_of(const Step &step) {
  Form form{step.id, step.count, step.by_positions, step.by_pages, step.local};
  form.operands = step.operands.size();
  for (size_t i = 0; i < form.operands; ++i) {
    const View &view = step.operands[i];
    std::copy(view.strides.begin(), view.strides.end(), form.tensors[i].stride);
    form.bytes[i] = element_bytes(program_[view.buffer].type);
    if (view.buffer == program_.states && step.section != Section::Pass) form.states = static_cast<int>(i);
  }
  std::copy(step.sizes.begin(), step.sizes.end(), form.sizes.begin());
  std::copy(step.scalars.begin(), step.scalars.end(), form.scalars.begin());
  form.work = step.work;
  form.window = step.window;
  if (!is_host_step(step.id)) form.choice = &plan_[step.id];
  const auto known = std::find(forms_.begin(), forms_.end(), form);
  if (known != forms_.end()) return static_cast<size_t>(known - forms_.begin());
  forms_.push_back(form);
  return forms_.size() - 1;
}

void Executor::bind() {
  forms_.clear();
  steps_.clear();
  sections_.fill(program_.steps.size());
  for (size_t i = program_.steps.size(); i-- > 0;) {
    const auto section = static_cast<size_t>(program_.steps[i].section);
    for (size_t s = 0; s <= section; ++s) sections_[s] = i;
  }
  for (const Step &step : program_.steps) {
    Bound bound{form_of(step)};
    for (size_t i = 0; i < step.operands.size(); ++i) {
      const View &view = step.operands[i];
      bound.data[i] = place(view.buffer) + view.offset * element_bytes(program_[view.buffer].type);
    }
    steps_.push_back(bound);
  }
  bind_announcements();
}

// Each step that streams through memory says, before it runs, what the next one will read.
void Executor::bind_announcements() {
  Bound *last = nullptr;
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step &step = program_.steps[i];
    const View *view = streamed(program_, step);
    if (!view) continue;
    if (last) {
      const Buffer &buffer = program_[view->buffer];
      last->next = place(view->buffer) + view->offset * element_bytes(buffer.type);
      if (buffer.kind == BufferKind::Cache) {
        const auto &values = step.operands[static_cast<size_t>(view - step.operands.data()) + 1];
        last->announce = Bound::Announce::Cached;
        last->next_values = place(values.buffer) + values.offset * element_bytes(buffer.type);
        last->next_bytes = buffer.row_elements() / (buffer.dims[0] * buffer.dims[1] * 2) * element_bytes(buffer.type);
        last->next_window = step.window;
      } else {
        last->announce = Bound::Announce::Array;
        last->next_bytes = buffer.row_elements() * (buffer.type == ElementType::Trits ? 1 : element_bytes(buffer.type));
        if (buffer.type == ElementType::Trits) last->next_bytes /= 4;
      }
    }
    last = &steps_[i];
    last->announce = Bound::Announce::None;
  }
}

void Executor::announce(const Bound &step) {
  if (step.announce == Bound::Announce::None) {
    pool_.announce({});
  } else if (step.announce == Bound::Announce::Array) {
    pool_.announce({{step.next, step.next_bytes}});
  } else {
    // Pages that the attention of one sequence will read; threads divide a page's heads among them.
    cached_.clear();
    if (batch_->tables.size() == 1) {
      const std::span<const int32_t> pages = batch_->tables[0].pages;
      const int64_t end = batch_->positions.back() + 1;
      const int64_t first = step.next_window ? std::max<int64_t>(0, batch_->positions.front() - step.next_window) : 0;
      const int64_t stride = program_.page_stride() * element_bytes(program_[program_.cache].type);
      for (const uint8_t *base : {step.next, step.next_values})
        for (int64_t page = first / kPagePositions; page * kPagePositions < end; ++page)
          if (cached_.size() < ThreadPool::kMostAnnounced)
            cached_.push_back({base + pages[static_cast<size_t>(page)] * stride, step.next_bytes});
          else
            break;
    }
    pool_.announce(cached_);
  }
}

void Executor::run(const Batch &batch) {
  const auto m = static_cast<int64_t>(batch.ids.size());
  std::copy(batch.ids.begin(), batch.ids.end(), input<int32_t>(program_.ids));
  std::copy(batch.positions.begin(), batch.positions.end(), positions_);
  std::copy(batch.sequences.begin(), batch.sequences.end(), input<int32_t>(program_.sequence_ids));
  const int64_t width = program_[program_.page_table].row_elements();
  for (const Batch::Pages &table : batch.tables)
    std::copy(table.pages.begin(), table.pages.end(), input<int32_t>(program_.page_table) + table.sequence * width);

  runs_.clear();
  size_t table = 0;
  for (int64_t i = 0; i < m;) {
    const auto at = static_cast<size_t>(i);
    const int32_t sequence = batch.sequences[at];
    while (batch.tables[table].sequence != sequence) table = (table + 1) % batch.tables.size();
    const int64_t p = batch.positions[at], slot = p % kPagePositions, most = std::min(kPagePositions - slot, m - i);
    int64_t count = 1;
    while (count < most && batch.sequences[at + static_cast<size_t>(count)] == sequence) ++count;
    const int32_t page = batch.tables[table].pages[static_cast<size_t>(p / kPagePositions)];
    runs_.push_back({i, count, page * program_.page_stride() + slot * program_.position_stride()});
    i += count;
  }
  batch_ = &batch;
  first_ = 0;
  walk(Section::Pass, m, static_cast<int64_t>(batch.wanted.size()));
  batch_ = nullptr;
}

void Executor::run(Section section, int64_t first, int64_t rows) {
  if (section == Section::Logits && rows > logit_rows_) {
    logits_ = HugeBuffer(buffer_bytes(program_, program_[program_.logits], rows), "logits");
    logit_rows_ = rows;
    bind();
  }
  first_ = first;
  walk(section, 0, rows);
}

std::span<const float> Executor::read(BufferId output, int64_t rows) const {
  return {reinterpret_cast<const float *>(place(output)), static_cast<size_t>(rows * program_[output].row_elements())};
}

void Executor::copy_page(int32_t from, int32_t to) {
  const int64_t bytes = program_.page_stride() * element_bytes(program_[program_.cache].type);
  std::memcpy(cache_.data() + to * bytes, cache_.data() + from * bytes, static_cast<size_t>(bytes));
}

void Executor::walk(Section section, int64_t tokens, int64_t rows) {
  const auto index = static_cast<size_t>(section);
  for (size_t i = sections_[index]; i < sections_[index + 1]; ++i) {
    const Bound &step = steps_[i];
    const Form &form = forms_[step.form];
    const int64_t m = form.count == Count::Tokens ? tokens : rows;
    if (m == 0) continue;
    if (step.announce != Bound::Announce::Nothing) announce(step);
    if (!form.choice) {
      do_host_step(form, step, m);
    } else if (form.by_pages) {
      store_runs(form, step);
    } else {
      int64_t work = form.work;
      if (form.by_positions) {
        int64_t seen = *std::max_element(positions_, positions_ + m) + 1;
        if (form.window) seen = std::min(seen, form.window);
        work *= seen;
      }
      launch_step(form, step, m, work);
    }
  }
}

void Executor::launch_step(const Form &form, const Bound &step, int64_t m, int64_t work) {
  std::array<bt_tensor, kMostOperands> tensors = form.tensors;
  for (size_t i = 0; i < form.operands; ++i) tensors[i].data = step.data[i];
  if (form.states >= 0) {
    const auto i = static_cast<size_t>(form.states);
    tensors[i].data = step.data[i] + first_ * tensors[i].stride[0] * form.bytes[i];
  }
  std::array<int64_t, BT_MAX_SIZES> sizes = form.sizes;
  sizes[0] = m;
  const bt_kernel &kernel = *form.choice->at(m);
  if (m * work < kWorthSplitting)
    launch_serial(kernel, tensors.data(), sizes.data(), form.scalars.data(), scratch_);
  else
    launch(pool_, kernel, tensors.data(), sizes.data(), form.scalars.data(), scratch_);
}

// Rows of every run go to their place in the cache.
void Executor::store_runs(const Form &form, const Bound &step) {
  const auto bound_to = [&](const Run &run) {
    Bound moved = step;
    for (size_t i = 0; i < form.operands; ++i) {
      const bool cached = i + 1 == form.operands;
      moved.data[i] += (cached ? run.offset : run.first * form.tensors[i].stride[0]) * form.bytes[i];
    }
    return moved;
  };
  if (runs_.size() <= kManyRuns) {
    for (const Run &run : runs_) launch_step(form, bound_to(run), run.count, form.work);
    return;
  }
  pool_.parallel(static_cast<int64_t>(runs_.size()), [&](int64_t index, int thread) {
    const Run &run = runs_[static_cast<size_t>(index)];
    const Bound moved = bound_to(run);
    std::array<bt_tensor, kMostOperands> tensors = form.tensors;
    for (size_t i = 0; i < form.operands; ++i) tensors[i].data = moved.data[i];
    std::array<int64_t, BT_MAX_SIZES> sizes = form.sizes;
    sizes[0] = run.count;
    const bt_kernel &kernel = *form.choice->at(run.count);
    const bt_args args{tensors.data(),     sizes.data(), form.scalars.data(), 0, bt_tile_count(&kernel, sizes.data()),
                       scratch_.of(thread)};
    kernel.fn(&args);
  });
}

void Executor::do_host_step(const Form &form, const Bound &step, int64_t m) {
  switch (form.id) {
    case StepId::FetchRows:
      return fetch_rows(form, step, m);
    case StepId::RopeAngles: {
      const RopeAngles &angles = form.local ? local_angles_ : angles_;
      const int64_t half = form.tensors[1].stride[0];
      for (int64_t i = 0; i < m; ++i)
        angles.fill(positions_[i], reinterpret_cast<float *>(step.data[1]) + i * half,
                    reinterpret_cast<float *>(step.data[2]) + i * half);
      return;
    }
    case StepId::Scale: {
      auto *x = reinterpret_cast<float *>(step.data[0]);
      for (int64_t i = 0; i < m * form.tensors[0].stride[0]; ++i) x[i] *= form.scalars[0];
      return;
    }
    case StepId::KeepWanted:
      return keep_wanted(form, step);
    default:
      return;
  }
}

// Rows of the embedding as the file holds them, f16 widened; and the row numbers by which the look-up then finds them.
void Executor::fetch_rows(const Form &form, const Bound &step, int64_t m) {
  const int64_t k = form.tensors[1].stride[0];
  for (int64_t i = 0; i < m; ++i) {
    uint8_t *row = step.data[1] + i * k * form.bytes[1];
    reinterpret_cast<int32_t *>(step.data[2])[i] = static_cast<int32_t>(i);
    const int32_t id = reinterpret_cast<const int32_t *>(step.data[0])[i];
    if (embedding_.dtype != DType::F16) {
      embedding_.fill(id, 1, row);
      continue;
    }
    // In the second half of the row first: widening from the front never reaches what it has still to read.
    embedding_.fill(id, 1, row + 2 * k);
    for (int64_t j = 0; j < k; ++j) {
      uint16_t half;
      std::memcpy(&half, row + 2 * k + 2 * j, sizeof half);
      const float wide = f16_to_f32(half);
      std::memcpy(row + 4 * j, &wide, sizeof wide);
    }
  }
}

void Executor::keep_wanted(const Form &form, const Bound &step) {
  const std::span<const int32_t> wanted = batch_->wanted;
  if (wanted.size() == batch_->ids.size()) return;
  for (size_t operand = 0; operand < form.operands; ++operand) {
    const int64_t bytes = form.tensors[operand].stride[0] * form.bytes[operand];
    for (size_t i = 0; i < wanted.size(); ++i)
      std::memmove(step.data[operand] + static_cast<int64_t>(i) * bytes, step.data[operand] + wanted[i] * bytes,
                   static_cast<size_t>(bytes));
  }
}

}  // namespace bittern::runtime
