// The program of a model: what every family's steps must keep to, whatever they compute; the memory plan; the kernels
// that follow from it, in the order in which they are tuned.
#include "runtime/program/program.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "runtime/program/build.h"
#include "runtime/program/memory.h"
#include "runtime/program/needs.h"
#include "tests/made_model.h"

using namespace bittern::runtime;
using bittern::test::made_config;

namespace {

// Every way in which a configuration changes the steps.
std::vector<Program> programs() {
  std::vector<Program> all;
  for (int bits = 0; bits < 256; ++bits) {
    ModelConfig c = made_config();
    c.sub_norms = (bits & 1) != 0;
    c.linear_norms = (bits & 2) != 0;
    c.qk_norm = (bits & 4) != 0;
    c.post_norms = (bits & 8) != 0;
    c.window = (bits & 16) != 0 ? 9 : 0;
    c.global_every = 2;
    c.scale_group = (bits & 32) != 0 ? 64 : 0;
    c.has_head = (bits & 64) == 0;
    c.embedding_scale = (bits & 128) != 0 ? 2 : 1;
    ProgramOptions options;
    options.kv = (bits & 1) != 0 ? KvType::F16 : KvType::F32;
    options.head = (bits & 2) != 0 ? HeadType::Int8 : HeadType::File;
    all.push_back(build_program(c, options));
  }
  return all;
}

int64_t bytes_of(const Program &program, BufferId id, int64_t tokens) {
  return buffer_bytes(program, program[id], tokens);
}

}  // namespace

TEST_CASE("every step has its kernel's operands and reads only what was written before") {
  for (const Program &program : programs()) {
    std::set<BufferId> known;
    for (size_t i = 0; i < program.buffers.size(); ++i) {
      const BufferKind kind = program.buffers[i].kind;
      if (kind != BufferKind::Activation && kind != BufferKind::Output) known.insert(static_cast<BufferId>(i));
    }
    Section section = Section::Pass;
    for (const Step &step : program.steps) {
      CHECK(static_cast<int>(step.section) >= static_cast<int>(section));
      section = step.section;
      if (!is_host_step(step.id)) {
        const RoleInfo &role = role_info(step.role);
        CHECK(step.operands.size() == static_cast<size_t>(role.tensors));
        CHECK(step.sizes.size() == role.sizes.size());
        CHECK(step.scalars.size() == static_cast<size_t>(role.scalars));
        CHECK(step.operands.back().written);
      }
      for (const View &view : step.operands)
        if (!view.written) CHECK(known.count(view.buffer) == 1);
      for (const View &view : step.operands)
        if (view.written) known.insert(view.buffer);
    }
    CHECK(known.size() == program.buffers.size());
  }
}

TEST_CASE("buffers that matter at the same time do not share memory, and one layer's memory serves all") {
  for (const Program &program : programs()) {
    const BufferPlan plan = plan_buffers(program, 128);
    int64_t first_layer = 0;
    for (size_t a = 0; a < program.buffers.size(); ++a) {
      const Buffer &x = program.buffers[a];
      if (plan.offsets[a] < 0) continue;
      const int64_t end = plan.offsets[a] + bytes_of(program, static_cast<BufferId>(a), 128);
      CHECK(plan.offsets[a] % 64 == 0);
      CHECK(end <= plan.bytes);
      if (x.layer <= 0) first_layer += end - plan.offsets[a];
      for (size_t b = 0; b < a; ++b) {
        const Buffer &y = program.buffers[b];
        if (plan.offsets[b] < 0 || x.first > y.last || y.first > x.last) continue;
        const bool apart = plan.offsets[b] >= end ||
                           plan.offsets[b] + bytes_of(program, static_cast<BufferId>(b), 128) <= plan.offsets[a];
        CHECK(apart);
      }
    }
    CHECK(plan.bytes < first_layer);
  }
}

TEST_CASE("keys and values of layers, pages and heads do not overlap and fill the cache") {
  const Program program = programs()[0];
  std::set<int64_t> seen;
  const Buffer &cache = program[program.cache];
  for (const Step &step : program.steps) {
    if (step.id != StepId::Attention) continue;
    for (const size_t side : {1, 2}) {
      const View &view = step.operands[side];
      CHECK(view.strides[0] == program.page_stride());
      for (int64_t page = 0; page < cache.dims[0]; ++page)
        for (int64_t head = 0; head < program.config.kv_heads; ++head)
          for (int64_t position = 0; position < kPagePositions; ++position)
            CHECK(
                seen.insert(view.offset + page * view.strides[0] + head * view.strides[1] + position * view.strides[2])
                    .second);
    }
  }
  CHECK(static_cast<int64_t>(seen.size()) * program.config.head_dim == cache.row_elements());
}

TEST_CASE("what streams is followed through the layers to the head") {
  const Program program = programs()[0];
  std::vector<std::string> names;
  for (const Step &step : program.steps)
    if (streamed(program, step)) names.emplace_back(step_name(step.id));
  CHECK(names == std::vector<std::string>{"qkv", "attention", "o", "gate_up", "down", "qkv", "attention", "o",
                                          "gate_up", "down", "head"});
}

TEST_CASE("kernels are needed in the order in which they were always tuned") {
  const auto names = [](const ModelConfig &c) {
    std::string text;
    for (const KernelNeed &need : kernel_needs(build_program(c, {}))) text += std::string(step_name(need.id)) + " ";
    return text;
  };
  ModelConfig c = made_config();
  CHECK(names(c) ==
        "gate_up qkv down o head attention activation norm attn_sub_norm ffn_sub_norm final_norm rope_q rope_k store_v "
        "residual embedding ");
  c.linear_norms = c.qk_norm = true;
  c.window = 9;
  c.global_every = 2;
  c.scale_group = 64;
  CHECK(names(c) ==
        "gate/up down q o k/v head attention local_attention activation norm attn_sub_norm ffn_sub_norm final_norm "
        "attn_sub_norm_first ffn_sub_norm_first group_sums_hidden group_sums_q group_sums_ffn q_norm k_norm rope_q "
        "rope_k store_v residual embedding ");
}
