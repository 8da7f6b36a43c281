#include "tuning_db/proof/interpret.h"

#include "compiler/interpreter.h"

namespace bittern::tuning {

Arrays interpret_arrays(const compiler::KernelSpec &spec, const compiler::Sizes &sizes, const Arrays &inputs,
                        const std::vector<float> &scalars) {
  std::map<std::string, compiler::TensorData> tensors;
  for (const auto &[name, array] : inputs) tensors[name] = {array.type, array.shape, array.bytes};
  std::map<std::string, float> named;
  for (size_t i = 0; i < spec.scalars.size(); ++i) named[spec.scalars[i]] = scalars.at(i);
  compiler::interpret(spec, sizes, named, tensors, compiler::Givens::Compute);
  Arrays results;
  for (auto &[name, data] : tensors)
    if (!inputs.count(name)) results[name] = {data.type, std::move(data.shape), std::move(data.bytes)};
  return results;
}

}  // namespace bittern::tuning
