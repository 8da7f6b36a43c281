#include "runtime/model/hf_config.h"

#include <fmt/format.h>

#include "runtime/error.h"
#include "runtime/io/join.h"
#include "runtime/io/json.h"
#include "runtime/model/config_fields.h"
#include "runtime/model/families/family.h"
#include "runtime/model/families/fields.h"

namespace bittern::runtime {
namespace {

constexpr NamedField kHfIntegers[] = {{"vocab_size", kVocabField},
                                      {"hidden_size", kHiddenField},
                                      {"intermediate_size", kFfnField},
                                      {"num_hidden_layers", kLayersField},
                                      {"num_attention_heads", kHeadsField},
                                      {"num_key_value_heads", kKvHeadsField},
                                      {"max_position_embeddings", kPositionsField}};

const Family &read_family(const Json &root, bool has_modules) {
  const Json list = root.get("architectures");
  list.expect(Json::Type::Array);
  if (list.size() != 1) list.fail(fmt::format("expected one name, found {}", list.size()));
  const Json first = *list.begin();
  const std::string name = first.string();
  const Family *family = find_family(name, has_modules);
  if (!family)
    first.fail(fmt::format("'{}' is not supported (supported: {})", name, join_names(family_architectures())));
  return *family;
}

// Width of attention: heads, and the size of each.
void read_heads(const Json &root, ModelConfig &model) {
  if (model.heads % model.kv_heads != 0) {
    root.get("num_key_value_heads").fail(fmt::format("{} does not divide {} heads", model.kv_heads, model.heads));
  }
  if (const auto head_dim = root.find_value("head_dim")) {
    read_field(kHeadDimField, *head_dim, model);
    if (model.head_dim % 2 != 0) head_dim->fail(fmt::format("{} is odd", model.head_dim));
  } else {
    model.head_dim = model.hidden / model.heads;
    if (model.hidden % model.heads != 0 || model.head_dim % 2 != 0) {
      root.get("num_attention_heads")
          .fail(fmt::format("hidden_size {} / {} heads is not an even number", model.hidden, model.heads));
    }
  }
  if (model.heads * model.head_dim > kMaxWidth) {
    root.get("num_attention_heads")
        .fail(fmt::format("{} heads of {} are more than {} wide", model.heads, model.head_dim, kMaxWidth));
  }
}

int32_t read_id(const Json &value, int64_t vocab) { return static_cast<int32_t>(value.integer(0, vocab - 1)); }

std::vector<int32_t> read_ids(const Json &value, int64_t vocab) {
  std::vector<int32_t> ids;
  if (value.is(Json::Type::Array)) {
    for (const Json item : value) ids.push_back(read_id(item, vocab));
  } else {
    ids.push_back(read_id(value, vocab));
  }
  return ids;
}

}  // namespace

HfConfig parse_hf_config(std::string_view text, const std::string &name, bool has_modules) {
  const JsonDocument document(text, name);
  const Json root = document.root();
  root.expect(Json::Type::Object);
  HfConfig config;
  ModelConfig &model = config.model;
  config.family = &read_family(root, has_modules);
  model.architecture = config.family->architecture;
  for (const auto &[name_in_file, field] : kHfIntegers) read_field(field, root.get(name_in_file), model);
  read_heads(root, model);
  model.rms_eps = static_cast<float>(root.get("rms_norm_eps").number(1e-12, 0.1));
  for (const char *bias : {"attention_bias", "mlp_bias"}) refuse_true(root, bias);
  // transformers' default for an absent tie_word_embeddings is false.
  if (const auto tied = root.find_value("tie_word_embeddings")) model.tied_head = tied->boolean();
  if (const auto bos = root.find_value("bos_token_id")) model.bos = read_id(*bos, model.vocab);
  if (const auto eos = root.find_value("eos_token_id")) model.eos = read_ids(*eos, model.vocab);
  config.family->read(root, config);
  return config;
}

void parse_generation_config(std::string_view text, const std::string &name, ModelConfig &config) {
  const JsonDocument document(text, name);
  const Json root = document.root();
  root.expect(Json::Type::Object);
  const auto number = [&](const char *field, float &value, double least, double most) {
    if (const auto found = root.find_value(field)) value = static_cast<float>(found->number(least, most));
  };
  ModelConfig::Generation &generation = config.generation;
  number("temperature", generation.temperature, 0, 1e6);
  number("top_p", generation.top_p, 0, 1);
  number("min_p", generation.min_p, 0, 1);
  number("repetition_penalty", generation.repetition_penalty, 1e-3, 1e3);
  if (const auto top_k = root.find_value("top_k")) generation.top_k = static_cast<int>(top_k->integer(0, INT32_MAX));
  if (const auto do_sample = root.find_value("do_sample")) generation.do_sample = do_sample->boolean();
  if (const auto eos = root.find_value("eos_token_id")) config.eos = read_ids(*eos, config.vocab);
  if (const auto bos = root.find_value("bos_token_id"); bos && config.bos < 0) config.bos = read_id(*bos, config.vocab);
}

}  // namespace bittern::runtime
