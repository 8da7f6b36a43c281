#include "tuning_db/proof/problem.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "compiler/error.h"
#include "compiler/printer.h"
#include "compiler/verifier.h"

namespace bittern::tuning {
namespace {

using compiler::Expr;
using compiler::Op;

constexpr int64_t kMaxDimension = int64_t{1} << 24;

// Upper bound of a size-like expression: what depends on inputs counts as the range of the tensor it is loaded from.
int64_t upper_bound(const compiler::KernelSpec &spec, const Expr &e, const compiler::Sizes &sizes) {
  const auto arg = [&](size_t i) { return upper_bound(spec, *e.args[i], sizes); };
  switch (e.op) {
    case Op::IntConst:
      return e.ival;
    case Op::Size:
      return sizes.at(e.name);
    case Op::Add:
      return arg(0) + arg(1);
    case Op::Sub:
      return std::max<int64_t>(arg(0) - arg(1), 0);
    case Op::Mul:
      return arg(0) * arg(1);
    case Op::Div:
      return arg(0) / std::max<int64_t>(arg(1), 1);
    case Op::Min:
      return std::min(arg(0), arg(1));
    case Op::Max:
      return std::max(arg(0), arg(1));
    case Op::Load:
      if (const auto *tensor = spec.find(e.name); tensor && tensor->range)
        return compiler::evaluate(tensor->range->second, sizes) - 1;
      break;
    default:
      break;
  }
  return 1;
}

double count_multiplies(const compiler::KernelSpec &spec, const Expr &e, const compiler::Sizes &sizes, bool in_sum) {
  double own = in_sum && e.op == Op::Mul && e.type != compiler::Type::Bool ? 1 : 0;
  for (size_t i = 0; i < e.args.size(); ++i) {
    const bool body = e.op == Op::Sum && i == 1;
    const double inside = count_multiplies(spec, *e.args[i], sizes, body || (in_sum && e.op != Op::Load));
    own += body ? inside * static_cast<double>(upper_bound(spec, *e.args[0], sizes)) : inside;
  }
  return own;
}

int64_t parse_number(const std::string &text, const std::string &whole, const char *what) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > kMaxDimension)
    throw Error(fmt::format("{} '{}': '{}' is not a number from 1 to {}", what, whole, text, kMaxDimension));
  return value;
}

std::vector<std::string> split(const std::string &text, char separator) {
  std::vector<std::string> parts(1);
  for (char c : text) {
    if (c == separator)
      parts.emplace_back();
    else if (c != ' ')
      parts.back() += c;
  }
  return parts;
}

}  // namespace

const std::vector<Bucket> &buckets() {
  static const std::vector<Bucket> table = {{1, 1}, {2, 2}, {3, 4}, {5, 8}, {9, 16}, {17, 32}, {33, INT64_MAX}};
  return table;
}

const Bucket &bucket_of(int64_t m) {
  for (const Bucket &bucket : buckets())
    if (m >= bucket.m_min && m <= bucket.m_max) return bucket;
  throw Error(fmt::format("M = {} is not in any bucket: it must be at least 1", m));
}

std::string print_bucket(const Bucket &bucket) {
  if (bucket.m_max == INT64_MAX) return fmt::format("{}+", bucket.m_min);
  if (bucket.m_min == bucket.m_max) return fmt::format("{}", bucket.m_min);
  return fmt::format("{}-{}", bucket.m_min, bucket.m_max);
}

std::string Problem::kernel_key() const {
  std::string sizes_text;
  for (const auto &[name, value] : fixed)
    sizes_text += fmt::format("{}{}={}", sizes_text.empty() ? "" : ",", name, value);
  return fmt::format("{}@{};{};m={};{}", spec_name, spec_hash, sizes_text, print_bucket({m_min, m_max}), target);
}

std::string Problem::key() const { return fmt::format("{};at={};t={}", kernel_key(), m, threads); }

compiler::Sizes Problem::sizes() const {
  compiler::Sizes all = fixed;
  if (has_m) all["M"] = m;
  return all;
}

std::string Problem::shape() const {
  if (fixed.count("N") && fixed.count("K")) {
    std::string text = fmt::format("{}x{}", fixed.at("N"), fixed.at("K"));
    for (const auto &[name, value] : fixed)
      if (name != "N" && name != "K") text += fmt::format(",{}={}", name, value);
    return text;
  }
  std::string text;
  for (const auto &[name, value] : fixed) text += fmt::format("{}{}={}", text.empty() ? "" : ",", name, value);
  return text;
}

Problem make_problem(const compiler::KernelSpec &spec, const compiler::Sizes &fixed, int64_t m, int threads,
                     const std::string &target) {
  Problem problem;
  problem.spec_name = spec.name;
  problem.spec_text = compiler::print_kernel(spec);
  problem.spec_hash = compiler::spec_hash(spec);
  problem.has_m = std::find(spec.sizes.begin(), spec.sizes.end(), "M") != spec.sizes.end();
  problem.threads = threads;
  problem.target = target;
  problem.m = problem.has_m ? m : 1;
  if (problem.has_m) {
    const Bucket &bucket = bucket_of(m);
    problem.m_min = bucket.m_min;
    problem.m_max = bucket.m_max;
  }
  for (const std::string &name : spec.sizes) {
    if (name == "M") continue;
    const auto found = fixed.find(name);
    if (found == fixed.end())
      throw Error(fmt::format("kernel {}: size {} is missing (its sizes are {})", spec.name, name,
                              fmt::join(spec.sizes, ", ")));
    problem.fixed[name] = found->second;
  }
  for (const auto &size : fixed)
    if (size.first != "M" && !problem.fixed.count(size.first))
      throw Error(fmt::format("kernel {} has no size {} (its sizes are {})", spec.name, size.first,
                              fmt::join(spec.sizes, ", ")));
  compiler::check_sizes(spec, problem.sizes());
  return problem;
}

double multiply_adds(const compiler::KernelSpec &spec, const compiler::Sizes &sizes) {
  double total = 0;
  for (const compiler::Definition &definition : spec.definitions) {
    const compiler::Tensor *tensor = spec.find(definition.tensor);
    if (tensor && tensor->role == compiler::Role::Given) continue;
    double elements = 1;
    for (const compiler::IndexVar &var : definition.vars)
      elements *= static_cast<double>(upper_bound(spec, *var.extent, sizes));
    total += elements * count_multiplies(spec, *definition.value, sizes, false);
  }
  return total;
}

double touched_bytes(const compiler::KernelSpec &spec, const compiler::Sizes &sizes) {
  double total = 0;
  for (const compiler::Tensor *tensor : spec.arguments()) {
    double elements = 1;
    for (const compiler::ExprPtr &extent : tensor->shape)
      elements *= static_cast<double>(compiler::evaluate(extent, sizes));
    total += elements * (tensor->type == compiler::Type::Ternary ? 0.25 : compiler::type_bytes(tensor->type));
  }
  return total;
}

double weight_bytes(const compiler::KernelSpec &spec, const compiler::Sizes &sizes) {
  double matrices = 0, all = 0;
  for (const compiler::Tensor *tensor : spec.arguments()) {
    double elements = 1;
    bool grows = false;
    for (const compiler::ExprPtr &extent : tensor->shape) {
      elements *= static_cast<double>(compiler::evaluate(extent, sizes));
      grows = grows || (extent->op == Op::Size && extent->name == "M");
    }
    const double bytes =
        elements * (tensor->type == compiler::Type::Ternary ? 0.25 : compiler::type_bytes(tensor->type));
    if (tensor->role == compiler::Role::In && !grows && tensor->shape.size() > 1) matrices += bytes;
    all += bytes;
  }
  return matrices > 0 ? matrices : all;
}

compiler::Sizes compiled_sizes(const compiler::KernelSpec &spec, const Problem &problem) {
  constexpr double kLarge = 256.0 * 1024 * 1024;
  compiler::Sizes sizes = problem.fixed;
  if (touched_bytes(spec, problem.sizes()) > kLarge && sizes.size() > 1)
    sizes.erase(
        std::max_element(sizes.begin(), sizes.end(), [](const auto &a, const auto &b) { return a.second < b.second; }));
  return sizes;
}

compiler::Sizes parse_dims(const std::string &text) {
  compiler::Sizes sizes;
  for (const std::string &part : split(text, ',')) {
    const size_t equals = part.find('=');
    if (equals == std::string::npos || equals == 0)
      throw Error(fmt::format("dims '{}': '{}' is not of the form NAME=NUMBER, for example M=1", text, part));
    if (!sizes.emplace(part.substr(0, equals), parse_number(part.substr(equals + 1), text, "dims")).second)
      throw Error(fmt::format("dims '{}': {} is given twice", text, part.substr(0, equals)));
  }
  return sizes;
}

}  // namespace bittern::tuning
