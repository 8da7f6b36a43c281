// Filters on sequences; the table in filters.cpp names them.
#pragma once
#include "runtime/chat/jinja/machine.h"

namespace bittern::runtime::jinja {

Value filter_batch(Machine &, const Value &, const Arguments &);
Value filter_dictsort(Machine &, const Value &, const Arguments &);
Value filter_first(Machine &, const Value &, const Arguments &);
Value filter_items(Machine &, const Value &, const Arguments &);
Value filter_join(Machine &, const Value &, const Arguments &);
Value filter_last(Machine &, const Value &, const Arguments &);
Value filter_list(Machine &, const Value &, const Arguments &);
Value filter_map(Machine &, const Value &, const Arguments &);
Value filter_max(Machine &, const Value &, const Arguments &);
Value filter_min(Machine &, const Value &, const Arguments &);
Value filter_reject(Machine &, const Value &, const Arguments &);
Value filter_rejectattr(Machine &, const Value &, const Arguments &);
Value filter_reverse(Machine &, const Value &, const Arguments &);
Value filter_select(Machine &, const Value &, const Arguments &);
Value filter_selectattr(Machine &, const Value &, const Arguments &);
Value filter_sort(Machine &, const Value &, const Arguments &);
Value filter_sum(Machine &, const Value &, const Arguments &);
Value filter_unique(Machine &, const Value &, const Arguments &);

}  // namespace bittern::runtime::jinja
