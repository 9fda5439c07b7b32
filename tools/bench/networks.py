"""The networks of the benchmarks, by the name under which the scripts of this folder import them.

Never here: anything of its own; the command line measures the same networks (edgecl.cli.bench_networks).
"""

from edgecl.cli.bench_networks import INPUT_SHAPE, N_CLASSES, build, multiply_adds, write_bundle

__all__ = ["INPUT_SHAPE", "N_CLASSES", "build", "multiply_adds", "write_bundle"]
