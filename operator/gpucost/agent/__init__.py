"""The node agent: what the GPUs of one node do, by NVML, and which pods hold them, by the kubelet.

For nodes without dcgm-exporter. It speaks that exporter's names and labels, so that whoever reads one reads the other.
"""
