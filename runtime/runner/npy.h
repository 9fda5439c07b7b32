// Reads NumPy's .npy files of float32, uint8 or int32.
// Never here: writing, other element types, Fortran order.
#ifndef EDGECL_RUNTIME_RUNNER_NPY_H_
#define EDGECL_RUNTIME_RUNNER_NPY_H_

#include <stddef.h>
#include <stdint.h>

typedef enum NpyType { kNpyF32, kNpyU8, kNpyI32 } NpyType;

typedef struct NpyArray {
  NpyType type;
  uint64_t rows;              // first axis
  uint64_t elements_per_row;  // product of the other axes
  void* file;                 // the whole file, to be released with free
  const void* data;
} NpyArray;

// 1 = read; 0 = a message was printed.
int read_npy(const char* path, NpyArray* array);

// The whole file in one block for free(); NULL = a message was printed.
void* read_file(const char* path, size_t* n_bytes);

#endif
