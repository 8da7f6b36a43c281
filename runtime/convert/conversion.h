// What a writer of model files gets to work with: the source, the files that belong to it, where the result goes, and
// somebody who wants to know how far it is. Writers stream: a block of rows in memory at a time, each matrix's pages
// given back when it is done.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/error.h"
#include "runtime/model/labels.h"
#include "runtime/model/model_source.h"
#include "runtime/tokenizer/spec.h"

namespace bittern::runtime {

// Ctrl-C came; nothing is wrong with the input.
class Interrupted : public Error {
 public:
  using Error::Error;
};

// Counts the weights that are done; the one place that notices Ctrl-C.
class Work {
 public:
  using Show = std::function<void(int64_t done, int64_t total, const std::string &what)>;
  Work(int64_t total, Show show, const std::atomic<bool> *stop) : total_(total), show_(std::move(show)), stop_(stop) {}
  // `weights` more are done, of `what`. Throws Interrupted after Ctrl-C.
  void advance(int64_t weights, const std::string &what);

 private:
  int64_t total_, done_ = 0;
  Show show_;
  const std::atomic<bool> *stop_;
};

// A tokenizer and what else stands beside a model, by file name: "tokenizer.json", "chat_template.jinja".
using ModelFiles = std::map<std::string, std::string>;

struct Conversion {
  const ModelSource &source;
  const ModelFiles &files;
  std::string path;  // what to write: a file to be, or a folder that is there and empty
  std::string name;  // what that will be called, for messages
  Work &work;
  std::function<void(const std::string &)> note = {};  // is told what the format cannot hold exactly; may be empty
  // What the tokenizer among the files means, for formats that have their own form of it; may be empty. Throws Error.
  std::function<std::optional<TokenizerSpec>()> tokenizer = {};

  const ModelConfig &config() const { return source.config(); }
  // Throws Error "NAME: FORMAT cannot hold what: how to help it".
  [[noreturn]] void refuse(const std::string &what) const;
};

// All weights of a model, of matrices and vectors: the total of Work.
int64_t count_weights(const ModelConfig &config);

using TritBlock = std::function<void(int64_t row0, int64_t count, const int8_t *trits)>;
// Calls `use` for all rows of a matrix in order, in blocks of a multiple of `multiple` rows (which must divide the
// rows), cols apart; then tells the source that the matrix is done.
void for_each_block(const Conversion &conversion, int64_t layer, Linear which, const TernaryMatrix &matrix,
                    int64_t multiple, const TritBlock &use);

using FloatBlock = std::function<void(int64_t row0, int64_t count, const uint8_t *rows)>;
// The same for a matrix of floats: rows in its own dtype.
void for_each_block(const Conversion &conversion, const FloatMatrix &matrix, const std::string &what,
                    const FloatBlock &use);

inline int64_t dtype_bytes(DType dtype) { return dtype == DType::F32 ? 4 : 2; }

// The matrix with its rows in another order: row i is row `from(i)` of `matrix`.
TernaryMatrix reorder_rows(TernaryMatrix matrix, std::function<int64_t(int64_t)> from);
// A matrix's name for progress and messages: "layer 3 gate".
std::string matrix_label(int64_t layer, Linear which);

}  // namespace bittern::runtime
