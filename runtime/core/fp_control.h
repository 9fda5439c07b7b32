// FpControl: for its lifetime the thread computes as IEEE 754 says; after it, as the caller had it.
// Never here: arithmetic.
#ifndef EDGECL_RUNTIME_CORE_FP_CONTROL_H_
#define EDGECL_RUNTIME_CORE_FP_CONTROL_H_

#include <stdint.h>

#if defined(__x86_64__) || defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace edgecl {

// Round to nearest even, denormals kept (no flush-to-zero, no denormals-are-zero), exceptions masked. A program linked
// with -ffast-math, or an audio loop, may have switched these on its threads; learning must give the same bits there.
// Restores the control word as it was, sticky exception flags included. One at the top of every entry point and of
// every body that a parallel_for runs.
class FpControl {
 public:
#if defined(__x86_64__) || defined(__SSE2__)
  FpControl() : saved_(_mm_getcsr()) { _mm_setcsr(0x1f80); }
  ~FpControl() { _mm_setcsr(static_cast<unsigned>(saved_)); }
#elif defined(__aarch64__)
  FpControl() : saved_(0) {
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved_));
    __asm__ volatile("msr fpcr, %0" : : "r"(static_cast<uint64_t>(0)));
  }
  ~FpControl() { __asm__ volatile("msr fpcr, %0" : : "r"(saved_)); }
#elif defined(__arm__) && defined(__ARM_FP)
  FpControl() : saved_(0) {
    uint32_t word;
    __asm__ volatile("vmrs %0, fpscr" : "=r"(word));
    saved_ = word;
#if __ARM_ARCH_PROFILE == 'M'
    word &= 0x70000u;  // LTPSIZE of Armv8.1-M: hardware loops fault unless it stays 4; zero on older cores
#else
    word = 0;
#endif
    __asm__ volatile("vmsr fpscr, %0" : : "r"(word));
  }
  ~FpControl() { __asm__ volatile("vmsr fpscr, %0" : : "r"(static_cast<uint32_t>(saved_))); }
#else
  FpControl() : saved_(0) {}
  ~FpControl() {}
#endif
  FpControl(const FpControl&) = delete;
  FpControl& operator=(const FpControl&) = delete;

 private:
  uint64_t saved_;
};

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_FP_CONTROL_H_
