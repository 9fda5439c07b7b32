// Plugin of the emulator qemu-user (plugin interface 1): counts the AArch64 instructions that a program executes, its
// vector multiply-adds, loads and stores, and the misses of two simulated cache levels. Prints one JSON line to
// standard error. Never here: what is run, and what the figures are compared with (instructions.py).
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
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn* instruction, int operation, void* counter,
                                                uint64_t amount);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn* instruction,
                                      void (*accessed)(unsigned, MemoryInfo, uint64_t, void*), int registers,
                                      int direction, void* data);
unsigned qemu_plugin_mem_size_shift(MemoryInfo info);
bool qemu_plugin_mem_is_store(MemoryInfo info);
void qemu_plugin_register_atexit_cb(PluginId id, void (*ended)(PluginId, void*), void* data);

enum { kLineShift = 6, kMostWays = 16 };

// Least recently used lines go first; `lines[set]` holds line numbers + 1, the most recently used first.
typedef struct Cache {
  uint64_t (*lines)[kMostWays];
  uint64_t sets;
  int ways;
  uint64_t misses;
} Cache;

static uint64_t instructions, multiply_adds, loads, stores;
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

static void translated(PluginId id, struct qemu_plugin_tb* block) {
  (void)id;
  const size_t n = qemu_plugin_tb_n_insns(block);
  for (size_t i = 0; i < n; i++) {
    struct qemu_plugin_insn* instruction = qemu_plugin_tb_get_insn(block, i);
    uint32_t word;
    memcpy(&word, qemu_plugin_insn_data(instruction), sizeof word);
    qemu_plugin_register_vcpu_insn_exec_inline(instruction, kAdd, &instructions, 1);
    if (is_multiply_add(word)) qemu_plugin_register_vcpu_insn_exec_inline(instruction, kAdd, &multiply_adds, 1);
    qemu_plugin_register_vcpu_mem_cb(instruction, accessed, kNoRegisters, kReadAndWrite, NULL);
  }
}

static void ended(PluginId id, void* data) {
  (void)id;
  (void)data;
  fprintf(stderr,
          "{\"instructions\": %" PRIu64 ", \"multiply_adds\": %" PRIu64 ", \"loads\": %" PRIu64 ", \"stores\": %" PRIu64
          ", \"l1_misses\": %" PRIu64 ", \"l2_misses\": %" PRIu64 "}\n",
          instructions, multiply_adds, loads, stores, first_level.misses, second_level.misses);
}

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

__attribute__((visibility("default"))) int qemu_plugin_install(PluginId id, const void* info, int argc, char** argv) {
  (void)info;
  for (int i = 0; i < argc; i++) {
    const char* value = strchr(argv[i], '=');
    const long number = value ? strtol(value + 1, NULL, 10) : 0;
    if (strncmp(argv[i], "l1_kib=", 7) == 0) first_kib = (uint64_t)number;
    if (strncmp(argv[i], "l1_ways=", 8) == 0) first_ways = (int)number;
    if (strncmp(argv[i], "l2_kib=", 7) == 0) second_kib = (uint64_t)number;
    if (strncmp(argv[i], "l2_ways=", 8) == 0) second_ways = (int)number;
  }
  if (!make_cache(&first_level, first_kib, first_ways) || !make_cache(&second_level, second_kib, second_ways)) {
    fprintf(stderr, "expected caches with a power of two of sets and 1 to %d ways; found others\n", kMostWays);
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, ended, NULL);
  return 0;
}
