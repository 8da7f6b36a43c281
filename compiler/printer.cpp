// Parentheses only where the grammar needs them. A reduction swallows everything to its right, so as an operand it is
// always in parentheses.
#include "compiler/printer.h"

#include <fmt/format.h>
#include <sodium.h>

#include <array>
#include <cmath>

#include "compiler/error.h"
#include "compiler/expr.h"

namespace bittern::compiler {

namespace {

// Shared nodes could print to exponential length; no real kernel comes near this.
constexpr size_t kMaxPrinted = 4 * kMaxTextBytes;

std::string print_float(float value) {
  if (!std::isfinite(value)) throw Error("a float constant that is not finite has no text");
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

class Printer {
 public:
  explicit Printer(std::string &out) : out_(out) {}

  void expr(const Expr &e, int lowest) {
    if (out_.size() > kMaxPrinted) throw Error("the kernel's text would be too long to print");
    const OpRow &row = op_row(e.op);
    switch (row.form) {
      case Form::Leaf:
        if (e.op == Op::IntConst)
          out_ += fmt::format("{}", e.ival);
        else if (e.op == Op::FloatConst)
          out_ += print_float(e.fval);
        else
          out_ += e.name;
        return;
      case Form::Infix:
        open(row.precedence < lowest);
        expr(*e.args[0], row.precedence + (row.precedence == op_row(Op::Eq).precedence ? 1 : 0));
        out_ += fmt::format(" {} ", row.text);
        expr(*e.args[1], row.precedence + 1);
        close(row.precedence < lowest);
        return;
      case Form::Prefix: {
        open(row.precedence < lowest);
        out_ += e.op == Op::Not ? "not " : "-";
        // "-2" is a constant; the negation of the constant 2 is "-(2)".
        const Expr &arg = *e.args[0];
        const bool constant =
            (arg.op == Op::IntConst && arg.ival >= 0) || (arg.op == Op::FloatConst && !std::signbit(arg.fval));
        open(constant && e.op == Op::Neg);
        expr(arg, row.precedence);
        close(constant && e.op == Op::Neg);
        close(row.precedence < lowest);
        return;
      }
      case Form::Function:
        out_ += row.text;
        list(e.args, "(", ")");
        return;
      case Form::Cast:
        out_ += type_name(e.type);
        list(e.args, "(", ")");
        return;
      case Form::Access:
        out_ += e.name;
        list(e.args, e.op == Op::Load ? "[" : "(", e.op == Op::Load ? "]" : ")");
        return;
      case Form::Reduction:
        open(lowest > kLowestPrecedence);
        out_ += fmt::format("{}({}: ", row.text, e.name);
        expr(*e.args[0], kLowestPrecedence);
        out_ += ") ";
        expr(*e.args[1], kLowestPrecedence);
        close(lowest > kLowestPrecedence);
        return;
    }
  }

  void list(const std::vector<ExprPtr> &args, const char *begin, const char *end) {
    out_ += begin;
    for (size_t i = 0; i < args.size(); ++i) {
      if (i) out_ += ", ";
      expr(*args[i], kLowestPrecedence);
    }
    out_ += end;
  }

 private:
  void open(bool wanted) {
    if (wanted) out_ += '(';
  }
  void close(bool wanted) {
    if (wanted) out_ += ')';
  }

  std::string &out_;
};

void print_function(std::string &out, const Function &f) {
  Printer printer(out);
  out += fmt::format("func {}(", f.name);
  for (size_t i = 0; i < f.params.size(); ++i)
    out += fmt::format("{}{}: {}", i ? ", " : "", f.params[i].first, type_name(f.params[i].second));
  out += fmt::format(") -> {} {{\n", type_name(f.result->type));
  for (const auto &[name, value] : f.lets) {
    out += fmt::format("  let {} = ", name);
    printer.expr(*value, kLowestPrecedence);
    out += '\n';
  }
  out += "  return ";
  printer.expr(*f.result, kLowestPrecedence);
  out += "\n}\n\n";
}

void print_tensor(std::string &out, const Tensor &t) {
  Printer printer(out);
  const char *role = t.role == Role::In ? "in" : t.role == Role::Given ? "given" : "out";
  out += fmt::format("{} {} : {}", role, t.name, type_name(t.type));
  printer.list(t.shape, "[", "]");
  if (t.pad != 1) out += fmt::format(" pad {}", t.pad);
  if (t.range) {
    out += " range ";
    printer.expr(*t.range->first, kLowestPrecedence);
    out += " .. ";
    printer.expr(*t.range->second, kLowestPrecedence);
  }
}

void print_declarations(std::string &out, const KernelSpec &spec) {
  Printer printer(out);
  for (const ExprPtr &condition : spec.requires_) {
    out += "  require ";
    printer.expr(*condition, kLowestPrecedence);
    out += '\n';
  }
  if (spec.tokens) out += fmt::format("  tokens {}\n", spec.tokens->empty() ? "none" : *spec.tokens);
  for (const std::string &scalar : spec.scalars) out += fmt::format("  scalar {}\n", scalar);
  for (const Tensor *t : spec.arguments()) {
    out += "  ";
    print_tensor(out, *t);
    out += '\n';
  }
}

}  // namespace

std::string print_expr(const ExprPtr &expr) {
  std::string out;
  Printer(out).expr(*expr, kLowestPrecedence);
  return out;
}

std::string print_declaration(const Tensor &argument) {
  std::string out;
  print_tensor(out, argument);
  return out;
}

std::string print_kernel(const KernelSpec &spec) {
  std::string out;
  for (const Function &f : spec.functions) print_function(out, f);
  out += fmt::format("kernel {}(", spec.name);
  for (size_t i = 0; i < spec.sizes.size(); ++i) out += (i ? ", " : "") + spec.sizes[i];
  out += ") {\n";
  print_declarations(out, spec);
  Printer printer(out);
  for (const Definition &d : spec.definitions) {
    out += fmt::format("  {}[", d.tensor);
    for (size_t i = 0; i < d.vars.size(); ++i) {
      out += fmt::format("{}{}: ", i ? ", " : "", d.vars[i].name);
      printer.expr(*d.vars[i].extent, kLowestPrecedence);
    }
    out += "] = ";
    printer.expr(*d.value, kLowestPrecedence);
    out += '\n';
  }
  out += "}\n";
  return out;
}

std::string spec_hash(const KernelSpec &spec) {
  const std::string text = print_kernel(spec);
  std::array<unsigned char, crypto_hash_sha256_BYTES> digest;
  crypto_hash_sha256(digest.data(), reinterpret_cast<const unsigned char *>(text.data()), text.size());
  std::string hex;
  for (const unsigned char byte : digest) hex += fmt::format("{:02x}", byte);
  return hex;
}

namespace {

bool equal(const std::vector<ExprPtr> &a, const std::vector<ExprPtr> &b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (!compiler::equal(a[i], b[i])) return false;
  return true;
}

bool equal(const Tensor &a, const Tensor &b) {
  if (a.name != b.name || a.role != b.role || a.type != b.type || a.pad != b.pad || !equal(a.shape, b.shape))
    return false;
  if (a.range.has_value() != b.range.has_value()) return false;
  return !a.range ||
         (compiler::equal(a.range->first, b.range->first) && compiler::equal(a.range->second, b.range->second));
}

bool equal(const Definition &a, const Definition &b) {
  if (a.tensor != b.tensor || a.vars.size() != b.vars.size() || !compiler::equal(a.value, b.value)) return false;
  for (size_t i = 0; i < a.vars.size(); ++i)
    if (a.vars[i].name != b.vars[i].name || !compiler::equal(a.vars[i].extent, b.vars[i].extent)) return false;
  return true;
}

bool equal(const Function &a, const Function &b) {
  if (a.name != b.name || a.params != b.params || a.lets.size() != b.lets.size()) return false;
  for (size_t i = 0; i < a.lets.size(); ++i)
    if (a.lets[i].first != b.lets[i].first || !compiler::equal(a.lets[i].second, b.lets[i].second)) return false;
  return compiler::equal(a.result, b.result);
}

template <class T>
bool equal_all(const std::vector<T> &a, const std::vector<T> &b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (!equal(a[i], b[i])) return false;
  return true;
}

}  // namespace

bool equal(const KernelSpec &a, const KernelSpec &b) {
  return a.name == b.name && a.sizes == b.sizes && a.scalars == b.scalars && a.tokens == b.tokens &&
         equal(a.requires_, b.requires_) && equal_all(a.tensors, b.tensors) &&
         equal_all(a.definitions, b.definitions) && equal_all(a.functions, b.functions);
}

}  // namespace bittern::compiler
