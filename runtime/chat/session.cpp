// See session.h.
#include "runtime/chat/session.h"

#include <algorithm>

#include "runtime/error.h"

namespace bittern::runtime {

ChatSession::ChatSession(Engine &engine, const Tokenizer &tokenizer, const ChatTemplate &chat_template,
                         const Sampling &sampling, int64_t count)
    : engine_(engine), tokenizer_(tokenizer), template_(chat_template) {
  options_.sampling = sampling;
  options_.count = count;
  if (const int32_t end = chat_template.end_of_turn(tokenizer); end >= 0) options_.stops.push_back(end);
  engine_.reset();
}

void ChatSession::set_system(const std::string &text) {
  const bool has = !messages_.empty() && messages_[0].role == "system";
  if (has) messages_.erase(messages_.begin());
  if (!text.empty()) messages_.insert(messages_.begin(), {"system", text});
}

void ChatSession::reset() {
  const bool has = !messages_.empty() && messages_[0].role == "system";
  messages_.resize(has ? 1 : 0);
}

ChatSession::Answer ChatSession::answer(const std::string &user, FunctionRef<void(const std::string &)> on_text,
                                        const std::atomic<bool> &interrupt) {
  std::vector<Message> asked = messages_;
  asked.push_back({"user", user});
  const std::vector<int32_t> prompt = template_.encode(tokenizer_, asked, true);
  if (static_cast<int64_t>(prompt.size()) > engine_.context())
    throw Error("the conversation is longer than the context: " + std::to_string(prompt.size()) +
                " tokens with this message, the context holds " + std::to_string(engine_.context()) +
                " (/reset starts a new one, -c makes room up to the model's " +
                std::to_string(engine_.config().max_positions) + ")");
  const auto same = std::mismatch(prompt.begin(), prompt.end(), cached_.begin(), cached_.end()).first;
  options_.kept = std::min(same - prompt.begin(), static_cast<std::ptrdiff_t>(engine_.position()));
  options_.interrupt = &interrupt;

  Answer answer;
  answer.prompt_tokens = static_cast<int64_t>(prompt.size());
  cached_.clear();  // if anything throws, nothing is known of the sequence
  StreamDecoder decoder(tokenizer_, true, true);
  const auto emit = [&](const std::string &piece) {
    answer.text += piece;
    if (!piece.empty()) on_text(piece);
  };
  answer.made = generate(engine_, prompt, options_, [&](int32_t token) {
    emit(decoder.push(token));
    return true;
  });
  emit(decoder.finish());
  answer.reused = answer.prompt_tokens - answer.made.prefilled;

  cached_ = prompt;
  cached_.insert(cached_.end(), answer.made.tokens.begin(), answer.made.tokens.end());
  cached_.resize(static_cast<size_t>(engine_.position()));  // the last token was sampled, not run
  if (!answer.made.tokens.empty()) {
    messages_ = std::move(asked);
    messages_.push_back({"assistant", answer.text});
  }
  return answer;
}

}  // namespace bittern::runtime
