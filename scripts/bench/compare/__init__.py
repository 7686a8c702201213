"""mvswitch beside testpmd and OVS-DPDK: same frames, same core, in turn.

Started by scripts/bench/compare.sh, which installs and builds what this needs.
Standard library only. docs/benchmarks.md explains method and figures.
"""
