# The room of the zero-shot choice of an adaptor.
# Never here: code.
"""Which adaptor suits a new domain, before any is trained: one file a score, in plain numpy."""
