// See chat_template.h.
#include "runtime/chat/chat_template.h"

#include <algorithm>

#include "runtime/io/utf8.h"

namespace bittern::runtime {
namespace {

std::tm local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm out{};
  localtime_r(&now, &out);
  return out;
}

jinja::Value text_value(std::string_view text) { return jinja::Value::string(std::string(text)); }

jinja::Value message_value(const Message &message) {
  jinja::Str content;
  content.append(utf8_sanitize(message.content), true);
  return jinja::Value::dict({{text_value("role"), text_value(message.role)},
                             {text_value("content"), jinja::Value::string(std::move(content))}});
}

}  // namespace

ChatTemplate::ChatTemplate(const ChatTemplateText &text, ChatVariables variables)
    : clock(local_time),
      name_(text.name),
      variables_(std::move(variables)),
      template_(std::make_shared<jinja::Template>(text.name, text.text)) {}

jinja::Str ChatTemplate::render(const std::vector<Message> &messages, bool add_generation_prompt) const {
  std::vector<jinja::Value> values;
  for (const Message &message : messages) values.push_back(message_value(message));
  // transformers passes tools and documents as None when there are none.
  const jinja::Value context =
      jinja::Value::dict({{text_value("messages"), jinja::Value::list(std::move(values))},
                          {text_value("add_generation_prompt"), jinja::Value::boolean(add_generation_prompt)},
                          {text_value("bos_token"), text_value(variables_.bos_token)},
                          {text_value("eos_token"), text_value(variables_.eos_token)},
                          {text_value("tools"), jinja::Value::none()},
                          {text_value("documents"), jinja::Value::none()}});
  return template_->render(context, clock);
}

std::vector<int32_t> ChatTemplate::encode(const Tokenizer &tokenizer, const std::vector<Message> &messages,
                                          bool add_generation_prompt) const {
  const jinja::Str text = render(messages, add_generation_prompt);
  return tokenizer.encode(text.text, false, ParseSpecial::except(text.marks));
}

int32_t ChatTemplate::end_of_turn(const Tokenizer &tokenizer) const {
  jinja::Str text;
  try {
    text = render({{"user", "a"}, {"assistant", "b"}}, false);
  } catch (const std::exception &) {
    return -1;  // a template that wants other messages says so when it is used
  }
  if (text.marks.empty()) return -1;
  const std::vector<int32_t> tail = tokenizer.encode(text.text.substr(text.marks.back().end), false);
  const auto special = std::find_if(tail.begin(), tail.end(), [&](int32_t id) { return tokenizer.is_special(id); });
  return special == tail.end() ? -1 : *special;
}

}  // namespace bittern::runtime
