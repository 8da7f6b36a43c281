// bitnet-run chat: the loop around a conversation, its commands and what it prints.
#include <fmt/core.h>

#include <array>
#include <nlohmann/json.hpp>

#include "runtime/app/commands.h"
#include "runtime/app/text.h"
#include "runtime/chat/line_reader.h"
#include "runtime/chat/session.h"
#include "runtime/error.h"
#include "runtime/machine/machine.h"

namespace bittern::runtime {
namespace {

constexpr const char *kHelp =
    "/reset        start anew, with the same system message\n"
    "/system TEXT  set the system message; without TEXT remove it\n"
    "/save FILE    write the conversation as JSON\n"
    "/load FILE    go on with a conversation from a file\n"
    "/help         this\n"
    "/exit         leave, as Ctrl-D does\n"
    "//text        say \"/text\"\n"
    "Ctrl-C stops an answer.\n";

class Chat {
 public:
  Chat(const ChatCommand &command, ChatSession &session, const Engine &engine, std::atomic<bool> &interrupt,
       std::FILE *out, std::FILE *err)
      : command_(command), session_(session), engine_(engine), interrupt_(interrupt), out_(out), err_(err) {}

  void say(const std::string &text) {
    interrupt_ = false;
    const ChatSession::Answer answer =
        session_.answer(text, [&](const std::string &piece) { command_.json ? void() : put(piece); }, interrupt_);
    if (command_.json)
      print_json(answer);
    else
      print_end(answer);
    interrupt_ = false;
  }

  // Runs a line that begins with "/"; false: leave.
  bool command(const std::string &line) {
    const size_t space = std::min(line.find(' '), line.size());
    const std::string name = line.substr(0, space);
    const size_t begin = line.find_first_not_of(' ', space);
    const std::string rest = begin == std::string::npos ? "" : line.substr(begin);
    if (name == "/exit" || name == "/quit") return false;
    for (const Command &row : kCommands) {
      if (row.name != name) continue;
      (this->*row.run)(rest);
      return true;
    }
    throw Error(fmt::format("{} is no command; /help lists them, and //... says a text that begins with /", name));
  }

 private:
  struct Command {
    std::string_view name;
    void (Chat::*run)(const std::string &rest);
  };
  static const std::array<Command, 5> kCommands;

  void put(const std::string &text) {
    if (std::fwrite(text.data(), 1, text.size(), out_) != text.size() || std::fflush(out_) != 0)
      throw Error("cannot write the text");
  }
  void note(const std::string &text) {
    fmt::print(err_, "{}\n", text);
    std::fflush(err_);
  }

  void print_end(const ChatSession::Answer &answer) {
    put("\n");
    if (answer.made.reason == StopReason::Caller)
      note(answer.made.tokens.empty() ? "(stopped before it began; the message is forgotten)" : "(stopped)");
    if (answer.made.reason == StopReason::Context)
      note(fmt::format("(the context of {} tokens is full: /reset starts anew, -c makes room)", engine_.context()));
    if (answer.made.reason == StopReason::Count) note("(-n tokens reached)");
  }

  void print_json(const ChatSession::Answer &answer) {
    constexpr const char *kReasons[] = {"count", "stop", "context", "interrupted"};
    const nlohmann::ordered_json json = {
        {"role", "assistant"},
        {"content", answer.text},
        {"tokens", answer.made.tokens},
        {"prompt_tokens", answer.prompt_tokens},
        {"reused_tokens", answer.reused},
        {"stopped_by", kReasons[static_cast<int>(answer.made.reason)]},
        {"prefill_tok_s", tokens_per_second(answer.made.prefilled, answer.made.prefill_seconds)},
        {"decode_tok_s", tokens_per_second(answer.made.decode_steps, answer.made.decode_seconds)}};
    put(json.dump() + "\n");
  }

  void reset(const std::string &) {
    session_.reset();
    note("(a new conversation)");
  }
  void system(const std::string &text) {
    session_.set_system(text);
    note(text.empty() ? "(no system message)" : "(system message set)");
  }
  void save(const std::string &file) {
    if (file.empty()) throw Error("/save needs a file");
    save_messages(file, session_.messages());
    note(fmt::format("(saved {} messages to {})", session_.messages().size(), file));
  }
  void load(const std::string &file) {
    if (file.empty()) throw Error("/load needs a file");
    session_.set_messages(load_messages(file));
    note(fmt::format("(loaded {} messages from {})", session_.messages().size(), file));
  }
  void help(const std::string &) { note(kHelp); }

  const ChatCommand &command_;
  ChatSession &session_;
  const Engine &engine_;
  std::atomic<bool> &interrupt_;
  std::FILE *out_, *err_;
};

const std::array<Chat::Command, 5> Chat::kCommands = {{{"/reset", &Chat::reset},
                                                       {"/system", &Chat::system},
                                                       {"/save", &Chat::save},
                                                       {"/load", &Chat::load},
                                                       {"/help", &Chat::help}}};

// Lines until the end. Errors of one line are told and do not end the conversation; without a terminal they make the
// program fail at the end.
bool converse(Chat &chat, LineReader &reader, std::FILE *err) {
  bool good = true, asked_to_leave = false;
  std::string line;
  while (true) {
    const LineReader::Event event = reader.read("> ", line);
    if (event == LineReader::Event::End) return good;
    if (event == LineReader::Event::InterruptedEmpty) {
      if (asked_to_leave) return good;
      fmt::print(err, "(Ctrl-C again or Ctrl-D leaves)\n");
      asked_to_leave = true;
      continue;
    }
    asked_to_leave = false;
    if (event == LineReader::Event::Interrupted || line.find_first_not_of(" \t") == std::string::npos) continue;
    try {
      if (line.starts_with("//"))
        chat.say(line.substr(1));
      else if (!line.starts_with('/'))
        chat.say(line);
      else if (!chat.command(line))
        return good;
    } catch (const Error &error) {
      fmt::print(err, "error: {}\n", error.what());
      good = reader.interactive();
    }
  }
}

}  // namespace

bool run_chat(const ChatCommand &command, std::atomic<bool> &interrupt, std::FILE *out, std::FILE *err) {
  std::unique_ptr<ModelSource> source = open_model(command.model, command.open);
  const std::unique_ptr<Tokenizer> tokenizer = open_tokenizer(*source);
  const ChatTemplate chat_template =
      find_chat_template(source->path(), source->config(), *tokenizer, command.chat_template);
  const Sampling sampling = resolve_sampling(command.sampling, source->config().generation);
  Engine engine(std::move(source), command.engine);
  ChatSession session(engine, *tokenizer, chat_template, sampling, command.count);
  session.set_system(command.system);
  Chat chat(command, session, engine, interrupt, out, err);
  if (command.has_prompt) {
    chat.say(command.prompt);
    return true;
  }
  const std::string cache = cache_folder();
  LineReader reader(cache.empty() ? cache : cache + "/chat_history", interrupt);
  if (reader.interactive()) fmt::print(err, "{}, {}; /help lists the commands\n", command.model, chat_template.name());
  const bool good = converse(chat, reader, err);
  if (reader.interactive()) fmt::print(out, "\n");
  return good;
}

}  // namespace bittern::runtime
