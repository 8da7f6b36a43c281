// One row or bar a layout, grouped by shape, batch size and thread count, fastest first.
#include "tuning_db/commands/layout_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tuning_db/commands/report.h"

namespace bittern::tuning {
namespace {

using nlohmann::json;

std::string group_of(const LayoutTime &row) {
  return fmt::format("{} M={} {} thread{}", row.shape, row.m, row.threads, row.threads == 1 ? "" : "s");
}

// The fastest of each group; rows of a group are neighbours, fastest first.
double fastest(const std::vector<LayoutTime> &times, size_t i) {
  while (i > 0 && group_of(times[i - 1]) == group_of(times[i])) --i;
  return times[i].us;
}

}  // namespace

std::string layout_table(const std::vector<LayoutTime> &times) {
  if (times.empty()) return "";
  std::vector<std::vector<std::string>> rows = {
      {"shape", "layout", "us", "to best", "bits/weight", "ops/weight", "of read roof", "binds", "schedule"}};
  for (size_t i = 0; i < times.size(); ++i) {
    const LayoutTime &row = times[i];
    rows.push_back(
        {group_of(row), row.layout, fmt::format("{:.1f}", row.us), fmt::format("{:.2f}", row.us / fastest(times, i)),
         fmt::format("{:.2f}", row.bits_per_weight), row.operations > 0 ? fmt::format("{:.3f}", row.operations) : "-",
         row.roof_read_gb_s > 0 ? fmt::format("{:.0f} %{}", 100 * row.read_share, row.note.empty() ? "" : " !") : "-",
         row.bytes_bind() ? "bytes" : "instructions", row.schedule});
  }
  std::string notes;
  for (const LayoutTime &row : times)
    if (!row.note.empty()) notes += fmt::format("! {} {}: {}\n", group_of(row), row.layout, row.note);
  return text_table(rows) + notes;
}

json layout_json(const std::vector<LayoutTime> &times) {
  json rows = json::array();
  for (const LayoutTime &row : times)
    rows.push_back({{"what", row.what},
                    {"shape", row.shape},
                    {"m", row.m},
                    {"threads", row.threads},
                    {"layout", row.layout},
                    {"schedule", row.schedule},
                    {"us_median", row.us},
                    {"bits_per_weight", row.bits_per_weight},
                    {"operations_per_weight", row.operations > 0 ? json(row.operations) : json()},
                    {"roof_gb_s", row.roof_read_gb_s},
                    {"read_share", row.read_share},
                    {"note", row.note},
                    {"binds", row.bytes_bind() ? "bytes" : "instructions"}});
  return rows;
}

std::string layout_html(const std::vector<LayoutTime> &times) {
  if (times.empty()) return "";
  constexpr double kLeft = 120, kWidth = 640, kRow = 18;
  std::string bars, group;
  double y = 10, slowest = 0;
  for (size_t i = 0; i < times.size(); ++i) {
    const LayoutTime &row = times[i];
    if (group_of(row) != group) {
      group = group_of(row);
      slowest = row.us;
      for (size_t j = i; j < times.size() && group_of(times[j]) == group; ++j) slowest = std::max(slowest, times[j].us);
      y += 30;
      bars += fmt::format("<text x='0' y='{}' font-weight='bold'>{}</text>\n", y - 8, html_text(group));
    }
    const double width = kWidth * row.us / slowest, reading = std::min(1.0, row.read_share) * width;
    bars += fmt::format(
        "<g><title>{}</title><text x='{}' y='{}' text-anchor='end'>{}</text>"
        "<rect class='default' x='{}' y='{}' width='{:.1f}' height='12'/>"
        "<rect class='tuned' x='{}' y='{}' width='{:.1f}' height='12'/>"
        "<text x='{:.1f}' y='{}'>{:.1f} us, {}</text></g>\n",
        html_text(row.schedule), kLeft - 8, y + 10, row.layout, kLeft, y, width, kLeft, y, reading, kLeft + width + 6,
        y + 10, row.us, row.bytes_bind() ? "bytes" : "instructions");
    y += kRow;
  }
  return fmt::format(
      "<h2>Weight layouts</h2>\n<p>Time of the best kernel of each layout; the dark part is what reading its bytes at "
      "the roof would take.</p>\n<svg viewBox='0 0 960 {}' width='100%' role='img' aria-label='time by weight "
      "layout'>\n{}</svg>\n",
      y + 10, bars);
}

}  // namespace bittern::tuning
