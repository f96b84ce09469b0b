"""jitgraph: symbolic array expressions, compiled to fused C loops."""
