// Scopes and depth of the interpreter, undone when the block ends however it ends.
#pragma once
#include <algorithm>
#include <memory>
#include <utility>

#include "runtime/chat/jinja/interpreter.h"

namespace bittern::runtime::jinja {

class Interpreter::DepthGuard {
 public:
  DepthGuard(Interpreter &interpreter, size_t at) : interpreter_(interpreter) {
    if (interpreter_.depth_ >= interpreter_.limits_.depth)
      interpreter_.fail(at, "the template calls itself too often or is nested too deep");
    ++interpreter_.depth_;
  }
  ~DepthGuard() { --interpreter_.depth_; }
  DepthGuard(const DepthGuard &) = delete;
  DepthGuard &operator=(const DepthGuard &) = delete;

 private:
  Interpreter &interpreter_;
};

// A new scope inside `parent`; the scope of before is back at the end. One that a macro refers to is kept.
class Interpreter::ScopeGuard {
 public:
  ScopeGuard(Interpreter &interpreter, Scope *parent)
      : interpreter_(interpreter), before_(interpreter.scope_), scope_(std::make_unique<Scope>()) {
    interpreter_.work(0);
    scope_->parent = parent;
    interpreter_.scope_ = scope_.get();
  }
  ~ScopeGuard() {
    interpreter_.scope_ = before_;
    if (scope_->captured) interpreter_.captured_.push_back(std::move(scope_));
  }
  ScopeGuard(const ScopeGuard &) = delete;
  ScopeGuard &operator=(const ScopeGuard &) = delete;

 private:
  Interpreter &interpreter_;
  Scope *before_;
  std::unique_ptr<Scope> scope_;
};

}  // namespace bittern::runtime::jinja
