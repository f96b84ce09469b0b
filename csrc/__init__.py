"""The C headers that generated code includes. Installed as the package ``jitgraph.csrc``."""
