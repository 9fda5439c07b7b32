// The function table of each level, and the choice of the level that this CPU can run.
// Never here: kernel code, and reading of environment variables (the API layer reads EDGECL_SIMD).
#include "kernels/built.h"
#include "kernels/cpu_features.h"
#include "kernels/kernel_declarations.h"
#include "kernels/plan/vector_shape.h"

// Which levels a build has is CMake's decision: it defines EDGECL_HAS_V1, _V3, _V4, _NEON, _DSP beside the objects it
// compiles.
EDGECL_DECLARE_KERNELS(reference)
#if defined(EDGECL_HAS_DSP)
EDGECL_DECLARE_DOT_KERNELS(dsp)
#endif
#if defined(EDGECL_HAS_V1)
EDGECL_DECLARE_KERNELS(v1)
#endif
#if defined(EDGECL_HAS_V3)
EDGECL_DECLARE_KERNELS(v3)
#endif
#if defined(EDGECL_HAS_V4)
EDGECL_DECLARE_KERNELS(v4)
#endif
#if defined(EDGECL_HAS_V4_VNNI)
EDGECL_DECLARE_DOT_KERNELS(v4_vnni)
#endif
#if defined(EDGECL_HAS_NEON)
EDGECL_DECLARE_KERNELS(neon)
#endif
#if defined(EDGECL_HAS_NEON_DOT)
EDGECL_DECLARE_DOT_KERNELS(neon_dot)
#endif

namespace edgecl {
namespace {

using namespace plan;

bool always() {
  return true;
}

struct Level {
  KernelTable table;
  bool (*runs_here)();
};

#if defined(EDGECL_REFERENCE_ONLY)
#define EDGECL_ENTRY_reference(name, Args)  // constants of the table (kernels.h)
#else
#define EDGECL_ENTRY_reference(name, Args) is_kernel_built(#name) ? &reference::name : nullptr,
#endif
#define EDGECL_ENTRY_dsp(name, Args) is_kernel_built(#name) ? &dsp::name : nullptr,
#define EDGECL_ENTRY_v1(name, Args) is_kernel_built(#name) ? &v1::name : nullptr,
#define EDGECL_ENTRY_v3(name, Args) is_kernel_built(#name) ? &v3::name : nullptr,
#define EDGECL_ENTRY_v4(name, Args) is_kernel_built(#name) ? &v4::name : nullptr,
#define EDGECL_ENTRY_v4_vnni(name, Args) is_kernel_built(#name) ? &v4_vnni::name : nullptr,
#define EDGECL_ENTRY_neon(name, Args) is_kernel_built(#name) ? &neon::name : nullptr,
#define EDGECL_ENTRY_neon_dot(name, Args) is_kernel_built(#name) ? &neon_dot::name : nullptr,

// Levels of other machines, and of this one where a build leaves them out, as a standard build has them.
const ScratchTable kElsewhere[] = {{"x86-64-v1", kShapeReference, kShapeReference},
                                   {"x86-64-v3", kShapeV3, kShapeV3},
                                   {"x86-64-v4", kShapeV4, kShapeV3},
                                   {"x86-64-v4-vnni", kShapeV4, kShapeV3},
                                   {"neon", kShapeNeon, kShapeNeon},
                                   {"neon-dot", kShapeNeon, kShapeNeon}};

// Best last.
const Level kLevels[] = {
#if defined(EDGECL_HAS_DSP)
    // 32-bit Arm: its only level, so with what firmware takes too.
    {{{"reference", kShapeReference, kShapeReference},
      EDGECL_TILED_KERNEL_LIST(EDGECL_ENTRY_reference) EDGECL_DOT_KERNEL_LIST(EDGECL_ENTRY_dsp)
          EDGECL_STREAMED_KERNEL_LIST(EDGECL_ENTRY_reference)},
     always},
#else
    {{{"reference", kShapeReference, kShapeReference}, EDGECL_KERNEL_LIST(EDGECL_ENTRY_reference)}, always},
#endif
#if defined(EDGECL_HAS_V1)
    {{{"x86-64-v1", kShapeV1, kShapeV1}, EDGECL_KERNEL_LIST(EDGECL_ENTRY_v1)}, always},
#elif defined(__x86_64__)
    // Without a fused multiply-add instruction its emulation is nearly all of the time, so the scalar form,
    // built for the baseline, serves as well as a vector one that is half a megabyte larger.
    {{{"x86-64-v1", kShapeReference, kShapeReference}, EDGECL_KERNEL_LIST(EDGECL_ENTRY_reference)}, always},
#endif
#if defined(EDGECL_HAS_V3)
    {{{"x86-64-v3", kShapeV3, kShapeV3}, EDGECL_KERNEL_LIST(EDGECL_ENTRY_v3)}, cpu_has_x86_v3},
#endif
#if defined(EDGECL_HAS_V4)
#if defined(EDGECL_HAS_V3)
    // Longer registers do not help what waits for memory, and a second form of it is a sixth of the library. Nearly all
    // CPUs of v4 have dot products of bytes, so the others take the form of v3 of what gains from them.
    {{{"x86-64-v4", kShapeV4, kShapeV3},
      EDGECL_TILED_KERNEL_LIST(EDGECL_ENTRY_v4) EDGECL_DOT_KERNEL_LIST(EDGECL_ENTRY_v3)
          EDGECL_STREAMED_KERNEL_LIST(EDGECL_ENTRY_v3)},
     cpu_has_x86_v4},
    {{{"x86-64-v4-vnni", kShapeV4, kShapeV3},
      EDGECL_TILED_KERNEL_LIST(EDGECL_ENTRY_v4) EDGECL_DOT_KERNEL_LIST(EDGECL_ENTRY_v4_vnni)
          EDGECL_STREAMED_KERNEL_LIST(EDGECL_ENTRY_v3)},
     cpu_has_x86_v4_vnni},
#else
    {{{"x86-64-v4", kShapeV4, kShapeV4}, EDGECL_KERNEL_LIST(EDGECL_ENTRY_v4)}, cpu_has_x86_v4},
    {{{"x86-64-v4-vnni", kShapeV4, kShapeV4},
      EDGECL_TILED_KERNEL_LIST(EDGECL_ENTRY_v4) EDGECL_DOT_KERNEL_LIST(EDGECL_ENTRY_v4_vnni)
          EDGECL_STREAMED_KERNEL_LIST(EDGECL_ENTRY_v4)},
     cpu_has_x86_v4_vnni},
#endif
#endif
#if defined(EDGECL_HAS_NEON)
    {{{"neon", kShapeNeon, kShapeNeon}, EDGECL_KERNEL_LIST(EDGECL_ENTRY_neon)}, always},
    {{{"neon-dot", kShapeNeon, kShapeNeon},
      EDGECL_TILED_KERNEL_LIST(EDGECL_ENTRY_neon) EDGECL_DOT_KERNEL_LIST(EDGECL_ENTRY_neon_dot)
          EDGECL_STREAMED_KERNEL_LIST(EDGECL_ENTRY_neon)},
     cpu_has_neon_dot},
#endif
};
constexpr int kLevelCount = static_cast<int>(sizeof kLevels / sizeof kLevels[0]);

bool same_level(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) a++, b++;
  return *a == *b;
}

}  // namespace

const KernelTable* kernel_table(const char* level_or_null) {
  for (int i = kLevelCount - 1; i >= 0; i--) {
    if (level_or_null && !same_level(kLevels[i].table.level, level_or_null)) continue;
    if (kLevels[i].runs_here()) return &kLevels[i].table;
    if (level_or_null) return nullptr;
  }
  return nullptr;
}

const ScratchTable* scratch_table(const char* level) {
  for (const Level& own : kLevels)
    if (same_level(own.table.level, level)) return &own.table;
  for (const ScratchTable& other : kElsewhere)
    if (same_level(other.level, level)) return &other;
  return nullptr;
}

int kernel_levels(const char** names, int capacity) {
  int count = 0;
  for (int i = 0; i < kLevelCount; i++) {
    if (!kLevels[i].runs_here()) continue;
    if (count < capacity) names[count] = kLevels[i].table.level;
    count++;
  }
  return count;
}

}  // namespace edgecl
