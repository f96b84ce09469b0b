"""Programs of the comparison, one module for each library that takes part.

The modules here are run by the interpreter of a peer, which need not have jitgraph: apart from the
peer itself they use NumPy, the standard library and each other, by relative imports.
"""
