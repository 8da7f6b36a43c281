// What bitnet-bench prints: tables for people, one JSON object for programs. The JSON keys are stable.
#pragma once
#include <string>
#include <vector>

#include "runtime/bench/kernel_bench.h"
#include "runtime/bench/model_bench.h"

namespace bittern::runtime {

struct RoofFigures {
  int threads = 1;
  double read_gb_s = 0, int8_gop_s = 0;
  std::string read_form, multiply_form;
};

std::string roof_table(const std::vector<RoofFigures> &);
std::string kernel_table(const std::vector<KernelFigures> &);
std::string model_table(const ModelFigures &);
std::string batch_table(const BatchReport &);

std::string roof_json(const std::vector<RoofFigures> &);
std::string kernel_json(const std::vector<KernelFigures> &);
std::string model_json(const ModelFigures &);
std::string batch_json(const BatchReport &);

}  // namespace bittern::runtime
