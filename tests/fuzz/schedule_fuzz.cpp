// Any bytes as a schedule's text: an Error, or a schedule that prints to a text that reads back as itself, whatever it
// means. What no template knows is refused by the table of templates, not by the reader.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "compiler/error.h"
#include "schedules/schedule.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  using namespace bittern::schedules;
  Schedule schedule;
  try {
    schedule = parse_schedule({reinterpret_cast<const char *>(data), size});
  } catch (const bittern::Error &) {
    return 0;
  }
  const std::string printed = print_schedule(schedule);
  const Schedule again = parse_schedule(printed);
  if (!(again == schedule) || print_schedule(again) != printed) std::abort();
  return 0;
}
