"""Programs beside the collector: the demo, the soak, the benchmarks."""
