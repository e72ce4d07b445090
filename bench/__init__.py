"""What Holdfast costs, measured.

`python -m bench` prints the table of the design, `python -m bench.peers` the same workload on other engines.
"""
