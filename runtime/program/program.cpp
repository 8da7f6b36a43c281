// See program.h: names, and what is counted from the data alone.
#include "runtime/program/program.h"

namespace bittern::runtime {

const char *step_name(StepId id) {
  constexpr const char *kNames[] = {"qkv",
                                    "q",
                                    "k/v",
                                    "o",
                                    "gate_up",
                                    "gate/up",
                                    "down",
                                    "head",
                                    "attention",
                                    "local_attention",
                                    "activation",
                                    "norm",
                                    "attn_sub_norm",
                                    "ffn_sub_norm",
                                    "final_norm",
                                    "attn_sub_norm_first",
                                    "ffn_sub_norm_first",
                                    "group_sums_hidden",
                                    "group_sums_q",
                                    "group_sums_ffn",
                                    "q_norm",
                                    "k_norm",
                                    "rope_q",
                                    "rope_k",
                                    "store_v",
                                    "residual",
                                    "embedding",
                                    "fetch_rows",
                                    "rope_angles",
                                    "scale",
                                    "keep_wanted"};
  static_assert(std::size(kNames) == static_cast<size_t>(StepId::Count));
  return kNames[static_cast<size_t>(id)];
}

const char *element_name(ElementType type) {
  constexpr const char *kNames[] = {"f32", "f16", "bf16", "i8", "i32", "ternary"};
  return kNames[static_cast<size_t>(type)];
}

int64_t element_bytes(ElementType type) {
  constexpr int64_t kBytes[] = {4, 2, 2, 1, 4, 0};
  return kBytes[static_cast<size_t>(type)];
}

const char *kind_name(BufferKind kind) {
  constexpr const char *kNames[] = {"weight", "activation", "cache", "input", "output"};
  return kNames[static_cast<size_t>(kind)];
}

const char *axis_name(Axis axis) {
  constexpr const char *kNames[] = {"", "M", "R", "B"};
  return kNames[static_cast<size_t>(axis)];
}

const Step *Program::find(StepId id) const {
  for (const Step &step : steps)
    if (step.id == id) return &step;
  return nullptr;
}

const View *streamed(const Program &program, const Step &step) {
  for (const View &view : step.operands) {
    const Buffer &buffer = program[view.buffer];
    const WeightOf::Of of = buffer.weight.of;
    if (of == WeightOf::Of::Matrix || (of == WeightOf::Of::Head && step.id == StepId::Head)) return &view;
    if (buffer.kind == BufferKind::Cache && !view.written) return &view;
  }
  return nullptr;
}

Footprint footprint(const Program &program) {
  Footprint f;
  for (const Buffer &buffer : program.buffers) {
    const int64_t elements = buffer.row_elements();
    if (buffer.weight.of == WeightOf::Of::Matrix) f.ternary_weights += elements;
    if (buffer.weight.of == WeightOf::Of::Head || buffer.weight.of == WeightOf::Of::HeadScales)
      f.head_bytes += elements * element_bytes(buffer.type);
    if (buffer.kind == BufferKind::Cache) {
      f.kv_capacity_bytes += elements * element_bytes(buffer.type);
      f.kv_bytes_per_position += elements / (buffer.dims[0] * kPagePositions) * element_bytes(buffer.type);
    }
  }
  f.ternary_bytes = f.ternary_weights / 4;
  return f;
}

}  // namespace bittern::runtime
