// Prints and reads schedules. The printed form is canonical (layout first, then parameters by name), so that equal
// schedules are equal strings in the tuning database.
#include "schedules/schedule.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>

#include "compiler/error.h"

namespace bittern::schedules {
namespace {

// A cursor over the text; every failure names the column it happened at (1-based).
class Reader {
 public:
  explicit Reader(const std::string &text) : text_(text) {}

  [[noreturn]] void fail(const std::string &what) const {
    throw Error(fmt::format("schedule \"{}\", column {}: {}", text_.substr(0, 200), at_ + 1, what));
  }
  bool done() const { return at_ == text_.size(); }
  bool take(char wanted) {
    if (done() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  void want(char wanted) {
    if (!take(wanted)) fail(fmt::format("expected '{}'", wanted));
  }
  std::string word(const char *what) {
    const size_t begin = at_;
    while (!done() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_')) ++at_;
    if (at_ == begin) fail(fmt::format("expected {}", what));
    return text_.substr(begin, at_ - begin);
  }
  int64_t number() {
    int64_t value = 0;
    const char *begin = text_.data() + at_, *end = text_.data() + text_.size();
    const auto [stop, error] = std::from_chars(begin, end, value);
    if (error != std::errc()) fail("expected a 64-bit integer");
    at_ += static_cast<size_t>(stop - begin);
    return value;
  }

 private:
  const std::string &text_;
  size_t at_ = 0;
};

}  // namespace

int64_t Schedule::get(const std::string &name, int64_t fallback) const {
  const auto found = params.find(name);
  return found == params.end() ? fallback : found->second;
}

std::string print_schedule(const Schedule &schedule) {
  std::string inside = schedule.layout.empty() ? "" : "layout=" + schedule.layout;
  for (const auto &[name, value] : schedule.params)
    inside += fmt::format("{}{}={}", inside.empty() ? "" : ",", name, value);
  return fmt::format("{}.{}{{{}}}", schedule.backend, schedule.template_name, inside);
}

Schedule parse_schedule(const std::string &text) {
  Reader reader(text);
  Schedule schedule;
  schedule.backend = reader.word("a backend's name");
  reader.want('.');
  schedule.template_name = reader.word("a template's name");
  reader.want('{');
  bool first = true;
  while (!reader.take('}')) {
    if (!first) reader.want(',');
    const std::string name = reader.word("a parameter's name");
    reader.want('=');
    if (name == "layout") {
      if (!first) reader.fail("layout comes first");
      schedule.layout = reader.word("a layout's name");
    } else if (!schedule.params.emplace(name, reader.number()).second) {
      reader.fail(fmt::format("parameter {} is given twice", name));
    }
    first = false;
  }
  if (!reader.done()) reader.fail("text after the closing brace");
  return schedule;
}

}  // namespace bittern::schedules
