#include "tuning_db/commands/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "compiler/error.h"
#include "compiler/parser.h"
#include "runtime/machine/machine.h"
#include "schedules/space.h"
#include "tuning_db/search/rejections.h"

namespace bittern::tuning {
namespace {

using nlohmann::json;

std::string speed(const Outcome &o) {
  if (o.winner.us_median <= 0) return "-";
  return o.problem.m >= 32 ? fmt::format("{:.0f} GOP/s", o.gop_s) : fmt::format("{:.1f} GB/s", o.gb_s);
}

// A share that a note goes with has a mark.
std::string roof(const WinnerRecord &w) {
  return w.roof_pct > 0 ? fmt::format("{:.0f} %{}", w.roof_pct, w.note.empty() ? "" : " !") : "-";
}

std::string gain(const WinnerRecord &w) {
  if (w.default_us <= 0) return "-";
  // Too few rounds to be sure of what is plain to see.
  if (w.tie && (w.speedup > 1.25 || w.speedup < 0.8)) return fmt::format("{:.2f}x, few samples", w.speedup);
  return w.tie ? "tie" : fmt::format("{:.2f}x", w.speedup);
}

struct ShownProblem {
  Problem problem;
  size_t space = 0, illegal = 0, untried = 0;
  std::map<std::string, size_t> counts;             // of candidates, by status
  std::vector<std::pair<size_t, std::string>> why;  // rejections by reason, most frequent first
  std::vector<CandidateRecord> candidates;
  std::optional<WinnerRecord> winner;
  std::string winning;
  size_t samples = 0;
  std::string damage;  // why its space cannot be counted
};

// The database holds what was tried; what is illegal and what is untried comes from the space itself.
void add_space(ShownProblem &row, Rejections &why) {
  std::set<std::string> tried;
  for (const CandidateRecord &c : row.candidates)
    if (!c.shipped_default && c.status != Status::Untried) tried.insert(c.schedule);
  const compiler::KernelSpec spec = compiler::parse_kernel(row.problem.spec_text, "kernel");
  for (const schedules::Point &point :
       schedules::enumerate(spec, row.problem.sizes(), schedules::find_target(row.problem.target))) {
    ++row.space;
    if (!point.illegal.empty()) {
      ++row.illegal;
      why.add("", point.illegal);
    } else if (!tried.count(schedules::print_schedule(point.schedule))) {
      ++row.untried;
    }
  }
}

std::vector<ShownProblem> shown(Store &store, int64_t machine) {
  std::vector<ShownProblem> result;
  std::map<int64_t, size_t> at;
  Ids ids;
  for (StoredProblem &stored : store.problems(machine)) {
    at[stored.id] = result.size();
    ids.push_back(stored.id);
    result.emplace_back().problem = std::move(stored.problem);
  }
  for (auto &[id, winner] : store.winners(ids)) result[at.at(id)].winner = winner;
  for (const auto &[id, count] : store.sample_counts(ids)) result[at.at(id)].samples = count;
  for (CandidateRecord &c : store.candidates(ids)) {
    ShownProblem &row = result[at.at(c.problem)];
    ++row.counts[status_name(c.status)];
    if (row.winner && c.id == row.winner->candidate) row.winning = c.schedule;
    row.candidates.push_back(std::move(c));
  }
  for (ShownProblem &row : result) {
    Rejections why;
    for (const CandidateRecord &c : row.candidates)
      if (c.status == Status::Rejected) why.add(c.schedule, c.reason);
    try {
      add_space(row, why);
    } catch (const Error &error) {
      row.damage = error.what();  // a text or target that this version does not read: the rest is shown
    }
    row.why = why.list();
  }
  return result;
}

}  // namespace

std::string text_table(const std::vector<std::vector<std::string>> &rows) {
  std::vector<size_t> width;
  for (const auto &row : rows)
    for (size_t i = 0; i < row.size(); ++i) {
      width.resize(std::max(width.size(), row.size()));
      width[i] = std::max(width[i], row[i].size());
    }
  std::string text;
  for (const auto &row : rows) {
    std::string line;
    // Names to the left, numbers to the right, the last column (the schedule) as long as it likes.
    for (size_t i = 0; i < row.size(); ++i)
      line += i + 1 == row.size() ? row[i]
              : i < 2             ? fmt::format("{:<{}}  ", row[i], width[i])
                                  : fmt::format("{:>{}}  ", row[i], width[i]);
    text += line + "\n";
  }
  return text;
}

std::string html_text(const std::string &text) {
  std::string out;
  for (char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

std::string outcome_table(const std::vector<Outcome> &outcomes) {
  std::vector<std::vector<std::string>> rows = {
      {"what", "shape", "M", "threads", "us", "speed", "of roof", "over default", "schedule"}};
  for (const Outcome &o : outcomes)
    rows.push_back({o.what, o.problem.shape(), print_bucket({o.problem.m_min, o.problem.m_max}),
                    fmt::format("{}", o.problem.threads),
                    o.winner.us_median > 0 ? fmt::format("{:.1f}", o.winner.us_median) : "-", speed(o), roof(o.winner),
                    gain(o.winner), o.schedule + (o.reused ? "  (from the database)" : "")});
  std::string notes;
  for (const Outcome &o : outcomes)
    if (!o.winner.note.empty())
      notes += fmt::format("! {} M={} on {} thread{}: {}\n", o.problem.shape(),
                           print_bucket({o.problem.m_min, o.problem.m_max}), o.problem.threads,
                           o.problem.threads == 1 ? "" : "s", o.winner.note);
  return text_table(rows) + notes;
}

json outcome_json(const Outcome &o) {
  return {{"what", o.what},
          {"kernel", o.problem.spec_name},
          {"sizes", o.problem.fixed},
          {"shape", o.problem.shape()},
          {"m", o.problem.m},
          {"m_min", o.problem.m_min},
          {"m_max", o.problem.m_max},
          {"threads", o.problem.threads},
          {"backend", o.backend},
          {"schedule", o.schedule},
          {"layout", o.layout},
          {"us_median", o.winner.us_median},
          {"default_us", o.winner.default_us},
          {"gb_s", o.gb_s},
          {"gop_s", o.gop_s},
          {"roof_gb_s", o.winner.roof_read_gb_s},
          {"roof_gop_s", o.winner.roof_int8_gop_s},
          {"roof_pct", o.winner.roof_pct},
          {"note", o.winner.note},
          {"speedup", o.winner.speedup},
          {"tie", o.winner.tie},
          {"proof", o.proof.proof_id},
          {"space", o.space},
          {"tried", o.tried},
          {"rejected", o.rejected},
          {"reused", o.reused}};
}

json rejections_json(const TuningResult &result) {
  json rows = json::array();
  for (const auto &[what, why] : result.rejections) {
    const bool none_left = std::find(result.hopeless.begin(), result.hopeless.end(), what) != result.hopeless.end();
    for (const auto &[count, reason] : why.list())
      rows.push_back({{"what", what}, {"reason", reason}, {"count", count}, {"none_left", none_left}});
  }
  return rows;
}

std::string show_text(Store &store, int64_t machine) {
  std::string text;
  for (const ShownProblem &p : shown(store, machine)) {
    text += fmt::format("{} {} M={} threads={} ({})\n", p.problem.spec_name, p.problem.shape(),
                        print_bucket({p.problem.m_min, p.problem.m_max}), p.problem.threads, p.problem.target);
    text += fmt::format("  space of {} points: {} illegal, {} untried; candidates:", p.space, p.illegal, p.untried);
    for (const auto &[status, count] : p.counts) text += fmt::format(" {} {},", count, status);
    text += fmt::format(" {} samples\n", p.samples);
    for (size_t i = 0; i < p.why.size() && i < 12; ++i)
      text += fmt::format("  rejected {}: {}\n", p.why[i].first, p.why[i].second);
    if (p.why.size() > 12) text += fmt::format("  and {} more reasons (--json has all)\n", p.why.size() - 12);
    if (!p.damage.empty()) text += fmt::format("  its space cannot be shown: {}\n", p.damage);
    if (p.winner)
      text += fmt::format("  winner {}: {:.1f} us, {} of roof, {} over the default ({}, {}){}\n", p.winning,
                          p.winner->us_median, roof(*p.winner), gain(*p.winner), p.winner->patience, p.winner->when,
                          p.winner->note.empty() ? "" : "; " + p.winner->note);
    else
      text += "  no winner yet\n";
  }
  return text.empty() ? "nothing has been tuned on this machine yet\n" : text;
}

json show_json(Store &store, int64_t machine) {
  json problems = json::array();
  for (const ShownProblem &p : shown(store, machine)) {
    json candidates = json::array();
    for (const CandidateRecord &c : p.candidates)
      candidates.push_back({{"schedule", c.schedule},
                            {"default", c.shipped_default},
                            {"status", status_name(c.status)},
                            {"reason", c.reason},
                            {"prior", c.prior}});
    json row = {{"key", p.problem.key()},     {"kernel", p.problem.spec_name},
                {"shape", p.problem.shape()}, {"m_min", p.problem.m_min},
                {"m_max", p.problem.m_max},   {"threads", p.problem.threads},
                {"samples", p.samples},       {"counts", p.counts},
                {"candidates", candidates}};
    if (p.winner)
      row["winner"] = {{"schedule", p.winning},          {"us_median", p.winner->us_median},
                       {"roof_pct", p.winner->roof_pct}, {"speedup", p.winner->speedup},
                       {"note", p.winner->note},         {"tie", p.winner->tie},
                       {"patience", p.winner->patience}, {"when", p.winner->when}};
    problems.push_back(std::move(row));
  }
  return {{"fingerprint", runtime::machine_fingerprint().id()}, {"problems", problems}};
}

std::string report_html(const std::vector<Outcome> &outcomes, const std::vector<std::string> &choices,
                        const std::string &section) {
  constexpr double kLeft = 260, kWidth = 520, kRow = 34;
  const double height = kRow * static_cast<double>(outcomes.size()) + 40;
  std::string bars;
  double y = 30;
  for (const Outcome &o : outcomes) {
    const WinnerRecord &w = o.winner;
    const double tuned = std::min(100.0, w.roof_pct) / 100 * kWidth;
    const double untuned =
        w.us_median > 0 && w.default_us > 0 ? std::min(kWidth, tuned * w.us_median / w.default_us) : 0;
    bars += fmt::format(
        "<g><title>{}</title><text x='{}' y='{}' text-anchor='end'>{} M={} t={}</text>"
        "<rect class='tuned' x='{}' y='{}' width='{:.1f}' height='12'/>"
        "<rect class='default' x='{}' y='{}' width='{:.1f}' height='8'/>"
        "<text x='{:.1f}' y='{}'>{}, {}</text></g>\n",
        html_text(o.schedule), kLeft - 10, y + 13, html_text(o.problem.shape()),
        print_bucket({o.problem.m_min, o.problem.m_max}), o.problem.threads, kLeft, y, tuned, kLeft, y + 14, untuned,
        kLeft + std::max(tuned, untuned) + 6, y + 13, speed(o), gain(w));
    y += kRow;
  }
  std::string notes;
  for (const std::string &choice : choices) notes += "<li>" + html_text(choice) + "</li>\n";
  return fmt::format(
      "<!doctype html><meta charset='utf-8'><title>Bittern: tuned kernels</title>\n"
      "<style>body{{font:15px system-ui,sans-serif;margin:2em auto;max-width:960px;color:#222;background:#fff}}"
      "svg text{{font-size:12px;fill:#222}}.tuned{{fill:#1b7f6b}}.default{{fill:#c9b458}}.roof{{stroke:#a33;"
      "stroke-dasharray:4 3}}li{{font-size:13px}}pre{{font-size:12px;overflow-x:auto}}</style>\n"
      "<h1>Kernels tuned on {}</h1>\n<p>Each bar is the share of this machine's roof (read bandwidth at M=1, int8 "
      "multiply-add peak from M=32) that the tuned kernel reaches; the thin bar is the untuned default. The dashed "
      "line is "
      "the roof.</p>\n"
      "<svg viewBox='0 0 960 {}' width='100%' role='img' aria-label='share of the roof by problem'>\n"
      "<line class='roof' x1='{}' x2='{}' y1='10' y2='{}'/>\n{}</svg>\n<ul>\n{}</ul>\n{}<pre>{}</pre>\n",
      html_text(runtime::machine_fingerprint().brand), height, kLeft + kWidth, kLeft + kWidth, height - 10, bars, notes,
      section, html_text(outcome_table(outcomes)));
}

}  // namespace bittern::tuning
