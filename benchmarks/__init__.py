"""Speed and memory beside other builders, side by side in one run: `benchmarks/run`; see docs/performance.md."""
