// A program for people and for other programs.
#pragma once
#include <string>

#include "runtime/program/program.h"

namespace bittern::runtime {

// The buffers and steps as a table; layers with the same steps are shown once.
std::string program_text(const Program &program);
// {"model", "buffers": [...], "steps": [...]}, one line.
std::string program_json(const Program &program);
// A picture of the model: the steps of one layer of each kind with what flows between them.
std::string program_svg(const Program &program);

// "M x 2560 f32".
std::string shape_text(const Buffer &buffer);

// Layers first .. last, which have the same steps; -1 for the steps before and after them.
struct Fold {
  int64_t layer;               // the first, whose steps are shown
  std::vector<int64_t> alike;  // all of them
  int begin, end;              // the shown steps
};
// The program's steps in order, equal layers folded: those before the layers, one of each kind, those after them.
std::vector<Fold> folded(const Program &program);

}  // namespace bittern::runtime
