// Executes interpreter code on concrete buffers.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "compiler/interpreter_code.h"
#include "compiler/tensor_data.h"

namespace bittern::compiler {

// A tensor the code loads from. `data` is dense in `type`'s dense form.
struct Buffer {
  std::string name;
  Type type = Type::F32;
  std::vector<int64_t> shape, stride;
  const uint8_t *data = nullptr;
};

class Machine {
 public:
  // `what` names the kernel in errors. `buffers` by tensor number; they may change between runs.
  Machine(std::string what, const std::vector<Buffer> &buffers, int slots)
      : what_(std::move(what)), buffers_(buffers), slots_(static_cast<size_t>(slots)) {}

  int64_t &slot(int number) { return slots_[static_cast<size_t>(number)]; }

  // Runs `code` for `lanes` values of its strip variable from slot value on (1 for code without one). The result's
  // register is valid until the next run of the same code; `uniform` results have one value.
  const uint32_t *run(const Code &code, int lanes, bool &uniform);
  // The value of code that is uniform.
  uint32_t scalar(const Code &code);

 private:
  struct Frame;
  void execute(const Instruction &in, Frame &frame, int lanes, int64_t lane_start);
  void load(const Instruction &in, Frame &frame, int lanes, int64_t lane_start);
  void reduce(const Instruction &in, Frame &frame);
  [[noreturn]] void fail(const std::string &message) const;
  [[noreturn]] void out_of_bounds(const Buffer &buffer, size_t dimension, int64_t index) const;

  std::string what_;
  const std::vector<Buffer> &buffers_;
  std::vector<int64_t> slots_;
  std::vector<std::vector<uint32_t>> frames_;  // registers, by depth of nested code
  size_t depth_ = 0;
};

}  // namespace bittern::compiler
