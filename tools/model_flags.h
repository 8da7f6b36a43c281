// The command line's flags that name a model and say what its file leaves open, for every program that opens one.
#pragma once
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "runtime/model/model_source.h"

struct ModelFlags {
  std::string model, activation;
  bittern::runtime::OpenOptions options;

  // What its file leaves open.
  void add_meaning(CLI::App &app) {
    app.add_option("--activation", activation, "The FFN's activation, where the file does not say it or is wrong")
        ->check(CLI::IsMember({"relu2", "silu", "gelu_tanh"}));
    app.add_option("--i2s-layout", options.i2s_layout,
                   "How a GGUF file's I2_S tensors lie: in blocks of 128 or 64, or rows4")
        ->check(CLI::IsMember({"128", "64", "rows4"}))
        ->capture_default_str();
    app.add_option("--tl-config", options.tl_config,
                   "kernel_config.ini that bitnet.cpp wrote a GGUF file's TL1 or TL2 tensors with");
  }
  // The model too; returns its option, for the caller to require or not.
  CLI::Option *add(CLI::App &app) {
    add_meaning(app);
    return app.add_option("-m,--model", model,
                          "A GGUF file, or a folder with config.json, model.safetensors and tokenizer.json");
  }

  bittern::runtime::OpenOptions resolved() const {
    bittern::runtime::OpenOptions result = options;
    if (!activation.empty()) result.activation = bittern::runtime::find_activation(activation);
    result.note = [](const std::string &text) { std::fprintf(stderr, "note: %s\n", text.c_str()); };
    return result;
  }
};
