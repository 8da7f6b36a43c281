/* An emitted library, held to a plain loop: every instruction set that runs here, every shape, batch sizes of every
 * kernel, every weight format, split among threads or not, at extreme activations, with nothing written outside; and
 * every misuse answered with its status. Compiles as C99 and as C++. Prints what it checked; exits 1 at a difference.
 */
#include <bittern_kernels.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long checks = 0;

static void require(int good, const char *what, int line) {
  ++checks;
  if (good) return;
  fprintf(stderr, "line %d: %s\n", line, what);
  exit(1);
}
#define REQUIRE(condition) require(condition, #condition, __LINE__)

static uint32_t state = 7;
static uint32_t random_bits(void) {
  state = state * 1664525u + 1013904223u;
  return state >> 8;
}

static void *allocate(size_t bytes) {
  void *memory = malloc(bytes + 1);
  REQUIRE(memory != NULL);
  return memory;
}

/* The processor's floating-point control word, and one that no result may depend on: rounding upwards, denormals
 * flushed to zero. */
#if defined(__x86_64__)
static unsigned long hostile = 0xdfc0;
static unsigned long control_word(void) { return __builtin_ia32_stmxcsr() & ~0x3fu; }
static void set_control_word(unsigned long word) { __builtin_ia32_ldmxcsr((unsigned)word); }
#else
static unsigned long hostile = 0x1400000;
static unsigned long control_word(void) {
  unsigned long word;
  __asm__ volatile("mrs %0, fpcr" : "=r"(word));
  return word;
}
static void set_control_word(unsigned long word) { __asm__ volatile("msr fpcr, %0" ::"r"(word)); }
#endif

/* Weights in each format, from trits. */
static void write_format(bittern_format format, const int8_t *trits, int64_t n, int64_t k, uint8_t *out) {
  int64_t row, column;
  if (format == BITTERN_TRITS) {
    memcpy(out, trits, (size_t)(n * k));
    return;
  }
  for (row = 0; row < n; ++row) {
    for (column = 0; column < k; ++column) {
      const int code = trits[row * k + column] + 1;
      const int64_t element = row * k + column;
      int64_t byte = 0, shift = 0;
      if (format == BITTERN_TRANSFORMERS) {
        byte = row % (n / 4) * k + column;
        shift = 2 * (row / (n / 4));
      } else if (format == BITTERN_CODES) {
        byte = row * ((k + 3) / 4) + column / 4;
        shift = 2 * (column % 4);
      } else {
        const int64_t lane = format == BITTERN_I2S_128 ? 32 : 16;
        byte = element / (4 * lane) * lane + element % lane;
        shift = 6 - 2 * (element % (4 * lane) / lane);
      }
      out[byte] = (uint8_t)(out[byte] | code << shift);
    }
  }
}

static int format_fits(bittern_format format, int64_t n, int64_t k) {
  if (format == BITTERN_TRANSFORMERS) return n % 4 == 0;
  if (format == BITTERN_I2S_128) return n * k % 128 == 0;
  if (format == BITTERN_I2S_64) return n * k % 64 == 0;
  return 1;
}

static void check_formats(const bittern_kernels *kernels, const int8_t *trits, const uint8_t *packed) {
  const int64_t n = bittern_rows(kernels), k = bittern_columns(kernels);
  const size_t bytes = bittern_packed_bytes(kernels);
  int8_t *back = (int8_t *)allocate((size_t)(n * k));
  int index;
  REQUIRE(bittern_unpack(kernels, packed, 0, n, back) == BITTERN_OK);
  REQUIRE(memcmp(back, trits, (size_t)(n * k)) == 0);
  for (index = 0; index <= BITTERN_I2S_64; ++index) {
    const bittern_format format = (bittern_format)index;
    uint8_t *source = (uint8_t *)calloc((size_t)(n * (k + 3)), 1), *again = (uint8_t *)allocate(bytes);
    const int64_t step = bittern_row_step(kernels), cut = step < n ? step : n;
    if (!format_fits(format, n, k)) {
      REQUIRE(bittern_pack(kernels, format, source, 0, n, again) == BITTERN_BAD_FORMAT);
    } else {
      write_format(format, trits, n, k, source);
      memset(again, 0x5a, bytes);
      REQUIRE(bittern_pack(kernels, format, source, cut, n, again) == BITTERN_OK);
      REQUIRE(bittern_pack(kernels, format, source, 0, cut, again) == BITTERN_OK);
      REQUIRE(memcmp(again, packed, bytes) == 0);
      source[0] = format == BITTERN_TRITS ? 2 : 0xff;
      REQUIRE(bittern_pack(kernels, format, source, 0, n, again) == BITTERN_NOT_A_TRIT);
    }
    free(source);
    free(again);
  }
  free(back);
}

/* What BitNet's quantiser says: adding and subtracting 1.5 * 2^23 rounds to even. */
static void check_quantised(const bittern_activations *a, const float *x, int64_t m, int64_t k) {
  int64_t token, i;
  for (token = 0; token < m; ++token) {
    volatile float scale, rounded;
    float absmax = 0.00001f;
    int32_t sum = 0;
    for (i = 0; i < k; ++i) {
      const float value = x[token * k + i] < 0 ? -x[token * k + i] : x[token * k + i];
      if (value > absmax) absmax = value;
    }
    scale = 127.0f / absmax;
    for (i = 0; i < k; ++i) {
      rounded = x[token * k + i] * scale;
      rounded = rounded + 12582912.0f;
      rounded = rounded - 12582912.0f;
      sum += (int32_t)rounded;
      REQUIRE(a->values[token * a->stride + i] == (int8_t)rounded);
    }
    for (; i < (k + 63) / 64 * 64; ++i) REQUIRE(a->values[token * a->stride + i] == 0);
    REQUIRE(a->sums[token] == sum);
    REQUIRE(a->inverse[token] == absmax / 127.0f);
  }
}

static void check_product(const bittern_kernels *kernels, const int8_t *trits, const uint8_t *packed, int64_t m,
                          int extreme) {
  const int64_t n = bittern_rows(kernels), k = bittern_columns(kernels), y_stride = n + 3;
  const size_t scratch_bytes = bittern_scratch_bytes(kernels, m);
  const float untouched = -12345.0f;
  const unsigned long ordinary = control_word();
  float *x = (float *)allocate((size_t)(m * k) * sizeof(float)), *scales = (float *)allocate((size_t)n * sizeof(float));
  float *y = (float *)allocate((size_t)(m * y_stride) * sizeof(float));
  uint8_t *scratch = (uint8_t *)allocate(scratch_bytes);
  int64_t token, row, i, parts;
  bittern_activations a;
  a.stride = bittern_activation_stride(kernels) + 64;
  a.values = (int8_t *)allocate((size_t)(m * a.stride));
  a.inverse = (float *)allocate((size_t)m * sizeof(float));
  a.sums = (int32_t *)allocate((size_t)m * sizeof(int32_t));
  for (i = 0; i < m * k; ++i) x[i] = (float)((int)(random_bits() % 4001) - 2000) * 0.37f;
  /* Every seventh row has a denormal scale. */
  for (i = 0; i < n; ++i) scales[i] = (i % 7 == 3 ? 1e-42f : 0.01f) * (float)(1 + random_bits() % 1000);
  set_control_word(hostile);
  REQUIRE(bittern_quantise(kernels, m, x, k, &a, scratch, scratch_bytes) == BITTERN_OK);
  REQUIRE(control_word() == hostile);
  set_control_word(ordinary);
  check_quantised(&a, x, m, k);
  for (token = 0; extreme && token < m; ++token) {
    a.sums[token] = 0;
    for (i = 0; i < k; ++i) {
      a.values[token * a.stride + i] = (int8_t)(extreme == 1 ? -128 : random_bits() % 2 ? 127 : -127);
      a.sums[token] += a.values[token * a.stride + i];
    }
  }
  for (parts = 1; parts <= 3; parts += 2) {
    int64_t part, n0 = 0, n1 = 0, before = 0;
    for (i = 0; i < m * y_stride; ++i) y[i] = untouched;
    for (part = 0; part < parts; ++part) {
      REQUIRE(bittern_split(kernels, part, parts, &n0, &n1) == BITTERN_OK);
      REQUIRE(n0 == before && n1 >= n0);
      before = n1;
      set_control_word(hostile);
      REQUIRE(bittern_matmul(kernels, m, packed, scales, &a, y, y_stride, n0, n1, scratch, scratch_bytes) ==
              BITTERN_OK);
      REQUIRE(control_word() == hostile);
      set_control_word(ordinary);
    }
    REQUIRE(n1 == n);
    for (token = 0; token < m; ++token) {
      for (row = 0; row < n; ++row) {
        volatile float scaled;
        int32_t sum = 0;
        for (i = 0; i < k; ++i) sum += trits[row * k + i] * a.values[token * a.stride + i];
        scaled = (float)sum * a.inverse[token];
        scaled = scaled * scales[row];
        REQUIRE(y[token * y_stride + row] == scaled);
      }
      for (; row < y_stride; ++row) REQUIRE(y[token * y_stride + row] == untouched);
    }
  }
  free(x);
  free(scales);
  free(y);
  free(scratch);
  free(a.values);
  free(a.inverse);
  free(a.sums);
}

static void check_misuse(const bittern_kernels *kernels, const uint8_t *packed) {
  const int64_t n = bittern_rows(kernels), k = bittern_columns(kernels), step = bittern_row_step(kernels);
  const int64_t stride = bittern_activation_stride(kernels), huge = (int64_t)1 << 40;
  const size_t bytes = bittern_scratch_bytes(kernels, 2);
  const bittern_kernels *none = (const bittern_kernels *)(const void *)&checks;
  const bittern_kernels *beside = (const bittern_kernels *)(const void *)((const char *)kernels + 1);
  bittern_activations a, b;
  int64_t n0, n1;
  float *floats = (float *)allocate((size_t)(2 * (n + k)) * sizeof(float));
  uint8_t *scratch = (uint8_t *)allocate(bytes), *space = (uint8_t *)allocate(bittern_packed_bytes(kernels));
  int8_t *trits = (int8_t *)calloc((size_t)(n * k), 1);
  a.stride = stride;
  a.values = (int8_t *)calloc((size_t)(2 * stride), 1);
  a.inverse = (float *)calloc(2, sizeof(float));
  a.sums = (int32_t *)calloc(2, sizeof(int32_t));

  REQUIRE(bittern_rows(none) == 0 && bittern_columns(beside) == 0 && bittern_row_step(NULL) == 0);
  REQUIRE(bittern_target_of(none) == NULL && bittern_layout(NULL) == NULL && bittern_layout_version(none) == NULL);
  REQUIRE(bittern_schedule(kernels, 0) == NULL && bittern_proof(none, 1) == NULL);
  REQUIRE(bittern_packed_bytes(none) == 0 && bittern_activation_stride(none) == 0);
  REQUIRE(bittern_scratch_bytes(none, 1) == 0 && bittern_scratch_bytes(kernels, 0) == 0);
  REQUIRE(bittern_target(-1) == NULL && bittern_target(99) == NULL);
  REQUIRE(!bittern_shape(-1, NULL, NULL) && !bittern_shape(99, &n0, &n1) && bittern_shape(0, NULL, NULL));
  REQUIRE(bittern_find(n, k + 1) == NULL && bittern_find(-1, -1) == NULL && bittern_find(0, 0) == NULL);
  REQUIRE(bittern_find_target(NULL, n, k) == NULL && bittern_find_target("6502", n, k) == NULL);
  REQUIRE(bittern_target_runs(NULL) == 0 && bittern_target_runs("6502") == 0);
  REQUIRE(bittern_status_text((bittern_status)99) != NULL && bittern_status_text(BITTERN_OK) != NULL);

  REQUIRE(bittern_split(NULL, 0, 1, &n0, &n1) == BITTERN_NULL_POINTER);
  REQUIRE(bittern_split(kernels, 0, 1, NULL, &n1) == BITTERN_NULL_POINTER);
  REQUIRE(bittern_split(none, 0, 1, &n0, &n1) == BITTERN_BAD_HANDLE);
  REQUIRE(bittern_split(kernels, 1, 1, &n0, &n1) == BITTERN_BAD_SIZE);
  REQUIRE(bittern_split(kernels, 0, 0, &n0, &n1) == BITTERN_BAD_SIZE);
  REQUIRE(bittern_split(kernels, huge - 1, huge, &n0, &n1) == BITTERN_OK && n0 == n && n1 == n);

  REQUIRE(bittern_pack(NULL, BITTERN_TRITS, trits, 0, n, space) == BITTERN_NULL_POINTER);
  REQUIRE(bittern_pack(kernels, BITTERN_TRITS, NULL, 0, n, space) == BITTERN_NULL_POINTER);
  REQUIRE(bittern_pack(kernels, BITTERN_TRITS, trits, 0, n, NULL) == BITTERN_NULL_POINTER);
  REQUIRE(bittern_pack(none, BITTERN_TRITS, trits, 0, n, space) == BITTERN_BAD_HANDLE);
  REQUIRE(bittern_pack(beside, BITTERN_TRITS, trits, 0, n, space) == BITTERN_BAD_HANDLE);
  REQUIRE(bittern_pack(kernels, (bittern_format)-1, trits, 0, n, space) == BITTERN_BAD_FORMAT);
  REQUIRE(bittern_pack(kernels, (bittern_format)5, trits, 0, n, space) == BITTERN_BAD_FORMAT);
  REQUIRE(bittern_pack(kernels, BITTERN_TRITS, trits, 1, n, space) == (n > 1 ? BITTERN_BAD_RANGE : BITTERN_OK));
  REQUIRE(bittern_pack(kernels, BITTERN_TRITS, trits, 0, n + 1, space) == BITTERN_BAD_RANGE);
  REQUIRE(bittern_pack(kernels, BITTERN_TRITS, trits, -step, n, space) == BITTERN_BAD_RANGE);
  REQUIRE(bittern_pack(kernels, BITTERN_TRITS, trits, n, 0, space) == BITTERN_BAD_RANGE);
  REQUIRE(bittern_pack(kernels, BITTERN_TRITS, trits, 0, 0, space) == BITTERN_OK);
  REQUIRE(bittern_unpack(kernels, NULL, 0, n, trits) == BITTERN_NULL_POINTER);
  REQUIRE(bittern_unpack(none, packed, 0, n, trits) == BITTERN_BAD_HANDLE);
  REQUIRE(bittern_unpack(kernels, packed, 0, n + step, trits) == BITTERN_BAD_RANGE);

  REQUIRE(bittern_quantise(NULL, 1, floats, k, &a, scratch, bytes) == BITTERN_NULL_POINTER);
  REQUIRE(bittern_quantise(kernels, 1, NULL, k, &a, scratch, bytes) == BITTERN_NULL_POINTER);
  REQUIRE(bittern_quantise(kernels, 1, floats, k, NULL, scratch, bytes) == BITTERN_NULL_POINTER);
  REQUIRE(bittern_quantise(none, 1, floats, k, &a, scratch, bytes) == BITTERN_BAD_HANDLE);
  REQUIRE(bittern_quantise(kernels, 0, floats, k, &a, scratch, bytes) == BITTERN_BAD_SIZE);
  REQUIRE(bittern_quantise(kernels, 1, floats, k - 1, &a, scratch, bytes) == BITTERN_BAD_SIZE);
  REQUIRE(bittern_quantise(kernels, 1, floats, huge, &a, scratch, bytes) == BITTERN_BAD_SIZE);
  b = a;
  b.stride = stride - 64;
  REQUIRE(bittern_quantise(kernels, 1, floats, k, &b, scratch, bytes) == BITTERN_BAD_SIZE);
  b.stride = stride + 1;
  REQUIRE(bittern_quantise(kernels, 1, floats, k, &b, scratch, bytes) == BITTERN_BAD_SIZE);
  b = a;
  b.sums = NULL;
  REQUIRE(bittern_quantise(kernels, 1, floats, k, &b, scratch, bytes) == BITTERN_NULL_POINTER);

  REQUIRE(bittern_matmul(NULL, 1, packed, floats, &a, floats, n, 0, n, scratch, bytes) == BITTERN_NULL_POINTER);
  REQUIRE(bittern_matmul(kernels, 1, NULL, floats, &a, floats, n, 0, n, scratch, bytes) == BITTERN_NULL_POINTER);
  REQUIRE(bittern_matmul(kernels, 1, packed, NULL, &a, floats, n, 0, n, scratch, bytes) == BITTERN_NULL_POINTER);
  REQUIRE(bittern_matmul(kernels, 1, packed, floats, NULL, floats, n, 0, n, scratch, bytes) == BITTERN_NULL_POINTER);
  REQUIRE(bittern_matmul(kernels, 1, packed, floats, &b, floats, n, 0, n, scratch, bytes) == BITTERN_NULL_POINTER);
  REQUIRE(bittern_matmul(kernels, 1, packed, floats, &a, NULL, n, 0, n, scratch, bytes) == BITTERN_NULL_POINTER);
  REQUIRE(bittern_matmul(beside, 1, packed, floats, &a, floats, n, 0, n, scratch, bytes) == BITTERN_BAD_HANDLE);
  REQUIRE(bittern_matmul(kernels, -1, packed, floats, &a, floats, n, 0, n, scratch, bytes) == BITTERN_BAD_SIZE);
  REQUIRE(bittern_matmul(kernels, 1, packed, floats, &a, floats, n - 1, 0, n, scratch, bytes) == BITTERN_BAD_SIZE);
  REQUIRE(bittern_matmul(kernels, 1, packed, floats, &a, floats, huge, 0, n, scratch, bytes) == BITTERN_BAD_SIZE);
  REQUIRE(bittern_matmul(kernels, 1, packed, floats, &a, floats, n, 1, n, scratch, bytes) ==
          (n > 1 ? BITTERN_BAD_RANGE : BITTERN_OK));
  REQUIRE(bittern_matmul(kernels, 1, packed, floats, &a, floats, n, 0, n + 1, scratch, bytes) == BITTERN_BAD_RANGE);
  REQUIRE(bittern_matmul(kernels, 1, packed, floats, &a, floats, n, n, n, scratch, bytes) == BITTERN_OK);
  if (bittern_scratch_bytes(kernels, 40) > 0) {
    const size_t more = bittern_scratch_bytes(kernels, 40);
    REQUIRE(bittern_matmul(kernels, 40, packed, floats, &a, floats, n, 0, n, NULL, more) == BITTERN_NULL_POINTER);
    REQUIRE(bittern_matmul(kernels, 40, packed, floats, &a, floats, n, 0, n, scratch, more - 1) == BITTERN_BAD_SIZE);
  }
  free(floats);
  free(scratch);
  free(space);
  free(trits);
  free(a.values);
  free(a.inverse);
  free(a.sums);
}

int main(void) {
  static const int64_t batches[] = {1, 2, 3, 4, 5, 8, 16, 17, 33};
  int target, shape, ran = 0;
  REQUIRE(bittern_chosen_target() != NULL && bittern_target_runs(bittern_chosen_target()));
  for (target = 0; bittern_target(target); ++target) {
    int64_t n, k;
    const char *name = bittern_target(target);
    if (bittern_target_runs(name)) printf("runs %s\n", name);
    for (shape = 0; bittern_shape(shape, &n, &k); ++shape) {
      const bittern_kernels *kernels = bittern_find_target(name, n, k);
      int8_t *trits;
      uint8_t *packed;
      size_t i;
      REQUIRE((kernels != NULL) == bittern_target_runs(name));
      if (!kernels) continue;
      ++ran;
      REQUIRE(bittern_rows(kernels) == n && bittern_columns(kernels) == k);
      REQUIRE(strcmp(bittern_target_of(kernels), name) == 0 && strlen(bittern_layout(kernels)) > 0);
      if (strcmp(name, bittern_chosen_target()) == 0) REQUIRE(bittern_find(n, k) == kernels);
      trits = (int8_t *)allocate((size_t)(n * k));
      packed = (uint8_t *)allocate(bittern_packed_bytes(kernels));
      for (i = 0; i < (size_t)(n * k); ++i) trits[i] = (int8_t)((int)(random_bits() % 3) - 1);
      REQUIRE(bittern_pack(kernels, BITTERN_TRITS, trits, 0, n, packed) == BITTERN_OK);
      check_formats(kernels, trits, packed);
      REQUIRE(strcmp(bittern_schedule(kernels, 1), bittern_schedule(kernels, 40)) != 0);
      for (i = 0; i < sizeof batches / sizeof *batches; ++i) {
        const size_t proof = strlen(bittern_proof(kernels, batches[i])); /* none when emitted elsewhere */
        REQUIRE(bittern_schedule(kernels, batches[i]) != NULL && (proof == 16 || proof == 0));
        check_product(kernels, trits, packed, batches[i], (int)i % 3);
      }
      for (i = 0; i < (size_t)(n * k); ++i) trits[i] = (int8_t)(i % 7 ? 1 : -1);
      REQUIRE(bittern_pack(kernels, BITTERN_TRITS, trits, 0, n, packed) == BITTERN_OK);
      check_product(kernels, trits, packed, 1, 1);
      check_product(kernels, trits, packed, 17, 2);
      check_misuse(kernels, packed);
      free(trits);
      free(packed);
    }
  }
  REQUIRE(ran > 0);
  printf("%d pairs of shape and instruction set, %ld checks\n", ran, checks);
  return 0;
}
