"""From a graph to C text: plan, fuse, lower to loops, schedule, emit. No files, no processes."""
