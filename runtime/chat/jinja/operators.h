// Python's operators on values. Each throws Fault with Python's reason when the types do not fit, the result does not
// fit in 64 bits, or a limit of the interpreter is reached.
#pragma once
#include <string_view>

#include "runtime/chat/jinja/interpreter.h"

namespace bittern::runtime::jinja {

// `a operation b` for + - * / // % **.
Value arithmetic(Interpreter &interpreter, std::string_view operation, const Value &a, const Value &b);
Value negate(const Value &value);
Value positive(const Value &value);

bool equal(Interpreter &interpreter, const Value &a, const Value &b);
bool less(Interpreter &interpreter, const Value &a, const Value &b);
// `a operation b` for == != < <= > >= in notin.
bool compare(Interpreter &interpreter, std::string_view operation, const Value &a, const Value &b);
bool contains(Interpreter &interpreter, const Value &container, const Value &item);

// len(value).
int64_t length_of(Interpreter &interpreter, const Value &value);
// value[begin:end:step]; undefined stands for an absent bound.
Value slice(Interpreter &interpreter, const Value &value, const Value &begin, const Value &end, const Value &step);
// The value of a key, or null. Throws Fault when the key is a list or dict.
const Value *find_key(Interpreter &interpreter, const Entries &dict, const Value &key);
// Sets a key, in its place when it is there.
void set_key(Interpreter &interpreter, std::vector<std::pair<Value, Value>> &entries, Value key, Value value);
// The string's characters as strings.
std::vector<Value> characters(Interpreter &interpreter, const Str &string);

}  // namespace bittern::runtime::jinja
