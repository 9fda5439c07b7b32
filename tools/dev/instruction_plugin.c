// Plugin of the emulator qemu-user (plugin interface 1): counts the instructions that a program executes, AArch64's
// multiply-adds, loads and stores, and the misses of two simulated cache levels; l1_kib=0: instructions alone, ten times
// as quickly. mark=ADDRESS: also the instructions before each execution of that one. Prints one JSON line to standard
// error. Never here: what is run, and what the figures are compared with (instructions.py, instruction_gate.py).
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The part of the interface that is used here: the emulator's packages bring no header.
typedef uint64_t PluginId;
typedef uint32_t MemoryInfo;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { kAdd = 0, kNoRegisters = 0, kReadAndWrite = 3 };
void qemu_plugin_register_vcpu_tb_trans_cb(PluginId id, void (*translated)(PluginId, struct qemu_plugin_tb*));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb* block);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb* block, size_t index);
const void* qemu_plugin_insn_data(const struct qemu_plugin_insn* instruction);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn* instruction);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb* block, int operation, void* counter,
                                              uint64_t amount);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn* instruction, void (*executed)(unsigned, void*),
                                            int registers, void* data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn* instruction,
                                      void (*accessed)(unsigned, MemoryInfo, uint64_t, void*), int registers,
                                      int direction, void* data);
unsigned qemu_plugin_mem_size_shift(MemoryInfo info);
bool qemu_plugin_mem_is_store(MemoryInfo info);
void qemu_plugin_register_atexit_cb(PluginId id, void (*ended)(PluginId, void*), void* data);

enum { kLineShift = 6, kMostWays = 16, kMostMarks = 1 << 16 };

// Least recently used lines go first; `lines[set]` holds line numbers + 1, the most recently used first.
typedef struct Cache {
  uint64_t (*lines)[kMostWays];
  uint64_t sets;
  int ways;
  uint64_t misses;
} Cache;

static uint64_t instructions, multiply_adds, loads, stores;
static uint64_t mark_address, marks[kMostMarks];
static size_t n_marks;
static Cache first_level = {NULL, 0, 0, 0}, second_level = {NULL, 0, 0, 0};
static uint64_t first_kib = 32, second_kib = 1024;  // of a Cortex-A72 as in the Raspberry Pi 4
static int first_ways = 2, second_ways = 16;

static bool make_cache(Cache* cache, uint64_t kib, int ways) {
  if (ways < 1 || ways > kMostWays) return false;
  cache->ways = ways;
  cache->sets = (kib << 10 >> kLineShift) / (uint64_t)ways;
  if (cache->sets == 0 || (cache->sets & (cache->sets - 1)) != 0) return false;
  cache->lines = calloc(cache->sets, sizeof *cache->lines);
  return cache->lines != NULL;
}

static bool hit(Cache* cache, uint64_t line) {
  uint64_t* set = cache->lines[line & (cache->sets - 1)];
  const uint64_t wanted = line + 1;
  int at = 0;
  while (at < cache->ways - 1 && set[at] != wanted) at++;
  const bool found = set[at] == wanted;
  memmove(set + 1, set, (size_t)at * sizeof *set);
  set[0] = wanted;
  if (!found) cache->misses++;
  return found;
}

static void accessed(unsigned cpu, MemoryInfo info, uint64_t address, void* data) {
  (void)cpu;
  (void)data;
  if (qemu_plugin_mem_is_store(info))
    stores++;
  else
    loads++;
  const uint64_t last = (address + ((uint64_t)1 << qemu_plugin_mem_size_shift(info)) - 1) >> kLineShift;
  for (uint64_t line = address >> kLineShift; line <= last; line++)
    if (!hit(&first_level, line)) hit(&second_level, line);
}

// FMLA of vectors, by vector and by element, and the scalar FMADD family (Arm ARM, C4.1).
static bool is_multiply_add(uint32_t word) {
  return (word & 0xbfa0fc00u) == 0x0e20cc00u || (word & 0xbf80f400u) == 0x0f801000u ||
         (word & 0xff000000u) == 0x1f000000u;
}

// A function's first instruction begins a block, whose instructions are counted already.
static void marked(unsigned cpu, void* block_size) {
  (void)cpu;
  if (n_marks < kMostMarks) marks[n_marks++] = instructions - (uint64_t)(uintptr_t)block_size;
}

static void translated(PluginId id, struct qemu_plugin_tb* block) {
  (void)id;
  const size_t n = qemu_plugin_tb_n_insns(block);
  uint64_t multiplies = 0;
  qemu_plugin_register_vcpu_tb_exec_inline(block, kAdd, &instructions, n);
  for (size_t i = 0; i < n; i++) {
    struct qemu_plugin_insn* instruction = qemu_plugin_tb_get_insn(block, i);
    uint32_t word;
    memcpy(&word, qemu_plugin_insn_data(instruction), sizeof word);
    multiplies += is_multiply_add(word);
    if (mark_address != 0 && qemu_plugin_insn_vaddr(instruction) == mark_address)
      qemu_plugin_register_vcpu_insn_exec_cb(instruction, marked, kNoRegisters, (void*)(uintptr_t)n);
    if (first_kib != 0) qemu_plugin_register_vcpu_mem_cb(instruction, accessed, kNoRegisters, kReadAndWrite, NULL);
  }
  if (multiplies != 0) qemu_plugin_register_vcpu_tb_exec_inline(block, kAdd, &multiply_adds, multiplies);
}

static void ended(PluginId id, void* data) {
  (void)id;
  (void)data;
  fprintf(stderr, "{\"instructions\": %" PRIu64 ", \"multiply_adds\": %" PRIu64, instructions, multiply_adds);
  if (first_kib != 0)
    fprintf(stderr,
            ", \"loads\": %" PRIu64 ", \"stores\": %" PRIu64 ", \"l1_misses\": %" PRIu64 ", \"l2_misses\": %" PRIu64,
            loads, stores, first_level.misses, second_level.misses);
  if (mark_address != 0) {
    fprintf(stderr, ", \"marks\": [");
    for (size_t i = 0; i < n_marks; i++) fprintf(stderr, "%s%" PRIu64, i ? ", " : "", marks[i]);
    fprintf(stderr, "]");
  }
  fprintf(stderr, "}\n");
}

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

__attribute__((visibility("default"))) int qemu_plugin_install(PluginId id, const void* info, int argc, char** argv) {
  (void)info;
  for (int i = 0; i < argc; i++) {
    const char* value = strchr(argv[i], '=');
    const long number = value ? strtol(value + 1, NULL, 0) : 0;
    if (strncmp(argv[i], "l1_kib=", 7) == 0) first_kib = (uint64_t)number;
    if (strncmp(argv[i], "l1_ways=", 8) == 0) first_ways = (int)number;
    if (strncmp(argv[i], "l2_kib=", 7) == 0) second_kib = (uint64_t)number;
    if (strncmp(argv[i], "l2_ways=", 8) == 0) second_ways = (int)number;
    if (strncmp(argv[i], "mark=", 5) == 0) mark_address = (uint64_t)number;
  }
  if (first_kib != 0 &&
      (!make_cache(&first_level, first_kib, first_ways) || !make_cache(&second_level, second_kib, second_ways))) {
    fprintf(stderr, "expected caches with a power of two of sets and 1 to %d ways; found others\n", kMostWays);
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, ended, NULL);
  return 0;
}
