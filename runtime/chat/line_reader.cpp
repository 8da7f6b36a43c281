// libedit asks for characters through our own function, which comes back when SIGINT arrives: so Ctrl-C ends the line,
// whatever libedit itself would do with the signal. It works in the locale C.UTF-8, whatever the environment says.
#include "runtime/chat/line_reader.h"

#include <histedit.h>
#include <locale.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "runtime/error.h"
#include "runtime/io/atomic_file.h"
#include "runtime/io/utf8.h"

namespace bittern::runtime {

struct LineReader::Editor {
  EditLine *line = nullptr;
  History *history = nullptr;
  HistEvent event{};
  std::string file, prompt;
  std::atomic<bool> *interrupt = nullptr;
  bool interrupted = false, was_empty = false;

  static Editor &of(EditLine *line) {
    void *self = nullptr;
    el_get(line, EL_CLIENTDATA, &self);
    return *static_cast<Editor *>(self);
  }
  static char *prompt_of(EditLine *line) { return of(line).prompt.data(); }

  // 1 and a character, 0 at the end of input, -1 when interrupted.
  static int next_character(EditLine *line, wchar_t *out) {
    Editor &self = of(line);
    std::string bytes;
    while (true) {
      if (self.interrupt->load()) {
        const LineInfo *info = el_line(line);
        self.interrupted = true;
        self.was_empty = info->lastchar == info->buffer;
        return -1;
      }
      char byte = 0;
      const ssize_t got = ::read(STDIN_FILENO, &byte, 1);
      if (got == 0) return 0;
      if (got < 0) {
        if (errno == EINTR || errno == EAGAIN) continue;
        return -1;
      }
      bytes += byte;
      const Utf8Step step = utf8_step(bytes);
      if (step.incomplete) continue;
      *out = step.valid ? static_cast<wchar_t>(utf8_code_point(bytes)) : L'\uFFFD';
      return 1;
    }
  }

  void save() {
    if (file.empty()) return;
    // A new file in place of the old one, so that two programs at once cannot mix theirs.
    try {
      AtomicFile out(file, {.ours = true});
      std::FILE *stream = fdopen(dup(out.fd()), "w");
      const bool written = stream && ::history(history, &event, H_SAVE_FP, stream) >= 0;
      if (stream && std::fclose(stream) == 0 && written) out.commit();
    } catch (const Error &) {  // lines of earlier conversations are a comfort, not a result
    }
  }
};

LineReader::LineReader(std::string history_file, std::atomic<bool> &interrupt) : interrupt_(interrupt) {
  if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) return;
  setlocale(LC_CTYPE, "C.UTF-8");
  editor_ = std::make_unique<Editor>();
  editor_->interrupt = &interrupt;
  editor_->file = std::move(history_file);
  editor_->history = history_init();
  history(editor_->history, &editor_->event, H_SETSIZE, 1000);
  history(editor_->history, &editor_->event, H_SETUNIQUE, 1);
  if (!editor_->file.empty()) {
    std::error_code ignored;
    std::filesystem::create_directories(std::filesystem::path(editor_->file).parent_path(), ignored);
    history(editor_->history, &editor_->event, H_LOAD, editor_->file.c_str());
  }
  editor_->line = el_init("bitnet-run", stdin, stdout, stderr);
  el_set(editor_->line, EL_CLIENTDATA, editor_.get());
  el_set(editor_->line, EL_PROMPT, Editor::prompt_of);
  el_set(editor_->line, EL_EDITOR, "emacs");
  el_set(editor_->line, EL_SIGNAL, 0);
  el_set(editor_->line, EL_HIST, history, editor_->history);
  el_set(editor_->line, EL_GETCFN, Editor::next_character);
}

LineReader::~LineReader() {
  if (!editor_) return;
  el_end(editor_->line);
  history_end(editor_->history);
}

bool LineReader::interactive() const { return editor_ != nullptr; }

LineReader::Event LineReader::read(const std::string &prompt, std::string &line) {
  interrupt_ = false;
  line.clear();
  if (!editor_) return read_plain(line);
  Editor &editor = *editor_;
  editor.prompt = prompt;
  editor.interrupted = false;
  el_resize(editor.line);  // the window may have changed during the answer
  int count = 0;
  const char *text = el_gets(editor.line, &count);
  if (editor.interrupted) {
    el_reset(editor.line);
    std::fputs("^C\n", stdout);
    std::fflush(stdout);
    interrupt_ = false;
    return editor.was_empty ? Event::InterruptedEmpty : Event::Interrupted;
  }
  if (!text || count <= 0) return Event::End;
  line = text;
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
  line = utf8_sanitize(line);
  if (line.find_first_not_of(" \t") != std::string::npos) {
    history(editor.history, &editor.event, H_ENTER, line.c_str());
    editor.save();
  }
  return Event::Line;
}

LineReader::Event LineReader::read_plain(std::string &line) {
  while (true) {
    const size_t end = buffer_.find('\n');
    if (end != std::string::npos || ended_) {
      if (buffer_.empty()) return Event::End;
      line = utf8_sanitize(std::string_view(buffer_).substr(0, end));
      buffer_.erase(0, end == std::string::npos ? end : end + 1);
      if (line.ends_with('\r')) line.pop_back();
      return Event::Line;
    }
    if (interrupt_) return Event::End;
    char bytes[4096];
    const ssize_t got = ::read(STDIN_FILENO, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      ended_ = true;
    else
      buffer_.append(bytes, static_cast<size_t>(got));
  }
}

}  // namespace bittern::runtime
