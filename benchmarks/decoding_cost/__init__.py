"""What decoding costs, in processor time, beside plain sequential decoding and an earlier version of it.

``python -m benchmarks.decoding_cost --videos FOLDER``; ``--against PYTHON`` names the other version's interpreter.
"""
