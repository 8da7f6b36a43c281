// Gated activations, the residual connection and the embedding look-up.
#include "runtime/kernels/scalar/scalar.h"

namespace bittern::runtime::scalar {
namespace {

// Tensors GU, H; sizes M, F. GU holds gate then up.
template <typename Activation>
void gate(const bt_args *args, Activation activation) {
  const bt_tensor *t = args->tensors;
  const int64_t f_count = args->sizes[1];
  const Range m = tile_range(args, args->sizes[0], 1);
  for (int64_t i = m.begin; i < m.end; ++i) {
    const float *g = at<float>(t[0], i), *u = g + f_count;
    float *h = at<float>(t[1], i);
    for (int64_t f = 0; f < f_count; ++f) h[f] = activation(g[f]) * u[f];
  }
}

// Tensors ids, E, X; sizes M, V, K.
template <typename T, typename Widen>
void look_up(const bt_args *args, Widen widen) {
  const bt_tensor *t = args->tensors;
  const Range m = tile_range(args, args->sizes[0], 1);
  for (int64_t i = m.begin; i < m.end; ++i) {
    const T *row = at<T>(t[1], at<int32_t>(t[0])[i]);
    float *x = at<float>(t[2], i);
    for (int64_t k = 0; k < args->sizes[2]; ++k) x[k] = widen(row[k]);
  }
}

}  // namespace

void ffn_relu2(const bt_args *args) {
  gate(args, [](float x) {
    const float g = max_of(x, 0.0f);
    return g * g;
  });
}

void ffn_silu(const bt_args *args) {
  gate(args, [](float x) { return x / (1.0f + exp(-x)); });
}

void ffn_gelu_tanh(const bt_args *args) {
  gate(args, [](float x) {
    const float t = tanh(0.7978845608f * (x + 0.044715f * ((x * x) * x)));
    return (0.5f * x) * (1.0f + t);
  });
}

// Tensors X, R, Y; sizes M, K. Y may be X.
void residual_add(const bt_args *args) {
  const bt_tensor *t = args->tensors;
  const Range m = tile_range(args, args->sizes[0], 1);
  for (int64_t i = m.begin; i < m.end; ++i) {
    const float *x = at<float>(t[0], i), *r = at<float>(t[1], i);
    float *y = at<float>(t[2], i);
    for (int64_t k = 0; k < args->sizes[1]; ++k) y[k] = x[k] + r[k];
  }
}

void embed_bf16(const bt_args *args) { look_up<uint16_t>(args, bf16_to_f32); }
void embed_f32(const bt_args *args) {
  look_up<float>(args, [](float x) { return x; });
}

}  // namespace bittern::runtime::scalar
