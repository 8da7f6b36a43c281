// bitnet-run: text, logits, perplexity, embeddings from a BitNet model. The command line only; the work is in
// runtime/app.
#include <CLI/CLI.hpp>
#include <string>

#include "runtime/app/commands.h"
#include "runtime/error.h"
#include "tools/model_flags.h"
#include "tools/program.h"

namespace {

using namespace bittern::runtime;

// In a chat Ctrl-C ends an answer, never the program.
extern "C" void interrupt_answer(int) { stop_requested = true; }

constexpr const char *kExamples = R"(Examples:
  bitnet-run -m tests/data/demo -p "In the beginning" -n 64
  bitnet-run -m MODEL -p "The LORD" --temperature 0.8 --top-p 0.95 --seed 7 --json
  bitnet-run -m MODEL --prompts prompts.txt -n 64 --json
  bitnet-run chat -m MODEL --system "Be brief."
  bitnet-run perplexity -m tests/data/demo -f tests/data/demo-reference/heldout.txt
  bitnet-run logits -m MODEL --tokens 1,2,3 --out logits.npy
  bitnet-run embed -m MODEL -f lines.txt --json
  bitnet-run explain -m MODEL
  bitnet-run program -m MODEL --svg model.svg

Without sampling flags the model's generation_config.json decides, else it is greedy. Kernels tuned by bitnet-tune for
this machine are used when they are there. $BITTERN_CACHE names the cache folder, else the XDG cache home's bittern;
$BITTERN_CACHE_LIMIT (8G unless set) bounds the packed weights kept there, 0 keeps none.
)";

struct EngineFlags {
  std::string kernels = "tuned", kv = "f32", head = "file";
  EngineOptions options;

  void add(CLI::App &app) {
    app.add_option("-t,--threads", options.threads, "Threads (default: the physical cores)")
        ->check(CLI::Range(1, 1024));
    app.add_option("-c,--ctx-size", options.context, "Positions of a sequence (default: the model's, at most 4096)")
        ->check(CLI::Range(int64_t{1}, int64_t{1} << 24));
    app.add_option("--kernels", kernels, "tuned (else default, else scalar), default or scalar")
        ->check(CLI::IsMember({"tuned", "default", "scalar"}))
        ->capture_default_str();
    app.add_option("--kv", kv, "Precision of keys and values: f32 or f16")
        ->check(CLI::IsMember({"f32", "f16"}))
        ->capture_default_str();
    app.add_option("--head", head, "Output head: file (as in the model) or int8")
        ->check(CLI::IsMember({"file", "int8"}))
        ->capture_default_str();
  }
  EngineOptions resolved() const {
    EngineOptions result = options;
    result.kernels = parse_kernel_choice(kernels);
    result.kv = kv == "f16" ? KvType::F16 : KvType::F32;
    result.head = head == "int8" ? HeadType::Int8 : HeadType::File;
    return result;
  }
};

void add_sampling(CLI::App &app, SamplingParams &sampling) {
  app.add_option("--temperature", sampling.temperature, "0 is greedy");
  app.add_option("--top-k", sampling.top_k, "Keep the K most probable tokens; 0 is off");
  app.add_option("--top-p", sampling.top_p, "Keep the most probable tokens that sum to P; 1 is off");
  app.add_option("--min-p", sampling.min_p, "Keep tokens at least P times as probable as the best; 0 is off");
  app.add_option("--repeat-penalty", sampling.repetition_penalty, "Penalty for tokens seen before; 1 is off");
  app.add_option("--seed", sampling.seed, "Seed of the draws")->capture_default_str();
}

int run(int argc, char **argv) {
  CLI::App app{"Runs BitNet b1.58 language models on the CPU."};
  app.name("bitnet-run");
  app.set_version_flag("--version", "bitnet-run " BITTERN_VERSION);
  app.footer(kExamples);
  app.require_subcommand(0, 1);

  GenerateCommand generate;
  ModelFlags model;
  EngineFlags flags;
  model.add(app);
  CLI::Option *prompt = app.add_option("-p,--prompt", generate.prompt, "Raw text to continue");
  PromptsCommand prompts;
  app.add_option("--prompts", prompts.file,
                 "Continue every prompt of a file, many at once: a prompt a line, or .jsonl with prompt, n, seed, "
                 "temperature")
      ->excludes(prompt);
  app.add_option("--kv-pages", flags.options.kv_pages,
                 "Pages of 32 positions of the KV cache for all sequences (default: four full ones' with --prompts)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24));
  app.add_option("-n,--n-predict", generate.count, "Most tokens to generate")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40))
      ->capture_default_str();
  app.add_flag("--ignore-eos", generate.ignore_eos, "Go on after a stop token");
  add_sampling(app, generate.sampling);
  app.add_flag("--json", generate.json, "One JSON object instead of text");
  flags.add(app);

  ChatCommand chat;
  ModelFlags chat_model;
  EngineFlags chat_flags;
  CLI::App *chat_app = app.add_subcommand("chat", "A conversation, by the model's chat template");
  chat_model.add(*chat_app)->required();
  CLI::Option *chat_prompt = chat_app->add_option("-p,--prompt", chat.prompt, "One message; its answer is all");
  chat_app->add_option("--system", chat.system, "System message");
  chat_app->add_option("--chat-template", chat.chat_template,
                       "bitnet, llama-3, chatml, falcon3, gemma, llama-2, or a file (default: the model's own)");
  chat_app->add_option("-n,--n-predict", chat.count, "Most tokens of an answer (default: the context)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  chat_app->add_flag("--json", chat.json, "A line of JSON for every answer");
  add_sampling(*chat_app, chat.sampling);
  chat_flags.add(*chat_app);

  LogitsCommand logits;
  ModelFlags logits_model;
  EngineFlags logits_flags;
  CLI::App *logits_app = app.add_subcommand("logits", "Write the logits after every token as .npy");
  logits_model.add(*logits_app)->required();
  logits_app->add_option("--tokens", logits.tokens, "Token ids, comma-separated")->delimiter(',')->required();
  logits_app->add_option("--out", logits.out, "File to write, float32, tokens x vocabulary")->required();
  logits_flags.add(*logits_app);

  PerplexityCommand perplexity;
  ModelFlags perplexity_model;
  EngineFlags perplexity_flags;
  CLI::App *perplexity_app = app.add_subcommand("perplexity", "How well the model predicts a text");
  perplexity_model.add(*perplexity_app)->required();
  perplexity_app->add_option("-f,--file", perplexity.file, "Text file")->required();
  perplexity_app->add_option("--window", perplexity.window, "Inputs a window")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24))
      ->capture_default_str();
  perplexity_app->add_flag("--json", perplexity.json, "One JSON object");
  perplexity_flags.add(*perplexity_app);

  EmbedCommand embed;
  ModelFlags embed_model;
  EngineFlags embed_flags;
  CLI::App *embed_app = app.add_subcommand("embed", "Vectors of texts, from an embedding model");
  embed_model.add(*embed_app)->required();
  auto *texts = embed_app->add_option_group("texts")->require_option(1);
  texts->add_option("-f,--file", embed.file, "A text a line");
  texts->add_option("--tokens", embed.tokens, "One text as token ids, comma-separated")->delimiter(',');
  embed_app->add_option("--out", embed.out, "Write float32, texts x hidden, as .npy instead of printing");
  embed_app->add_option("--pooling", embed.pooling, "last or mean (default: the model's own)")
      ->check(CLI::IsMember({"last", "mean"}));
  embed_app->add_flag("--json", embed.json, "One JSON object a line");
  embed_flags.add(*embed_app);

  ModelFlags explain_model, info_model;
  EngineFlags explain_flags;
  CLI::App *explain_app = app.add_subcommand("explain", "Which kernel runs each step, and why it can be trusted");
  explain_model.add(*explain_app)->required();
  explain_flags.add(*explain_app);
  ProgramCommand program;
  ModelFlags program_model;
  EngineFlags program_flags;
  CLI::App *program_app = app.add_subcommand("program", "The buffers and steps that the model is made of");
  program_model.add(*program_app)->required();
  CLI::Option *program_json = program_app->add_flag("--json", program.json, "One JSON object instead of a table");
  program_app->add_option("--svg", program.svg, "Write a picture to this file (-: standard output)")
      ->excludes(program_json);
  program_flags.add(*program_app);
  CLI::App *info_app = app.add_subcommand("info", "What the model is and what it takes");
  info_model.add(*info_app)->required();

  try {
    app.parse(argc, argv);
    if (app.get_subcommands().empty() && (model.model.empty() || (!*prompt && prompts.file.empty())))
      throw CLI::RequiredError(model.model.empty() ? "-m,--model" : "-p,--prompt");
  } catch (const CLI::ParseError &e) {
    return app.exit(e) == 0 ? 0 : kUsage;
  }

  if (*chat_app) {
    chat.model = chat_model.model;
    chat.open = chat_model.resolved();
    chat.engine = chat_flags.resolved();
    chat.has_prompt = static_cast<bool>(*chat_prompt);
    // Not restarting reads: Ctrl-C at the prompt has to come back from them.
    struct sigaction action = {};
    action.sa_handler = interrupt_answer;
    sigaction(SIGINT, &action, nullptr);
    return run_chat(chat, stop_requested, stdout, stderr) ? 0 : kBadInput;
  }
  if (*logits_app) {
    logits.model = logits_model.model;
    logits.open = logits_model.resolved();
    logits.engine = logits_flags.resolved();
    run_logits(logits, stderr);
  } else if (*perplexity_app) {
    perplexity.model = perplexity_model.model;
    perplexity.open = perplexity_model.resolved();
    perplexity.engine = perplexity_flags.resolved();
    run_perplexity(perplexity, stdout, stderr);
  } else if (*embed_app) {
    embed.model = embed_model.model;
    embed.open = embed_model.resolved();
    embed.engine = embed_flags.resolved();
    run_embed(embed, stdout, stderr);
  } else if (*explain_app) {
    run_explain(explain_model.model, explain_model.resolved(), explain_flags.resolved(), stdout);
  } else if (*program_app) {
    program.model = program_model.model;
    program.open = program_model.resolved();
    program.engine = program_flags.resolved();
    run_program(program, stdout);
  } else if (*info_app) {
    run_info(info_model.model, info_model.resolved(), stdout);
  } else if (!prompts.file.empty()) {
    prompts.model = model.model;
    prompts.open = model.resolved();
    prompts.engine = flags.resolved();
    prompts.count = generate.count;
    prompts.ignore_eos = generate.ignore_eos;
    prompts.json = generate.json;
    prompts.sampling = generate.sampling;
    stop_on({SIGINT});  // it ends the generation after the current step
    run_prompts(prompts, stop_requested, stdout, stderr);
  } else {
    generate.model = model.model;
    generate.open = model.resolved();
    generate.engine = flags.resolved();
    stop_on({SIGINT});  // it ends the generation after the current token
    run_generate(generate, stop_requested, stdout, stderr);
  }
  return 0;
}

}  // namespace

int main(int argc, char **argv) { return main_of("error", run, argc, argv); }
