// Decoding of the plain types that fields have.
#include "tuning_db/messages/fields.h"

#include <algorithm>
#include <cstring>

namespace bittern::tuning::wire {

using nlohmann::json;

void require(bool good, const std::string &where, const char *what) {
  if (!good) throw BadMessage(fmt::format("{} {}", where.empty() ? "the message" : "field \"" + where + "\"", what));
}

void no_others(const json &object, const std::vector<const char *> &known, const std::string &where) {
  if (object.size() == known.size()) return;  // all known ones are there
  for (const auto &[name, value] : object.items())
    if (std::none_of(known.begin(), known.end(), [&](const char *other) { return name == other; }))
      require(false, where.empty() ? name : where + "." + name, "is not known");
}

void decode(const json &given, std::string &value, const std::string &where) {
  require(given.is_string(), where, "is not text");
  value = given.get_ref<const std::string &>();
}

void decode(const json &given, bool &value, const std::string &where) {
  require(given.is_boolean(), where, "is neither true nor false");
  value = given.get<bool>();
}

void decode(const json &given, double &value, const std::string &where) {
  require(given.is_number(), where, "is not a number");
  value = given.get<double>();
}

void decode(const json &given, compiler::Sizes &value, const std::string &where) {
  require(given.is_object(), where, "is not an object");
  for (const auto &[name, size] : given.items()) decode(size, value[name], where + "." + name);
}

int64_t decode_integer(const json &given, int64_t least, int64_t most, const std::string &where) {
  require(given.is_number_integer(), where, "is not a whole number");
  require(!given.is_number_unsigned() || given.get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX), where,
          "is out of range");
  const auto value = given.get<int64_t>();
  require(value >= least && value <= most, where, "is out of range");
  return value;
}

}  // namespace bittern::tuning::wire
