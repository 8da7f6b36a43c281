// See from_json.h.
#include "runtime/chat/jinja/from_json.h"

#include <nlohmann/json.hpp>

#include "runtime/error.h"

namespace bittern::runtime::jinja {
namespace {

using Json = nlohmann::ordered_json;

Value convert(const Json &json, int depth) {
  if (depth >= kMaxDepth) throw Error("JSON for a template is nested more than " + std::to_string(kMaxDepth) + " deep");
  switch (json.type()) {
    case Json::value_t::boolean:
      return Value::boolean(json.get<bool>());
    case Json::value_t::number_unsigned:
      if (json.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
        throw Error("JSON for a template has an integer beyond 64 bits: " + json.dump());
      return Value::integer(json.get<int64_t>());
    case Json::value_t::number_integer:
      return Value::integer(json.get<int64_t>());
    case Json::value_t::number_float:
      return Value::real(json.get<double>());
    case Json::value_t::string:
      return Value::string(json.get_ref<const std::string &>());
    case Json::value_t::array: {
      std::vector<Value> items;
      for (const Json &item : json) items.push_back(convert(item, depth + 1));
      return Value::list(std::move(items));
    }
    case Json::value_t::object: {
      std::vector<std::pair<Value, Value>> entries;
      for (const auto &[key, item] : json.items()) entries.emplace_back(Value::string(key), convert(item, depth + 1));
      return Value::dict(std::move(entries));
    }
    default:
      return Value::none();
  }
}

}  // namespace

Value from_json(const Json &json) { return convert(json, 0); }

}  // namespace bittern::runtime::jinja
