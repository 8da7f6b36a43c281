/* Multiplies every matrix shape of an emitted library: packs made-up ternary weights, quantises activations, multiplies
 * in two parts as two threads would, and compares with a plain triple loop. Needs nothing but the library. */
#include <bittern_kernels.h>
#include <stdio.h>
#include <stdlib.h>

static uint32_t state = 1;
static uint32_t random_bits(void) { return (state = state * 1664525u + 1013904223u) >> 8; }

static void *allocate(size_t bytes) {
  void *memory = malloc(bytes ? bytes : 1);
  if (!memory) {
    fprintf(stderr, "out of memory\n");
    exit(1);
  }
  return memory;
}

static void demand(bittern_status status, const char *what) {
  if (status == BITTERN_OK) return;
  fprintf(stderr, "%s: %s\n", what, bittern_status_text(status));
  exit(1);
}

/* Returns how many of the M x N results differ from the plain loop's. */
static int64_t multiply(int64_t m, int64_t n, int64_t k) {
  const bittern_kernels *kernels = bittern_find(n, k);
  if (!kernels) {
    fprintf(stderr, "no kernels for %ldx%ld on this processor\n", (long)n, (long)k);
    exit(1);
  }

  /* Once for each matrix: packed weights, and a scale for each row. */
  int8_t *trits = allocate((size_t)(n * k));
  float *scales = allocate((size_t)n * sizeof *scales);
  for (int64_t i = 0; i < n * k; ++i) trits[i] = (int8_t)((int)(random_bits() % 3) - 1);
  for (int64_t i = 0; i < n; ++i) scales[i] = 0.001f * (float)(1 + random_bits() % 1000);
  void *packed = allocate(bittern_packed_bytes(kernels));
  demand(bittern_pack(kernels, BITTERN_TRITS, trits, 0, n, packed), "bittern_pack");

  /* For each batch of tokens: quantised activations, shared by all matrices that read them. */
  float *x = allocate((size_t)(m * k) * sizeof *x);
  for (int64_t i = 0; i < m * k; ++i) x[i] = (float)(int)(random_bits() % 2001) / 1000.0f - 1.0f;
  bittern_activations a;
  a.stride = bittern_activation_stride(kernels);
  a.values = allocate((size_t)(m * a.stride));
  a.inverse = allocate((size_t)m * sizeof *a.inverse);
  a.sums = allocate((size_t)m * sizeof *a.sums);
  const size_t scratch_bytes = bittern_scratch_bytes(kernels, m);
  void *scratch = allocate(scratch_bytes);
  demand(bittern_quantise(kernels, m, x, k, &a, scratch, scratch_bytes), "bittern_quantise");

  /* The product; with threads, each would make one of these calls with scratch memory of its own. */
  float *y = allocate((size_t)(m * n) * sizeof *y);
  for (int64_t part = 0; part < 2; ++part) {
    int64_t n0, n1;
    demand(bittern_split(kernels, part, 2, &n0, &n1), "bittern_split");
    demand(bittern_matmul(kernels, m, packed, scales, &a, y, n, n0, n1, scratch, scratch_bytes), "bittern_matmul");
  }

  int64_t wrong = 0;
  for (int64_t token = 0; token < m; ++token) {
    for (int64_t row = 0; row < n; ++row) {
      int32_t sum = 0;
      for (int64_t i = 0; i < k; ++i) sum += trits[row * k + i] * a.values[token * a.stride + i];
      const float scaled = (float)sum * a.inverse[token];
      wrong += y[token * n + row] != scaled * scales[row];
    }
  }
  printf("%ldx%ld, %ld tokens, %s, layout %s: %ld of %ld results differ\n", (long)n, (long)k, (long)m,
         bittern_target_of(kernels), bittern_layout(kernels), (long)wrong, (long)(m * n));
  free(trits);
  free(scales);
  free(packed);
  free(x);
  free(a.values);
  free(a.inverse);
  free(a.sums);
  free(scratch);
  free(y);
  return wrong;
}

int main(void) {
  int64_t n, k, wrong = 0;
  printf("%s, made for", bittern_version());
  for (int i = 0; bittern_target(i); ++i) printf(" %s", bittern_target(i));
  printf("\n");
  for (int i = 0; bittern_shape(i, &n, &k); ++i) wrong += multiply(1, n, k) + multiply(20, n, k);
  return wrong ? 1 : 0;
}
