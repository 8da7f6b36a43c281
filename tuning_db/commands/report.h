// What bitnet-tune prints when it is done: a table for people, JSON for programs, a picture in one HTML file.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tuning_db/search/tuner.h"

namespace bittern::tuning {

// Shape, M, threads, schedule, GB/s or GOP/s, % of roof, speed-up over the default ("tie" where it is one).
std::string outcome_table(const std::vector<Outcome> &outcomes);
nlohmann::json outcome_json(const Outcome &outcome);

// [{what, reason, count, none_left}], each reason once; `none_left`: no candidate of a batch size was any good.
nlohmann::json rejections_json(const TuningResult &result);

// `show`: per problem of this machine what was tried, rejected (with reasons, most frequent first), is untried, and
// won.
std::string show_text(Store &store, int64_t machine);
nlohmann::json show_json(Store &store, int64_t machine);

// A self-contained page: a bar per problem against its roof, the default's time beside it.
// `section`: more HTML, before the table.
std::string report_html(const std::vector<Outcome> &outcomes, const std::vector<std::string> &choices,
                        const std::string &section = "");
// Rows of cells in columns; the first row is the heading.
std::string text_table(const std::vector<std::vector<std::string>> &rows);
// Text as HTML shows it.
std::string html_text(const std::string &text);

}  // namespace bittern::tuning
