// The transformer as plain data: buffers and the steps that read and write them, in order. It knows neither a device
// nor an address, so that everything that has to know what a layer does (kernels, memory, hints, checks, the tuner, the
// picture) follows from one description, made by one builder (build.h).
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/kernels/roles.h"
#include "runtime/model/model_source.h"

namespace bittern::runtime {

enum class KvType { F32, F16 };
enum class HeadType { File, Int8 };  // File: the precision in the model's file (f16 is held as f32)

// Positions in a page of the KV cache, as in attention.bk.
constexpr int64_t kPagePositions = 32;
constexpr int64_t pages_for(int64_t positions) { return (positions + kPagePositions - 1) / kPagePositions; }

// Steps by what they do; those of all layers with one id run the same kernel. In the order in which kernels are listed
// and tuned; the last ones are done by the device itself and need no kernel.
enum class StepId {
  Qkv,
  Q,
  KeyOrValue,
  O,
  GateUp,
  GateOrUp,
  Down,
  Head,
  Attention,
  LocalAttention,
  Activation,
  Norm,
  AttentionSubNorm,
  FfnSubNorm,
  FinalNorm,
  AttentionSubNormFirst,
  FfnSubNormFirst,
  GroupSumsHidden,
  GroupSumsQuery,
  GroupSumsFfn,
  QNorm,
  KNorm,
  RopeQ,
  RopeK,
  StoreV,
  Residual,
  Embedding,
  FetchRows,   // rows of the embedding from the model's source, f16 as f32, and their numbers
  RopeAngles,  // cosines and sines of the tokens' positions
  Scale,       // every element times a number
  KeepWanted,  // moves the rows of wanted tokens to the front
  Count
};
const char *step_name(StepId id);  // "qkv", "k/v", "attn_sub_norm", ...
constexpr bool is_host_step(StepId id) { return id >= StepId::FetchRows; }

enum class ElementType { F32, F16, BF16, I8, I32, Trits };
const char *element_name(ElementType type);
int64_t element_bytes(ElementType type);  // 0 for trits: their layout is the device's choice

enum class BufferKind { Weight, Activation, Cache, Input, Output };
const char *kind_name(BufferKind kind);

// What the first dimension counts.
enum class Axis { None, Tokens, Rows, Sequences };  // Rows: tokens whose results are wanted
const char *axis_name(Axis axis);                   // "", "M", "R", "B"

// What a weight buffer is filled with.
struct WeightOf {
  enum class Of { Nothing, Matrix, Scales, Norm, LinearNorm, Head, HeadScales } of = Of::Nothing;
  std::vector<Linear> parts = {};  // of a matrix and its scales, their rows one after the other; of a linear layer's
                                   // norm the layer
  Vector norm = Vector::FinalNorm;
  StepId step = StepId::Count;  // that multiplies with it: its kernel settles the layout
  int64_t group = 0;            // columns that share a scale; 0: all of a row
};

using BufferId = int32_t;
constexpr BufferId kNoBuffer = -1;

struct Buffer {
  std::string name;
  BufferKind kind;
  ElementType type;
  Axis axis = Axis::None;
  std::vector<int64_t> dims = {};  // constants, after the axis
  int64_t layer = -1;              // -1: of no layer
  WeightOf weight = {};
  int first = -1, last = -1;  // the steps between which its contents matter
  int64_t row_elements() const {
    int64_t count = 1;
    for (const int64_t dim : dims) count *= dim;
    return count;
  }
};

// A strided look at a buffer, as a kernel's argument.
struct View {
  BufferId buffer = kNoBuffer;
  int64_t offset = 0;  // elements
  std::array<int64_t, 4> strides{};
  bool written = false;
};

enum class Section { Pass, Hidden, Logits };  // tokens to states; states to normed states; states to logits
constexpr int kSections = 3;
enum class Count { Tokens, Rows };  // what M of a step is

struct Step {
  StepId id;
  Section section = Section::Pass;
  int64_t layer = -1;
  Role role = Role::Count;          // not for steps without a kernel
  std::vector<int64_t> sizes = {};  // in the role's order; sizes[0], which counts tokens, is 1
  std::vector<View> operands = {};  // in the order of the kernel's tensors
  std::vector<float> scalars = {};
  Count count = Count::Tokens;
  // Elements per token, which say whether a split over threads is worth a barrier; for attention per token and position
  // seen, of which a window lets it see `window`.
  int64_t work = 0;
  bool by_positions = false;
  int64_t window = 0;
  bool local = false;  // attention and rotation of a layer that sees a window
  // Writes the cache: once for every run of tokens that lie in one page.
  bool by_pages = false;
};

// Everything that decides what the steps are, besides ModelConfig.
struct ProgramOptions {
  KvType kv = KvType::F32;
  HeadType head = HeadType::File;
  DType embedding = DType::BF16, head_rows = DType::BF16;  // of the model's file
  int64_t context = 512;                                   // most positions of a sequence
  int64_t sequences = 0;  // in one pass; 0: one, and many short texts for a model that makes embeddings
  int64_t pages = 0;  // of the KV cache, for all sequences; 0: what one full sequence needs, and no fewer than texts
};

struct Program {
  ModelConfig config;
  ProgramOptions options;
  std::vector<Buffer> buffers;
  std::vector<Step> steps;  // section after section
  // Buffers that a device or its user has to know by their meaning.
  BufferId ids = kNoBuffer, positions = kNoBuffer, sequence_ids = kNoBuffer, page_table = kNoBuffer, cache = kNoBuffer,
           states = kNoBuffer, hidden = kNoBuffer, logits = kNoBuffer, head = kNoBuffer;  // logits, head: may be none

  const Buffer &operator[](BufferId id) const { return buffers[static_cast<size_t>(id)]; }
  // The first step of this id in reading order; null when there is none.
  const Step *find(StepId id) const;
  // Elements from one page of the cache to the next, and from one position to the next.
  int64_t page_stride() const { return 2 * config.layers * config.kv_heads * kPagePositions * config.head_dim; }
  int64_t position_stride() const { return config.head_dim; }
};

// A matrix, head or cached keys and values that a step streams through; none for small steps.
const View *streamed(const Program &program, const Step &step);

// Bytes the model holds, and what one token must read.
struct Footprint {
  int64_t ternary_weights = 0;  // number of ternary weights
  int64_t ternary_bytes = 0;    // at 2 bits each, no padding
  int64_t head_bytes = 0;       // the output head at the precision it is held in
  int64_t kv_bytes_per_position = 0;
  int64_t kv_capacity_bytes = 0;  // of all pages
  // Bytes that a token at this position reads: ternary weights, head, keys and values before it.
  int64_t bytes_per_token(int64_t position) const {
    return ternary_bytes + head_bytes + kv_bytes_per_position * position;
  }
};
Footprint footprint(const Program &program);

}  // namespace bittern::runtime
