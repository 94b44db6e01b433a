"""The fuzzer of all readers and writers: damaged and hostile files give a clear error or data.

make fuzz                                      4000 cases
PYTHONPATH=tests python -m fuzz --case 1234    what happened in one of them
"""
