# The processes that a benchmark times: one contender and one configuration each.
# Never here: who takes turns with whom (edgecl.cli.bench_turns) and what a figure means (bench_suite_*.py, peers.py).
"""Workers of the benchmarks. `worker.py` is the program; the other modules each prepare one contender for it.

    INTERPRETER worker.py MODULE CONFIG     (CONFIG: a JSON object, read by the module's `prepare`)

`prepare(config)` returns the keyword arguments of `worker.serve`. The program is run by its path, since a peer may live
in an environment of its own that has no edgecl: modules here import what is theirs in `prepare`, and never each other.
"""
