// The walk over packed units: which family of layouts it is and how its units lie.
#include "codegen/llvm/contraction.h"
#include "compiler/error.h"
#include "schedules/layout.h"

namespace bittern::codegen {

PackedWalk::PackedWalk(const std::string &layout_name) {
  const schedules::Layout &layout = schedules::find_layout(layout_name);
  quads = layout.k_tile == 16;
  rows_a_unit = quads ? 8 : 1;
  k_a_unit = layout.k_tile;
  interleave = layout.row_tile / rows_a_unit;
  if (layout.k_tile != 16 && layout.k_tile != 128)
    throw Error("layout " + layout_name + " is of no family that the contraction kernels walk");
}

}  // namespace bittern::codegen
