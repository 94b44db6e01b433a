BIN := .venv/bin
PYTHON ?= python3

N ?= 4000

.PHONY: demo test fuzz benchmarks clean

demo: $(BIN)/.ready  ## collisions, jets, taggers, report: runs/demo/report.html
	$(BIN)/fivesigma demo

test: $(BIN)/.ready  ## the whole suite, on the CPU
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadgroup

fuzz: $(BIN)/.ready  ## N damaged files through all readers; --case NUMBER repeats one
	PYTHONPATH=tests $(BIN)/python -m fuzz -n $(N)

benchmarks: $(BIN)/.ready  ## all measurements, into benchmarks/results.md
	$(BIN)/python benchmarks/run.py

$(BIN)/.ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@

clean:
	rm -rf .venv runs data
