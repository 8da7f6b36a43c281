// The sizes that every file format states of a model and what each may be, once for all formats: a format has a table
// that says what it calls them.
#pragma once
#include <cstdint>

#include "runtime/model/model_source.h"

namespace bittern::runtime {

struct IntegerField {
  int64_t ModelConfig::*value;
  int64_t least, most;
};
struct NamedField {
  const char *name;
  IntegerField field;
};

constexpr IntegerField kVocabField{&ModelConfig::vocab, 1, 1 << 24};
constexpr IntegerField kHiddenField{&ModelConfig::hidden, 2, kMaxWidth};
constexpr IntegerField kFfnField{&ModelConfig::ffn, 1, kMaxWidth};
constexpr IntegerField kLayersField{&ModelConfig::layers, 1, 1024};
constexpr IntegerField kHeadsField{&ModelConfig::heads, 1, 4096};
constexpr IntegerField kKvHeadsField{&ModelConfig::kv_heads, 1, 4096};
constexpr IntegerField kHeadDimField{&ModelConfig::head_dim, 2, 4096};
constexpr IntegerField kPositionsField{&ModelConfig::max_positions, 1, 1 << 27};

// Reads a field from what a format has under its name: anything with integer(least, most), which refuses the rest.
template <typename Value>
void read_field(const IntegerField &field, const Value &value, ModelConfig &config) {
  config.*field.value = value.integer(field.least, field.most);
}

}  // namespace bittern::runtime
