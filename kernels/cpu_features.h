// Which instruction-set levels this CPU (and its operating system) can run.
// Never here: kernel code, and choices between levels (dispatch.cpp makes them).
#ifndef EDGECL_KERNELS_CPU_FEATURES_H_
#define EDGECL_KERNELS_CPU_FEATURES_H_

namespace edgecl {

// x86-64-v3 of the x86-64 psABI: AVX2, FMA, BMI1/2, LZCNT, MOVBE, F16C, with the upper register halves saved by the
// system.
bool cpu_has_x86_v3();
// x86-64-v4: v3 and AVX-512 F/BW/DQ/VL/CD.
bool cpu_has_x86_v4();
// v4 and VNNI: dot products of bytes.
bool cpu_has_x86_v4_vnni();
// The same of AArch64 (FEAT_DotProd).
bool cpu_has_neon_dot();

}  // namespace edgecl

#endif  // EDGECL_KERNELS_CPU_FEATURES_H_
