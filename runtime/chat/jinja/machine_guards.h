// Scopes and depth of the machine, undone when the block ends however it ends.
#pragma once
#include <algorithm>
#include <memory>
#include <utility>

#include "runtime/chat/jinja/machine.h"

namespace bittern::runtime::jinja {

class Machine::DepthGuard {
 public:
  DepthGuard(Machine &machine, size_t at) : machine_(machine) {
    if (machine_.depth_ >= machine_.limits_.depth)
      machine_.fail(at, "the template calls itself too often or is nested too deep");
    ++machine_.depth_;
  }
  ~DepthGuard() { --machine_.depth_; }
  DepthGuard(const DepthGuard &) = delete;
  DepthGuard &operator=(const DepthGuard &) = delete;

 private:
  Machine &machine_;
};

// A new scope inside `parent`; the scope of before is back at the end. One that a macro refers to is kept.
class Machine::ScopeGuard {
 public:
  ScopeGuard(Machine &machine, Scope *parent)
      : machine_(machine), before_(machine.scope_), scope_(std::make_unique<Scope>()) {
    machine_.work(0);
    scope_->parent = parent;
    machine_.scope_ = scope_.get();
  }
  ~ScopeGuard() {
    machine_.scope_ = before_;
    if (scope_->captured) machine_.captured_.push_back(std::move(scope_));
  }
  ScopeGuard(const ScopeGuard &) = delete;
  ScopeGuard &operator=(const ScopeGuard &) = delete;

 private:
  Machine &machine_;
  Scope *before_;
  std::unique_ptr<Scope> scope_;
};

}  // namespace bittern::runtime::jinja
