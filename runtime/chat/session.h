// A conversation: the messages, and what of their prompt the engine's KV cache holds already, so that a turn runs only
// the tokens that are new.
#pragma once
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/chat/chat_template.h"
#include "runtime/engine/generate.h"

namespace bittern::runtime {

class ChatSession {
 public:
  // All three must outlive the session; the engine's sequence is the session's own. `count`: most tokens of an answer.
  ChatSession(Engine &engine, const Tokenizer &tokenizer, const ChatTemplate &chat_template, const Sampling &sampling,
              int64_t count);

  const std::vector<Message> &messages() const { return messages_; }
  void set_messages(std::vector<Message> messages) { messages_ = std::move(messages); }
  // Sets or, when it is empty, removes the system message in front.
  void set_system(const std::string &text);
  // Forgets everything but the system message.
  void reset();

  struct Answer {
    std::string text;
    Generation made;
    int64_t prompt_tokens = 0, reused = 0;  // reused: tokens of the prompt that were in the cache
  };
  // Adds the user's message and the answer, of which `on_text` gets each piece as it comes (valid UTF-8). `interrupt`
  // ends it; what was said until then stays in the conversation, and where nothing was, the user's message goes as
  // well. Throws Error, the conversation as before, when the prompt does not fit in the context or the template
  // refuses.
  Answer answer(const std::string &user, FunctionRef<void(const std::string &)> on_text,
                const std::atomic<bool> &interrupt);

 private:
  Engine &engine_;
  const Tokenizer &tokenizer_;
  const ChatTemplate &template_;
  GenerateOptions options_;
  std::vector<Message> messages_;
  std::vector<int32_t> cached_;  // the tokens of the engine's sequence
};

// A conversation as JSON: {"messages": [{"role": ..., "content": ...}, ...]}; the bare list is read as well.
// save: a file that is there is replaced only by a whole new one. load: throws Error naming file, field and byte.
void save_messages(const std::string &path, const std::vector<Message> &messages);
std::vector<Message> load_messages(const std::string &path);

}  // namespace bittern::runtime
