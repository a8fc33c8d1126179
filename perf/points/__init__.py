"""Points of a row of `perf/growth`: the same work on appliances that differ only in what stands there already."""
