// Conversions: what every format holds comes back bit for bit, what it does not hold is refused by name.
#include "runtime/convert/convert.h"

#include <doctest/doctest.h>

#include <array>
#include <fstream>
#include <iterator>
#include <set>

#include "runtime/convert/format_writers.h"
#include "runtime/convert/gguf_encodings.h"
#include "runtime/convert/hf_names.h"
#include "runtime/convert/synthetic_tokenizer.h"
#include "runtime/convert/verify.h"
#include "runtime/io/output_place.h"
#include "runtime/model/base3.h"
#include "runtime/model/bittern_config.h"
#include "runtime/model/bittern_file.h"
#include "runtime/model/gguf_file.h"
#include "runtime/model/head_order.h"
#include "runtime/model/int2_layout.h"
#include "runtime/tokenizer/tokenizer.h"
#include "tests/error_message.h"
#include "tests/made_up_source.h"
#include "tests/scratch_folder.h"

using namespace bittern::runtime;
using namespace bittern::test;

namespace {

const std::string kData = BITTERN_TEST_DATA;

std::string read(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Writes `source` as `to` at `path`.
struct Written {
  std::vector<std::string> notes;
  Comparison same;
};
Written write(const ModelSource &source, const std::string &to, const std::string &path, bool compare = true,
              const ModelFiles &files = {}) {
  Written written;
  Work work(1, {}, nullptr);
  Conversion conversion{source, files, path, path, work, [&](const std::string &n) { written.notes.push_back(n); }};
  const FormatWriter &target = find_format_writer(to);
  target.check(conversion);
  if (target.folder) std::filesystem::create_directory(path);
  target.write(conversion);
  if (compare) written.same = compare_models(conversion, *open_model(path));
  return written;
}

std::string refusal(const ModelSource &source, const std::string &to) {
  const ScratchFolder folder;
  return message([&] { write(source, to, folder.path("out"), false); });
}

void convert(const std::string &in, const std::string &to, const std::string &out) {
  const std::atomic<bool> stop{false};
  ConvertCommand command;
  command.in = in;
  command.to = to;
  command.out = out;
  command.verify = command.quiet = true;
  std::FILE *null = std::fopen("/dev/null", "w");
  run_convert(command, stop, null, null);
  std::fclose(null);
}

// Families whose configurations differ in what a file must say of them.
ModelConfig llama() {
  ModelConfig c = MadeUpSource::small();
  c.architecture = "LlamaForCausalLM";
  c.activation = Activation::Silu;
  c.sub_norms = c.tied_head = false;
  c.rms_eps = 1e-6f;
  c.rope_theta = 1000042;
  return c;
}

}  // namespace

TEST_CASE("five trits a byte: all of them, any width, and no byte that is none") {
  for (int64_t cols = 1; cols < 24; ++cols) {
    for (int64_t start = 0; start < 243; start += 11) {
      std::vector<int8_t> trits(static_cast<size_t>(cols)), back(static_cast<size_t>(cols) + 1, 77);
      for (size_t i = 0; i < trits.size(); ++i) {
        trits[i] = static_cast<int8_t>((static_cast<int64_t>(i) * 7 + start) * 5 / 3 % 3 - 1);
      }
      std::vector<uint8_t> bytes(static_cast<size_t>(base3_row_bytes(cols)));
      pack_base3(trits.data(), cols, bytes.data());
      CHECK(unpack_base3(bytes.data(), cols, back.data()) == -1);
      CHECK(static_cast<int>(back.back()) == 77);
      back.pop_back();
      CHECK(back == trits);
    }
  }
  std::set<uint8_t> seen;
  for (int code = 0; code < 243; ++code) {
    const std::array<int8_t, 5> trits{static_cast<int8_t>(code % 3 - 1), static_cast<int8_t>(code / 3 % 3 - 1),
                                      static_cast<int8_t>(code / 9 % 3 - 1), static_cast<int8_t>(code / 27 % 3 - 1),
                                      static_cast<int8_t>(code / 81 - 1)};
    uint8_t byte = 0;
    pack_base3(trits.data(), 5, &byte);
    CHECK(byte == code);
    seen.insert(byte);
  }
  CHECK(seen.size() == 243);
  std::array<int8_t, 20> out;
  for (const uint8_t bad : {243, 250, 255}) {
    for (size_t at = 0; at < 4; ++at) {
      std::array<uint8_t, 4> bytes{0, 121, 242, 7};
      bytes[at] = bad;
      CHECK(unpack_base3(bytes.data(), 20, out.data()) == static_cast<int64_t>(at));
    }
  }
}

TEST_CASE("int2: words of sixteen in bitnet.cpp's order, rows and columns of a block permuted, and back") {
  // Word 0 has row 0, columns 0 to 15: values 0, 4, 8, 12 in its first byte, 1, 5, 9, 13 in its second.
  std::array<int8_t, 16 * 32> block{};
  std::array<uint8_t, 128> bytes{};
  block[0] = -1, block[4] = 1, block[12] = 1, block[1] = -1;
  block[16] = 1;           // row 0, column 16: word 8
  block[8 * 32 + 3] = -1;  // row 8, column 3: word 16, byte 3
  pack_int2(block.data(), 32, 32, bytes.data());
  CHECK(bytes[0] == (1 | 3 << 2 | 2 << 4 | 3 << 6));
  CHECK(bytes[1] == (1 | 2 << 2 | 2 << 4 | 2 << 6));
  CHECK(bytes[2] == 0xaa);
  CHECK(bytes[8 * 4] == (3 | 2 << 2 | 2 << 4 | 2 << 6));
  CHECK(bytes[16 * 4 + 3] == (1 | 2 << 2 | 2 << 4 | 2 << 6));

  std::vector<int8_t> trits(16 * 96), back(16 * 96);
  for (size_t i = 0; i < trits.size(); ++i) trits[i] = static_cast<int8_t>(static_cast<int>(i * 2654435761u % 3) - 1);
  std::vector<uint8_t> packed(trits.size() / 4);
  pack_int2(trits.data(), 96, 96, packed.data());
  CHECK(unpack_int2(packed.data(), 96, back.data(), 96) == -1);
  CHECK(back == trits);
  packed[77] = static_cast<uint8_t>(packed[77] & 0xf3);
  CHECK(unpack_int2(packed.data(), 96, back.data(), 96) == 77);
}

TEST_CASE("rows of a head: interleaved and in halves") {
  for (const int64_t head_dim : {2, 16, 100}) {
    for (int64_t row = 0; row < 3 * head_dim; ++row) {
      CHECK(row_interleaved(row_in_halves(row, head_dim), head_dim) == row);
      CHECK(row_in_halves(row, head_dim) / head_dim == row / head_dim);
    }
  }
  CHECK(row_in_halves(16 + 1, 16) == 16 + 8);  // the pair of row 0 of the second head
  CHECK(row_in_halves(16 + 2, 16) == 16 + 1);
}

TEST_CASE("blocks of GGUF tensors, by hand") {
  std::array<int8_t, 256> trits{};
  trits[0] = -1, trits[32] = 1, trits[96] = -1, trits[128] = 1;
  std::array<uint8_t, 66> out{};
  for (const GgufEncoding &e : gguf_encodings()) {
    out.fill(0);
    e.pack(trits.data(), 0x3c00, out.data());
    if (std::string(e.target) == "gguf-i2_s") {
      CHECK(out[0] == (0 << 6 | 2 << 4 | 1 << 2 | 0));
      CHECK(out[1] == 0x55);
    } else if (std::string(e.target) == "gguf-tq2_0") {
      CHECK(out[0] == (0 | 2 << 2 | 1 << 4 | 0 << 6));
      CHECK(out[32] == (2 | 1 << 2 | 1 << 4 | 1 << 6));
      CHECK(out[64] == 0x00);
      CHECK(out[65] == 0x3c);
    } else if (std::string(e.target) == "gguf-tq1_0") {
      // Digits of values 0, 32, 64, 96, 128 are 0 2 1 0 2: 65, and 65 * 256 / 243 rounded up is 69.
      CHECK(out[0] == 69);
      CHECK(out[1] == (121 * 256 + 242) / 243);
      CHECK(out[52] == 0x00);
      CHECK(out[53] == 0x3c);
    } else {
      CHECK(out[0] == 0x00);
      CHECK(out[1] == 0xbc);
    }
  }
}

TEST_CASE("a configuration goes through JSON with every field and every bit") {
  ModelConfig c = MadeUpSource::small();
  c.rms_eps = 1e-5f, c.linear_norm_eps = 3e-8f, c.embedding_scale = 25.298221f, c.attention_scale = 0.0625f;
  c.rope_theta = 1000042.123456789, c.rope_theta_local = 10000, c.window = 512, c.global_every = 6;
  c.activation = Activation::GeluTanh, c.pooling = Pooling::Last;
  c.linear_norms = c.qk_norm = c.post_norms = true;
  c.sub_norms = false;
  c.scale_group = 32;
  c.generation = {true, 0.7f, 0.9f, 0.05f, 1.1f, 40};
  const std::string text = bittern_config_text(c);
  const JsonDocument document(text, "x");
  const ModelConfig back = read_bittern_config(document.root());
  CHECK(bittern_config_text(back) == text);
  CHECK(back.rms_eps == c.rms_eps);
  CHECK(back.linear_norm_eps == c.linear_norm_eps);
  CHECK(back.rope_theta == c.rope_theta);
  CHECK(back.generation.temperature == 0.7f);
  CHECK(back.eos == c.eos);
  // Every field is there: the tables have as many rows as ModelConfig has members.
  CHECK(document.root().size() == 30);
}

TEST_CASE("Bittern's own file holds every model exactly") {
  const ScratchFolder folder;
  ModelConfig grouped = MadeUpSource::small();
  grouped.scale_group = 32;
  ModelConfig everything = llama();
  everything.linear_norms = everything.qk_norm = everything.post_norms = everything.sub_norms = true;
  everything.activation = Activation::GeluTanh;
  everything.embedding_scale = 8, everything.attention_scale = 0.3f, everything.window = 9, everything.global_every = 2;
  everything.rope_theta_local = 123.5;
  ModelConfig headless = llama();
  headless.has_head = false;
  headless.pooling = Pooling::Mean;
  int number = 0;
  for (const ModelConfig &config : {MadeUpSource::small(), grouped, everything, headless, llama()}) {
    for (const DType dtype : {DType::BF16, DType::F16, DType::F32}) {
      MadeUpSource source(config, dtype);
      source.short_norms = false;
      const std::string path = folder.path(std::to_string(++number));
      const Written written = write(source, "bittern", path, true, {{"tokenizer.json", "{}"}, {"empty", ""}});
      CHECK(written.notes.empty());
      CHECK(written.same.trits == 2 * (64 * 64 * 2 + 32 * 64 * 2 + 96 * 64 * 3));
      CHECK(written.same.scales == (config.scale_group ? written.same.trits / 32 : 14));
      CHECK(written.same.floats == 300 * 64 * (config.has_head && !config.tied_head ? 2 : 1));
      const auto back = open_model(path);
      CHECK(bittern_config_text(back->config()) == bittern_config_text(config));
      CHECK(back->embedding().dtype == dtype);
      const BitternFile file(path);
      CHECK(file.text(file.files().at("tokenizer.json")) == "{}");
      CHECK(file.text(file.files().at("empty")).empty());
    }
  }
}

TEST_CASE("packed safetensors: scales in bf16 where exact, norms in the smallest exact type") {
  const ScratchFolder folder;
  MadeUpSource source(MadeUpSource::small());
  source.scale = 0.5f;
  CHECK(write(source, "safetensors", folder.path("a")).notes.empty());
  source.scale = 1.0f / 3;
  source.short_norms = false;
  const Written written = write(source, "safetensors", folder.path("b"));
  REQUIRE(written.notes.size() == 1);
  CHECK(contains(written.notes[0], "14 of 14 weight_scale tensors are F32"));
  CHECK(contains(read(folder.path("b/model.safetensors")).substr(0, 30000), R"("F32")"));
  CHECK(!contains(read(folder.path("a/model.safetensors")).substr(0, 30000), R"("F32")"));
}

TEST_CASE("GGUF without a tokenizer: the name of none that older readers know too, and the size they then look for") {
  const ScratchFolder folder;
  write(MadeUpSource(llama()), "gguf-f16", folder.path("a"));
  const GgufFile file(folder.path("a"));
  CHECK(file.get("tokenizer.ggml.model").string() == "no_vocab");
  CHECK(file.get("llama.vocab_size").integer(0, 1000) == 300);
  CHECK(file.find("tokenizer.ggml.tokens") == nullptr);
}

TEST_CASE("every model at hand goes through every format that holds it, and back, byte for byte") {
  const ScratchFolder folder;
  for (const char *model : {"demo", "goldens/bitnet_a_bf16", "goldens/bitnet_a_packed", "goldens/bitnet_b8_bf16",
                            "goldens/bitnet_b_packed"}) {
    CAPTURE(model);
    const std::string name = folder.path(std::string(model).substr(std::string(model).rfind('/') + 1));
    // bittern -> safetensors -> int2 -> bittern: the last is the first.
    convert(kData + "/" + model, "bittern", name + ".1");
    convert(name + ".1", "safetensors", name + ".2");
    convert(name + ".2", "int2", name + ".3");
    convert(name + ".3", "bittern", name + ".4");
    convert(name + ".4", "safetensors", name + ".5");
    CHECK(read(name + ".5/model.safetensors") == read(name + ".2/model.safetensors"));
    CHECK(read(name + ".5/config.json") == read(name + ".2/config.json"));
  }
  CHECK(read(folder.path("demo.5/tokenizer.json")) == read(kData + "/demo/tokenizer.json"));
}

TEST_CASE("what a format cannot hold is refused by name, with the format that can") {
  ModelConfig grouped = MadeUpSource::small();
  grouped.scale_group = 32;
  for (const char *to : {"gguf-i2_s", "gguf-tq1_0", "gguf-tq2_0", "gguf-f16", "safetensors"}) {
    CHECK(contains(refusal(MadeUpSource(grouped), to), "for every 32 columns; --to bittern holds"));
  }
  CHECK(contains(refusal(MadeUpSource(grouped), "int2"), "int2 is for models built as BitNet b1.58 2B-4T"));
  CHECK(contains(refusal(MadeUpSource(llama()), "int2"), "int2 is for models built as BitNet b1.58 2B-4T"));
  CHECK(contains(refusal(MadeUpSource(MadeUpSource::small()), "gguf-i2_s"), "whole blocks of 128, and q has 64"));
  CHECK(contains(refusal(MadeUpSource(MadeUpSource::small()), "gguf-tq2_0"), "whole blocks of 256, and q has 64"));
  ModelConfig odd = MadeUpSource::small();
  odd.ffn = 98;
  CHECK(contains(refusal(MadeUpSource(odd), "safetensors"), "gate has 98 rows, which cannot be packed by four"));
  CHECK(contains(refusal(MadeUpSource(odd), "int2"), "int2 holds blocks of 16 x 32, and gate is 98 x 64"));
  ModelConfig strange = MadeUpSource::small();
  strange.activation = Activation::GeluTanh;
  CHECK(contains(refusal(MadeUpSource(strange), "gguf-f16"), "GGUF has no architecture for"));
  ModelConfig scaled = MadeUpSource::small();
  scaled.embedding_scale = 2;
  CHECK(contains(refusal(MadeUpSource(scaled), "safetensors"), "transformers does not have scaled embeddings"));
  MadeUpSource huge(MadeUpSource::small());
  huge.scale = 1e5f;
  CHECK(contains(refusal(huge, "gguf-f16"), "layer 0 q: a scale of 100000 is outside float16"));
  huge.scale = 1e-9f;
  CHECK(contains(refusal(huge, "gguf-f16"), "outside float16"));
  CHECK(contains(message([] { find_format_writer("gguf"); }), "no format 'gguf' (formats: bittern, gguf-i2_s,"));
}

TEST_CASE("the comparison finds any difference") {
  const ScratchFolder folder;
  const MadeUpSource source(MadeUpSource::small());
  Work work(1, {}, nullptr);
  const ModelFiles none;
  const Conversion conversion{source, none, "", "out", work, {}};
  const auto different = [&](const auto &change) {
    ModelConfig config = MadeUpSource::small();
    change(config);
    return message([&] { compare_models(conversion, MadeUpSource(config)); });
  };
  CHECK(different([](ModelConfig &) {}) == "(no error)");
  CHECK(different([](ModelConfig &c) { c.rms_eps = 1e-6f; }) ==
        "out: rms_eps: is 9.999999974752427e-07, was "
        "9.999999747378752e-06");
  CHECK(contains(different([](ModelConfig &c) { c.activation = Activation::Silu; }), "out: activation: is \"silu\""));
  MadeUpSource scales(MadeUpSource::small());
  scales.scale = 0.5f;
  CHECK(contains(message([&] { compare_models(conversion, scales); }), "out: layer 0 q: scale is 0.5, was 0.3433333"));
  MadeUpSource norms(MadeUpSource::small());
  norms.short_norms = false;
  CHECK(contains(message([&] { compare_models(conversion, norms); }), "out: layer 0 input_norm: element "));
  const MadeUpSource f16(MadeUpSource::small(), DType::F16);
  CHECK(contains(message([&] { compare_models(conversion, f16); }), "out: embedding: row 0, column "));

  class OtherTrit : public MadeUpSource {
   public:
    OtherTrit() : MadeUpSource(MadeUpSource::small()) {}
    TernaryMatrix linear(int64_t layer, Linear which) const override {
      TernaryMatrix m = MadeUpSource::linear(layer, which);
      if (layer == 1 && which == Linear::Down) {
        m.decode = [decode = m.decode](int64_t row0, int64_t count, int8_t *out, int64_t stride) {
          decode(row0, count, out, stride);
          if (row0 <= 63 && 63 < row0 + count) {
            int8_t &last = out[(63 - row0) * stride + 95];
            last = static_cast<int8_t>(last == 0 ? 1 : 0);
          }
        };
      }
      return m;
    }
  };
  CHECK(
      contains(message([&] { compare_models(conversion, OtherTrit()); }), "out: layer 1 down: row 63, column 95 is "));
}

TEST_CASE("a result appears whole or not at all, and what dead processes left goes") {
  const ScratchFolder folder;
  const std::string path = folder.path("model");
  folder.write("model", "old");
  folder.write("model.1.part", "left over");
  folder.write("model.x1.part", "somebody's own");
  folder.write("other.1.part", "for another place");
  CHECK(contains(message([&] { OutputPlace(path, OutputPlace::Kind::File, false); }), "exists already (--force"));
  {
    OutputPlace place(path, OutputPlace::Kind::File, true);
    folder.write(std::filesystem::path(place.temporary()).filename(), "new");
    CHECK(read(path) == "old");
    CHECK(!std::filesystem::exists(folder.path("model.1.part")));
    CHECK(std::filesystem::exists(folder.path("model.x1.part")));
    CHECK(std::filesystem::exists(folder.path("other.1.part")));
  }
  CHECK(read(path) == "old");
  size_t files = 0;
  for (const auto &entry : std::filesystem::directory_iterator(folder.root())) files += entry.exists();
  CHECK(files == 3);
  {
    OutputPlace place(path, OutputPlace::Kind::File, true);
    std::ofstream(place.temporary()) << "new";
    place.commit();
  }
  CHECK(read(path) == "new");
  {
    OutputPlace place(folder.path("fresh"), OutputPlace::Kind::File, false);
    folder.write("fresh", "came first");
    CHECK(contains(message([&] { place.commit(); }), "fresh: appeared meanwhile"));
  }
  CHECK(read(folder.path("fresh")) == "came first");

  const std::vector<std::string> ours{"config.json"};
  const std::string model_folder = folder.path("folder");
  std::filesystem::create_directories(model_folder);
  folder.write("folder/config.json", "old");
  {
    OutputPlace place(model_folder, OutputPlace::Kind::Folder, true, ours);
    std::ofstream(place.temporary() + "/config.json") << "new";
    CHECK(read(model_folder + "/config.json") == "old");
    place.commit();
  }
  CHECK(read(model_folder + "/config.json") == "new");
  folder.write("folder/diary.txt", "dear diary");
  CHECK(contains(message([&] { OutputPlace(model_folder, OutputPlace::Kind::Folder, true, ours); }),
                 "holds 'diary.txt', which a model folder of ours does not"));
  CHECK(contains(message([&] { OutputPlace(model_folder, OutputPlace::Kind::File, true); }), "is a folder"));
  CHECK(contains(message([&] { OutputPlace(path, OutputPlace::Kind::Folder, true); }), "is not a folder"));
  CHECK(contains(message([&] { OutputPlace("/dev/null", OutputPlace::Kind::File, true); }), "not a regular file"));
  CHECK(contains(message([&] { OutputPlace("/nowhere/x", OutputPlace::Kind::File, true); }),
                 "/nowhere/x: cannot create"));
  CHECK(contains(message([&] { OutputPlace("..", OutputPlace::Kind::Folder, true); }), "not a name for a result"));
}

TEST_CASE("a model is not written over itself, nor over the folder that it is in") {
  const ScratchFolder folder;
  convert(kData + "/demo", "safetensors", folder.path("m"));
  convert(kData + "/demo", "bittern", folder.path("m.bittern"));
  std::filesystem::create_symlink(folder.path("m.bittern"), folder.path("link"));
  const auto refused = [&](const std::string &in, const std::string &to, const std::string &out) {
    return contains(message([&] { convert(folder.path(in), to, folder.path(out)); }), "is the model that is to be");
  };
  CHECK(refused("m", "safetensors", "m"));
  CHECK(refused("m", "safetensors", "m/../m/"));
  CHECK(refused("m.bittern", "bittern", "m.bittern"));
  CHECK(refused("m.bittern", "bittern", "link"));
  CHECK(refused("m.bittern", "safetensors", "."));
  CHECK(std::filesystem::exists(folder.path("m/model.safetensors")));
}

TEST_CASE("a stopped conversion leaves nothing") {
  const ScratchFolder folder;
  const std::atomic<bool> stop{true};
  ConvertCommand command;
  command.in = kData + "/demo";
  command.to = "bittern";
  command.out = folder.path("x");
  command.quiet = true;
  CHECK(message([&] { run_convert(command, stop, stdout, stderr); }) == "interrupted; nothing was written");
  CHECK(std::filesystem::is_empty(folder.root()));
}

TEST_CASE("a synthetic vocabulary has the size that was asked for, and encodes anything") {
  ModelConfig config = MadeUpSource::small();
  config.vocab = 70000;
  config.bos = 100;
  config.eos = {69999, 0};
  const auto tokenizer = Tokenizer::parse(synthetic_tokenizer_json(config), "synthetic");
  CHECK(tokenizer->vocab_size() == 70000);
  CHECK(tokenizer->is_special(100));
  CHECK(tokenizer->is_special(69999));
  const std::string text = "The words of the Preacher, \xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82\n\t0";
  CHECK(tokenizer->decode(tokenizer->encode(text, false)) == text);
  config.vocab = 200;
  CHECK(contains(message([&] { synthetic_tokenizer_json(config); }), "too small"));
}
