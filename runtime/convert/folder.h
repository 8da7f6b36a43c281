// What the two folder formats share: the files beside the tensors, and tensors of floats.
#pragma once
#include <string>
#include <vector>

#include "runtime/convert/conversion.h"
#include "runtime/convert/safetensors_writer.h"

namespace bittern::runtime {

// Names that a folder of ours may hold, and that may therefore be replaced with --force.
std::vector<std::string> folder_names();

// Writes config.json, generation_config.json and the model's files into the folder.
void write_folder_files(const Conversion &conversion);

// Streams a matrix of floats at its own precision.
void write_float_matrix(const Conversion &conversion, SafetensorsWriter &out, const std::string &name,
                        const FloatMatrix &matrix);

// The scales of a linear layer (or of several fused ones) in BF16 where that is exact, else F32, counted.
class ScaleWriter {
 public:
  ScaleWriter(const Conversion &conversion, SafetensorsWriter &out) : conversion_(conversion), out_(out) {}
  void write(const std::string &name, const std::vector<float> &scales);
  // Says how many needed F32, if any.
  void report() const;

 private:
  const Conversion &conversion_;
  SafetensorsWriter &out_;
  int64_t all_ = 0, wide_ = 0;
};

}  // namespace bittern::runtime
