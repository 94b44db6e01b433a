"""The fuzzer of all readers and writers: damaged and hostile files give a clear error or data.

python -m fuzz -n 4000        (in the folder tests; `make fuzz`)
python -m fuzz --case 1234    what happened in one case
"""
