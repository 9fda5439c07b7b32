// Linear systems whose matrix is a covariance of statistics, shrunk towards a multiple of the identity.
// Never here: which right-hand sides, and what the solution means (lda_head.cpp, ridge_head.cpp).
#ifndef EDGECL_RUNTIME_HEADS_SOLVE_H_
#define EDGECL_RUNTIME_HEADS_SOLVE_H_

#include "runtime/heads/statistics.h"

namespace edgecl {

// Doubles that a system takes: the packed triangle, [dim][columns] right-hand sides, [columns] weights, and a word for
// the index of a pivot that failed; and where each class has moments of its own `pooled` more.
uint64_t system_doubles(uint64_t dim, uint64_t columns);
uint64_t pooled_doubles(const StatisticsSize& size);

// Scratch memory of one thread for the calls below.
uint64_t system_scratch_bytes(const StatisticsSize& size, const ScratchTable& kernels);

struct System {
  double* matrix;  // packed lower triangle, then its Cholesky factor
  double* rhs;     // [dim][n_columns], then the solution
  double* weight;  // [columns]
  int32_t* failed;
  int64_t* pooled;     // packed triangle: the moments of all classes together, where each has its own; else null
  uint32_t n_columns;  // of rhs: classes that have rows
};
System place_system(const Statistics& statistics, double* work);

// Shrinkage of the scatter within classes: head_shrinkage of the recipe, or where that is 0 this.
constexpr double kLdaShrinkage = 0.3;
inline double lda_shrinkage(float of_recipe) {
  return of_recipe > 0 ? static_cast<double>(of_recipe) : kLdaShrinkage;
}

// What is taken from the moments.
enum class Centre { kClasses, kAll };  // the scatter within classes; around the mean of all rows

// matrix = (1 - shrinkage) * S + shrinkage * (trace of S / dim) * I with S = scatter / rows, or with `add` S + shrinkage *
// (trace / dim) * I; in units of squared fixed-point features. Where nothing varies it is the mean square of a feature
// times the identity. `all`: [dim]
// sums over all classes, used by kAll. Then factors it. E_NUMERIC: not positive definite.
Status factor_covariance(const Net& net, const Statistics& statistics, Centre centre, double shrinkage, bool add,
                         const int64_t* all, const System& system);
// rhs = matrix^-1 rhs.
void solve_system(const Net& net, const Statistics& statistics, const System& system);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_HEADS_SOLVE_H_
