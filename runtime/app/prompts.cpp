// bitnet-run --prompts: texts from the prompts of a file, as many at once as the engine has sequences for.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>

#include "runtime/app/commands.h"
#include "runtime/app/text.h"
#include "runtime/engine/scheduler.h"
#include "runtime/error.h"
#include "runtime/io/json.h"
#include "runtime/io/mapped_file.h"

namespace bittern::runtime {
namespace {

struct Prompt {
  size_t line;  // in the file, from 1
  std::string text;
  int64_t count;
  SamplingParams sampling;
};

// {"prompt": "...", "n": 5, "seed": 1, "temperature": 0.5}, all but the first optional.
Prompt prompt_of_json(std::string_view line, const std::string &name, const PromptsCommand &command) {
  const JsonDocument document(line, name);
  Prompt prompt{0, document.root().get("prompt").string(), command.count, command.sampling};
  for (const Json member : document.root()) {
    const std::string key = member.key();
    if (key == "n")
      prompt.count = member.integer(0, int64_t{1} << 40);
    else if (key == "seed")
      prompt.sampling.seed = static_cast<uint64_t>(member.integer(0, INT64_MAX));
    else if (key == "temperature")
      prompt.sampling.temperature = static_cast<float>(member.number(0, 1e6));
    else if (key != "prompt")
      member.fail("is not known; a prompt has \"prompt\", \"n\", \"seed\" and \"temperature\"");
  }
  return prompt;
}

// A prompt a line; lines without anything are left out of a .jsonl file.
std::vector<Prompt> read_prompts(const PromptsCommand &command) {
  const MappedFile file(command.file, uint64_t{1} << 30);
  const bool json = command.file.ends_with(".jsonl");
  std::vector<Prompt> prompts;
  size_t number = 0;
  for (std::string_view rest = file.text(); !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    ++number;
    if (!json) {
      prompts.push_back({number, std::string(line), command.count, command.sampling});
    } else if (line.find_first_not_of(" \t") != std::string_view::npos) {
      prompts.push_back(prompt_of_json(line, fmt::format("{}: line {}", command.file, number), command));
      prompts.back().line = number;
    }
  }
  if (prompts.empty()) throw Error(fmt::format("{}: there are no prompts", command.file));
  return prompts;
}

const char *reason_name(StopReason reason) {
  constexpr const char *kNames[] = {"count", "stop_token", "context", "stopped"};
  return kNames[static_cast<int>(reason)];
}

std::string text_of(const Tokenizer &tokenizer, const std::vector<int32_t> &tokens) {
  StreamDecoder decoder(tokenizer, true, true);
  std::string text;
  for (const int32_t token : tokens) text += decoder.push(token);
  return text + decoder.finish();
}

// What was made of each prompt, in the order of the file as soon as all before it are there.
class Printer {
 public:
  Printer(const Tokenizer &tokenizer, bool json, std::FILE *out) : tokenizer_(tokenizer), json_(json), out_(out) {}
  void add(const std::vector<int32_t> &prompt, Finished finished) {
    done_.emplace(finished.id, Entry{prompt, std::move(finished)});
    for (auto first = done_.begin(); first != done_.end() && first->first == next_; first = done_.erase(first)) {
      print(first->second);
      ++next_;
    }
  }
  // What others before it kept back, when no more will come.
  void flush() {
    for (const auto &[id, entry] : done_) print(entry);
    done_.clear();
  }

 private:
  struct Entry {
    std::vector<int32_t> prompt;
    Finished finished;
  };
  void print(const Entry &entry) {
    const std::string made = text_of(tokenizer_, entry.finished.tokens);
    std::string text;
    if (json_)
      text = nlohmann::ordered_json{{"index", entry.finished.id},
                                    {"text", made},
                                    {"tokens", entry.finished.tokens},
                                    {"prompt_tokens", entry.prompt.size()},
                                    {"stop", reason_name(entry.finished.reason)}}
                 .dump() +
             "\n";
    else
      text = (printed_ ? "\n" : "") + tokenizer_.decode(entry.prompt, true) + made + "\n";
    printed_ = true;
    if (std::fwrite(text.data(), 1, text.size(), out_) != text.size() || std::fflush(out_) != 0)
      throw Error("cannot write the text");
  }

  const Tokenizer &tokenizer_;
  bool json_, printed_ = false;
  std::FILE *out_;
  std::map<int64_t, Entry> done_;
  int64_t next_ = 0;
};

}  // namespace

void run_prompts(const PromptsCommand &command, const std::atomic<bool> &stop, std::FILE *out, std::FILE *err) {
  std::unique_ptr<ModelSource> source = open_model(command.model, command.open);
  check_has_head(*source);
  const std::unique_ptr<Tokenizer> tokenizer = open_tokenizer(*source);
  const std::vector<Prompt> prompts = read_prompts(command);
  EngineOptions options = command.engine;
  options.sequences = std::min<int64_t>(Engine::kMostSequences, static_cast<int64_t>(prompts.size()));
  Engine engine(std::move(source), options);
  Scheduler scheduler(engine);
  std::vector<std::vector<int32_t>> ids;
  for (const Prompt &prompt : prompts) {
    try {
      ids.push_back(encode_with_bos(*tokenizer, engine.config(), prompt.text));
      scheduler.add({ids.back(), prompt.count, command.ignore_eos,
                     resolve_sampling(prompt.sampling, engine.config().generation)});
    } catch (const Error &error) {
      throw Error(fmt::format("{}: line {}: {}", command.file, prompt.line, error.what()));
    }
  }

  Printer printer(*tokenizer, command.json, out);
  int64_t made = 0, done = 0;
  const auto start = std::chrono::steady_clock::now();
  const auto print_finished = [&] {
    while (std::optional<Finished> finished = scheduler.collect()) {
      ++done;
      printer.add(ids[static_cast<size_t>(finished->id)], std::move(*finished));
    }
  };
  print_finished();
  while (!scheduler.idle() && !stop.load(std::memory_order_relaxed)) {
    made += static_cast<int64_t>(scheduler.step().size());
    print_finished();
  }
  printer.flush();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const Scheduler::Figures &f = scheduler.figures();
  if (done < static_cast<int64_t>(prompts.size()))
    fmt::print(err, "stopped: {} of {} prompts are done\n", done, prompts.size());
  if (!command.json)
    fmt::print(err,
               "\n{} prompts, {} tokens made, {:.1f} tokens/s; {} tokens computed, {} shared, {} sequences put off\n{} "
               "kernels, {} sequences, {} pages of keys and values\n",
               prompts.size(), made, tokens_per_second(made, seconds), f.computed, f.shared, f.put_off,
               engine.origin_summary(), engine.sequences(), engine.pages());
}

}  // namespace bittern::runtime
