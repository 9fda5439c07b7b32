// Parsing of .npy headers (format versions 1 to 3).
// Never here: conversion between types.
#include "npy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void* read_file(const char* path, size_t* n_bytes) {
  errno = 0;
  FILE* file = fopen(path, "rb");
  long size = -1;
  if (file && fseek(file, 0, SEEK_END) == 0) size = ftell(file);
  void* bytes = size >= 0 ? malloc((size_t)size + 1) : NULL;
  if (bytes && (fseek(file, 0, SEEK_SET) != 0 || fread(bytes, 1, (size_t)size, file) != (size_t)size)) {
    free(bytes);
    bytes = NULL;
  }
  if (file) fclose(file);
  if (bytes == NULL) {
    fprintf(stderr, "edgecl-run: expected a readable file at \"%s\"; found: %s; check the path\n", path,
            errno != 0 ? strerror(errno) : "no memory for it");
    return NULL;
  }
  ((char*)bytes)[size] = '\0';
  *n_bytes = (size_t)size;
  return bytes;
}

static int refuse(const char* path, const char* expected) {
  fprintf(stderr, "edgecl-run: %s: expected %s; save it again with numpy.save\n", path, expected);
  return 0;
}

// Shape "(10, 3, 32, 32)": rows and elements per row. 0 when it is malformed or too large.
static int parse_shape(const char* at, uint64_t* rows, uint64_t* elements) {
  uint64_t dims[8];
  int rank = 0;
  at++;
  while (*at && *at != ')') {
    char* end = NULL;
    const unsigned long long dim = strtoull(at, &end, 10);
    if (end == at || rank == 8 || dim > (1ull << 31)) return 0;
    dims[rank++] = dim;
    at = end + strspn(end, ", ");
  }
  if (rank == 0 || *at != ')') return 0;
  *rows = dims[0];
  *elements = 1;
  for (int i = 1; i < rank; i++) {
    if (dims[i] == 0 || *elements > (1ull << 31) / dims[i]) return 0;
    *elements *= dims[i];
  }
  return 1;
}

int read_npy(const char* path, NpyArray* array) {
  size_t n_bytes = 0;
  unsigned char* file = read_file(path, &n_bytes);
  if (file == NULL) return 0;
  array->file = file;
  if (n_bytes < 12 || memcmp(file, "\x93NUMPY", 6) != 0) return refuse(path, "a .npy file");
  const int long_header = file[6] >= 2;
  size_t start = long_header ? 12 : 10;
  size_t header = file[8] | (size_t)file[9] << 8;
  if (long_header) header |= (size_t)file[10] << 16 | (size_t)file[11] << 24;
  if (header > n_bytes - start || header == 0) return refuse(path, "a whole header");
  char* text = (char*)file + start;
  text[header - 1] = '\0';  // the newline that ends it

  const char* shape = strstr(text, "'shape':");
  shape = shape ? strchr(shape, '(') : NULL;
  if (strstr(text, "'fortran_order': False") == NULL) return refuse(path, "C order");
  if (shape == NULL || !parse_shape(shape, &array->rows, &array->elements_per_row))
    return refuse(path, "a shape of 1 to 8 axes");
  size_t width = 4;
  if (strstr(text, "'<f4'")) {
    array->type = kNpyF32;
  } else if (strstr(text, "'<i4'")) {
    array->type = kNpyI32;
  } else if (strstr(text, "'|u1'")) {
    array->type = kNpyU8;
    width = 1;
  } else {
    return refuse(path, "little-endian float32, int32 or uint8");
  }
  start += header;
  if (array->rows * array->elements_per_row * width != n_bytes - start)
    return refuse(path, "as many bytes as its shape says");
  array->data = file + start;
  return 1;
}
