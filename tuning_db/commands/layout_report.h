// The comparison of weight layouts as text, JSON and a picture: which representation wins at which batch size and
// thread count, and whether its bytes or its instructions bind it.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tuning_db/search/tuner.h"

namespace bittern::tuning {

std::string layout_table(const std::vector<LayoutTime> &times);  // "" when there are none
nlohmann::json layout_json(const std::vector<LayoutTime> &times);
std::string layout_html(const std::vector<LayoutTime> &times);  // a section with an SVG; "" when there are none

}  // namespace bittern::tuning
