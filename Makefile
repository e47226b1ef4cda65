# Two commands for a start: `make demo` and `make test`. Both set up .venv when it is missing or out of date, `make demo` with what
# users need alone, the others with what tests and checks need beside.

PYTHON ?= python3
VENV ?= .venv
DEMO_EPOCHS ?= 2
TEST_JOBS ?= auto

.PHONY: demo test test-all check setup dev clean

demo: setup data/demo/dataset.json
	$(VENV)/bin/python main_prob.py --data_dir data/demo --schedule fast --epochs $(DEMO_EPOCHS) --checkpoint checkpoint/demo

# Without the campaigns: kills and damaged files by the dozen, whole benchmarks, notebooks. `make test-all` has them, and so has CI.
test: dev
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n $(TEST_JOBS) --maxprocesses 8 --dist loadfile -m "not campaign"

test-all: dev
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n $(TEST_JOBS) --maxprocesses 8 --dist loadfile

check: dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo
	$(VENV)/bin/python benchmarks/results_page.py --check

setup: $(VENV)/.installed
dev: $(VENV)/.installed_dev

# A stamp changes only with the requirements, so that nothing is asked of the network once all is installed.
$(VENV)/.installed: requirements.txt constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --disable-pip-version-check -r requirements.txt -c constraints.txt
	touch $@

$(VENV)/.installed_dev: requirements-dev.txt $(VENV)/.installed
	$(VENV)/bin/pip install --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	touch $@

# Built anew when what makes it has changed.
data/demo/dataset.json: data/demo/motion.h5 data/prepare_data_demo.py common/mocap/body.py common/mocap/motion.py \
		common/mocap/takes.py common/mocap/domain_builder.py common/mocap/detector_errors.py common/geometry/joint_orders.py \
		common/geometry/camera.py common/geometry/h36m_cameras.py common/geometry/skeleton.py common/preparation/h36m_writer.py \
		common/preparation/surreal_writer.py | $(VENV)/.installed
	$(VENV)/bin/python data/prepare_data_demo.py

clean:
	rm -rf $(VENV) data/demo/*.npz data/demo/surreal_*.h5 data/demo/dataset.json .pytest_cache .mypy_cache .ruff_cache
