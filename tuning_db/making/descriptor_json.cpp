#include "tuning_db/making/descriptor_json.h"

#include <algorithm>
#include <vector>

namespace bittern::tuning {

nlohmann::json descriptor_to_json(const codegen::Descriptor &d) {
  return {{"symbol", d.symbol},
          {"spec", d.spec},
          {"spec_hash", d.spec_hash},
          {"schedule", d.schedule},
          {"backend", d.backend},
          {"target", d.target},
          {"layout", d.layout},
          {"isa_needs", d.isa_needs},
          {"from_meanings", d.from_meanings},
          {"fixed", std::vector<int64_t>(d.fixed, d.fixed + BT_MAX_SIZES)},
          {"m_min", d.m_min},
          {"m_max", d.m_max},
          {"size_count", d.size_count},
          {"tensor_count", d.tensor_count},
          {"scalar_count", d.scalar_count},
          {"tile_size_index", d.tile_size_index},
          {"tile", d.tile},
          {"instructions", d.instructions},
          {"scratch_base", d.scratch_base},
          {"scratch_per", std::vector<int64_t>(d.scratch_per, d.scratch_per + BT_MAX_SIZES)}};
}

codegen::Descriptor descriptor_from_json(const nlohmann::json &j) {
  codegen::Descriptor d;
  const auto array = [&](const char *key, int64_t *out) {
    const auto values = j.at(key).get<std::vector<int64_t>>();
    std::copy_n(values.begin(), std::min<size_t>(values.size(), BT_MAX_SIZES), out);
  };
  j.at("symbol").get_to(d.symbol);
  j.at("spec").get_to(d.spec);
  j.at("spec_hash").get_to(d.spec_hash);
  j.at("schedule").get_to(d.schedule);
  j.at("backend").get_to(d.backend);
  j.at("target").get_to(d.target);
  j.at("layout").get_to(d.layout);
  j.at("isa_needs").get_to(d.isa_needs);
  j.at("from_meanings").get_to(d.from_meanings);
  array("fixed", d.fixed);
  j.at("m_min").get_to(d.m_min);
  j.at("m_max").get_to(d.m_max);
  j.at("size_count").get_to(d.size_count);
  j.at("tensor_count").get_to(d.tensor_count);
  j.at("scalar_count").get_to(d.scalar_count);
  j.at("tile_size_index").get_to(d.tile_size_index);
  j.at("tile").get_to(d.tile);
  j.at("instructions").get_to(d.instructions);
  j.at("scratch_base").get_to(d.scratch_base);
  array("scratch_per", d.scratch_per);
  return d;
}

}  // namespace bittern::tuning
