// Messages to the ids of a prompt, by the model's own chat template.
//
// The reference (transformers' apply_chat_template) renders the whole conversation to one text and tokenises that,
// special tokens included. Bittern does the same, so ids are equal, with one difference: the renderer knows which bytes
// of the text come from the contents of messages (jinja::Str::marks), and a special token that takes in any of them
// stays ordinary text. So a person who writes "<|eot_id|>" ends no turn, while merges across the border between
// template and message stay what the model was trained on. Roles come from a fixed list and count as the template's.
#pragma once
#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/chat/jinja/template.h"
#include "runtime/model/model_source.h"
#include "runtime/tokenizer/tokenizer.h"

namespace bittern::runtime {

struct Message {
  std::string role;  // "system", "user" or "assistant"
  std::string content;
  friend bool operator==(const Message &, const Message &) = default;
};

// What a template may ask for beside the messages.
struct ChatVariables {
  std::string bos_token, eos_token;
};

// A template's text and where it is from.
struct ChatTemplateText {
  std::string name;  // for messages: "F/tokenizer_config.json: chat_template", "built-in template llama-3"
  std::string text;
};

class ChatTemplate {
 public:
  // Throws Error with line and column when the template cannot be parsed.
  ChatTemplate(const ChatTemplateText &text, ChatVariables variables);
  const std::string &name() const { return name_; }

  // The conversation as text, with what comes from messages marked. `add_generation_prompt`: ends where the assistant's
  // answer begins. Throws Error when the template refuses the messages or fails.
  jinja::Str render(const std::vector<Message> &messages, bool add_generation_prompt) const;
  // The same as ids. Nothing is put in front that the template does not put there.
  std::vector<int32_t> encode(const Tokenizer &tokenizer, const std::vector<Message> &messages,
                              bool add_generation_prompt) const;
  // The special token that the template writes behind an assistant's answer, at which generation has to stop; -1 when
  // there is none.
  int32_t end_of_turn(const Tokenizer &tokenizer) const;

  // What strftime_now shows; the local time unless a test sets it.
  std::function<std::tm()> clock;

 private:
  std::string name_;
  ChatVariables variables_;
  std::shared_ptr<const jinja::Template> template_;
};

// The template of a model: `wanted` when it is not empty (a built-in name, the name of one of the model's own, or a
// file), else the model's own (chat_template.jinja, tokenizer_config.json's chat_template, a GGUF file's
// tokenizer.chat_template), else the built-in one that fits its vocabulary. `model_path` is the folder or file that the
// model was opened from. Throws Error when there is none.
ChatTemplate find_chat_template(const std::string &model_path, const ModelConfig &config, const Tokenizer &tokenizer,
                                const std::string &wanted);

// The table of built-in templates.
struct BuiltinTemplate {
  std::string_view name;
  std::vector<std::string_view> tokens;  // what a vocabulary must have to be taken for this family; empty: never
  std::string_view architecture;         // what the architecture must begin with, in lower case; empty: any
  std::string_view text;
};
const std::vector<BuiltinTemplate> &builtin_templates();
// The first of the table that fits, or null.
const BuiltinTemplate *recognise_template(const Tokenizer &tokenizer, const std::string &architecture);

}  // namespace bittern::runtime
