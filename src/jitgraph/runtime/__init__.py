"""From C text to a call: toolchain, cache, loader, buffers and threads."""
