// Templates of the families whose files often come without one, or with a stale one (GGUF conversions). Written after
// the formats that the models' publishers describe; a row says how a vocabulary of the family is recognised.
#include <algorithm>
#include <cctype>

#include "runtime/chat/chat_template.h"

namespace bittern::runtime {

const std::vector<BuiltinTemplate> &builtin_templates() {
  static const std::vector<BuiltinTemplate> table = {
      // BitNet b1.58 2B-4T: Llama-3's vocabulary, but turns are plain words. The architecture tells it apart.
      {"bitnet",
       {"<|eot_id|>"},
       "bitnet",
       "{{ bos_token }}{% for message in messages %}"
       "{{ message.role | capitalize ~ ': ' ~ message.content | trim ~ '<|eot_id|>' }}{% endfor %}"
       "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}"},
      {"llama-3",
       {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
       "",
       "{{ bos_token }}{% for message in messages %}"
       "{{ '<|start_header_id|>' ~ message.role ~ '<|end_header_id|>\\n\\n' ~ message.content | trim ~ '<|eot_id|>' }}"
       "{% endfor %}"
       "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"},
      {"chatml",
       {"<|im_start|>", "<|im_end|>"},
       "",
       "{% for message in messages %}{{ '<|im_start|>' ~ message.role ~ '\\n' ~ message.content ~ '<|im_end|>\\n' }}"
       "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"},
      {"falcon3",
       {"<|system|>", "<|user|>", "<|assistant|>"},
       "",
       "{% for message in messages %}{{ '<|' ~ message.role ~ '|>\\n' ~ message.content }}"
       "{% if message.role == 'assistant' %}{{ eos_token }}{% endif %}{% if not loop.last or add_generation_prompt %}"
       "{{ '\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"},
      // A system message goes in front of the first user's.
      {"gemma",
       {"<start_of_turn>", "<end_of_turn>"},
       "",
       "{{ bos_token }}{% set ns = namespace(system='') %}{% for message in messages %}"
       "{% if message.role == 'system' %}{% set ns.system = message.content | trim ~ '\\n\\n' %}{% else %}"
       "{{ '<start_of_turn>' ~ ('model' if message.role == 'assistant' else message.role) ~ '\\n' ~ ns.system ~ "
       "message.content | trim ~ '<end_of_turn>\\n' }}{% set ns.system = '' %}{% endif %}{% endfor %}"
       "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"},
      // By name only: its marks are ordinary text, and base models have the same vocabulary.
      {"llama-2",
       {},
       "",
       "{% set ns = namespace(system='') %}{% for message in messages %}{% if message.role == 'system' %}"
       "{% set ns.system = '<<SYS>>\\n' ~ message.content | trim ~ '\\n<</SYS>>\\n\\n' %}"
       "{% elif message.role == 'user' %}{{ bos_token ~ '[INST] ' ~ ns.system ~ message.content | trim ~ ' [/INST]' }}"
       "{% set ns.system = '' %}{% else %}{{ ' ' ~ message.content | trim ~ ' ' ~ eos_token }}{% endif %}{% endfor %}"},
  };
  return table;
}

const BuiltinTemplate *recognise_template(const Tokenizer &tokenizer, const std::string &architecture) {
  std::string lower = architecture;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const BuiltinTemplate &row : builtin_templates()) {
    const bool has_all = std::all_of(row.tokens.begin(), row.tokens.end(),
                                     [&](std::string_view token) { return tokenizer.find(token) >= 0; });
    if (!row.tokens.empty() && has_all && lower.starts_with(row.architecture)) return &row;
  }
  return nullptr;
}

}  // namespace bittern::runtime
