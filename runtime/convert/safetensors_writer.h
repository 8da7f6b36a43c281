// Writes one safetensors file from its beginning to its end: tensors come one after another, and the header, whose
// place is kept free, when all are known.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "runtime/io/output_file.h"

namespace bittern::runtime {

class SafetensorsWriter {
 public:
  // `tensors`: how many there will be at most; `name` stands for the file in messages; `metadata`: strings by name.
  SafetensorsWriter(const std::string &path, std::string name, int64_t tensors, nlohmann::ordered_json metadata);

  // Begins the next tensor; its bytes follow by write().
  void begin(const std::string &tensor, const char *dtype, const std::vector<int64_t> &shape);
  void write(const void *data, size_t bytes) { out_.write(data, bytes); }
  // A whole tensor of floats in the smallest dtype that holds every value exactly: BF16, else F16, else F32. Returns
  // it.
  const char *floats(const std::string &tensor, const std::vector<int64_t> &shape, std::span<const float> values);
  void finish();

 private:
  void end();

  OutputFile out_;
  std::string name_;
  uint64_t room_;
  std::string open_;  // the tensor that is being written
  nlohmann::ordered_json header_;
};

}  // namespace bittern::runtime
