"""The same workload on other engines, in the same run on the same server: `python -m bench.peers`."""
