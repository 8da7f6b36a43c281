// What executes programs and owns their memory: weights, activations, cached keys and values. Whoever uses it speaks of
// buffers by their ids and of sequences by rows of the page table; no address of its memory leaves it but the view that
// read() gives.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/kernels/dispatch.h"
#include "runtime/program/program.h"

namespace bittern::runtime {

// A kernel in use for a range of M.
struct KernelUse {
  std::string what;  // the step's name
  Role role;
  std::vector<int64_t> sizes;  // in the role's order, sizes[0] = m_min
  int64_t m_min = 1, m_max = 1;
  const bt_kernel *kernel = nullptr;
  KernelOrigin origin = KernelOrigin::Scalar;
  std::shared_ptr<const void> owner =
      {};  // keeps the pack that holds `kernel` loaded; null when the device itself does
};

// The tokens of one pass, of any set of sequences; tokens of one sequence follow one another. Read during the call
// only.
struct Batch {
  std::span<const int32_t> ids, positions, sequences;  // of each token; a sequence is a row of the page table
  std::span<const int32_t> wanted;                     // which tokens' states are wanted, in rising order
  // Page tables of the sequences in this batch: an entry for every page that a full sequence has, all of them pages of
  // the cache.
  struct Pages {
    int32_t sequence;
    std::span<const int32_t> pages;
  };
  std::span<const Pages> tables;
};

class Device {
 public:
  // Most tokens of one pass, for which kernels are chosen.
  static constexpr int64_t kMostTokens = 128;

  virtual ~Device() = default;

  // Chooses kernels for the program, brings the model's weights into memory, checks the kernels on them and makes room
  // for passes of up to `most_tokens` tokens (at most kMostTokens). `source` must outlive the device. Throws Error when
  // the model's matrices do not have the program's shapes or memory does not suffice.
  virtual void upload(std::shared_ptr<const Program> program, const ModelSource &source, int64_t most_tokens) = 0;

  // Runs the pass: keys and values of all tokens go into their pages; states of the wanted tokens are kept, one row
  // each. Allocates nothing.
  virtual void execute(const Batch &batch) = 0;
  // Runs Section::Hidden or Section::Logits on rows [first, first + rows) of the states that the last pass left.
  virtual void execute(Section section, int64_t first, int64_t rows) = 0;
  // The first rows of an output, valid until the next execute().
  virtual std::span<const float> read(BufferId output, int64_t rows) = 0;
  // Copies a page of the cache, all layers.
  virtual void copy_page(int32_t from, int32_t to) = 0;

  struct Memory {
    int64_t weights = 0, activations = 0, cache = 0;  // bytes
  };
  virtual Memory memory() const = 0;
  virtual std::vector<KernelUse> kernels() const = 0;
  virtual bool prepacked() const = 0;  // whether the weights came from the prepacked cache
};

}  // namespace bittern::runtime
