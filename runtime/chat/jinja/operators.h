// Python's operators on values. Each throws Problem with Python's reason when the types do not fit, the result does not
// fit in 64 bits, or a limit of the machine is reached.
#pragma once
#include <string_view>

#include "runtime/chat/jinja/machine.h"

namespace bittern::runtime::jinja {

// `a operation b` for + - * / // % **.
Value arithmetic(Machine &machine, std::string_view operation, const Value &a, const Value &b);
Value negate(const Value &value);
Value positive(const Value &value);

bool equal(Machine &machine, const Value &a, const Value &b);
bool less(Machine &machine, const Value &a, const Value &b);
// `a operation b` for == != < <= > >= in notin.
bool compare(Machine &machine, std::string_view operation, const Value &a, const Value &b);
bool contains(Machine &machine, const Value &container, const Value &item);

// len(value).
int64_t length_of(Machine &machine, const Value &value);
// value[begin:end:step]; undefined stands for an absent bound.
Value slice(Machine &machine, const Value &value, const Value &begin, const Value &end, const Value &step);
// The value of a key, or null. Throws Problem when the key is a list or dict.
const Value *find_key(Machine &machine, const Entries &dict, const Value &key);
// Sets a key, in its place when it is there.
void set_key(Machine &machine, std::vector<std::pair<Value, Value>> &entries, Value key, Value value);
// The string's characters as strings.
std::vector<Value> characters(Machine &machine, const Str &string);

}  // namespace bittern::runtime::jinja
