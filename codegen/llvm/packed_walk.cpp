// The walk over packed units: which family of layouts it is and how its units lie.
#include "codegen/llvm/contraction.h"
#include "compiler/error.h"
#include "schedules/layout.h"

namespace bittern::codegen {

PackedWalk::PackedWalk(const std::string &layout_name) {
  const schedules::Layout &layout = schedules::find_layout(layout_name);
  if (layout.family != schedules::LayoutFamily::Rows && layout.family != schedules::LayoutFamily::Quads)
    throw Error("layout " + layout_name + " is of no family that the contraction kernels walk");
  quads = layout.family == schedules::LayoutFamily::Quads;
  rows_per_unit = layout.rows_per_unit();
  k_per_unit = layout.k_tile;
  interleave = layout.units_per_tile();
}

}  // namespace bittern::codegen
