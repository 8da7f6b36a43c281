// A program for people and for other programs: a table, JSON, and a picture.
#pragma once
#include <string>
#include <vector>

#include "runtime/program/program.h"

namespace bittern::runtime {

// The steps in order with what they read and write, and the buffers; layers with the same steps are shown once.
std::string program_text(const Program &program);
// {"model", "layers", "buffers": [...], "steps": [...]}, on one line; every layer in full.
std::string program_json(const Program &program);
// An SVG picture of the model: the steps of one layer of each kind and what flows between them.
std::string program_svg(const Program &program);

// Steps that are shown together: those before the layers, of one layer of each kind, or after them.
struct Fold {
  std::string title;  // "layers 0-28"
  size_t begin, end;  // indices of the steps
};
std::vector<Fold> folded(const Program &program);

// "M x 2560 f32": the shape and type of a buffer.
std::string shape_text(const Buffer &buffer);

}  // namespace bittern::runtime
