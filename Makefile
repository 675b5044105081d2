# Without ROS installed: make run | test | demo | docs | bench.  With ROS: colcon build.
# Every target brings what it needs; a second run reinstalls nothing that is up to date.

PYTHON ?= python3
DISTRO ?= kilted
VENV ?= .venv
PARAMS ?= config/oom_sentinel.yaml
# Relative, so that a folder whose name has a space is no word boundary for make.
BIN := $(VENV)/bin

# The wheels start the interpreter anew with LD_LIBRARY_PATH, unless this says it is done.
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE
unexport PYTHONPATH
PREFIX := $(if $(filter /%,$(VENV)),,$(CURDIR)/)$(VENV)
export AMENT_PREFIX_PATH := $(PREFIX)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
LOOPBACK := ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
SOURCES := setup.py setup.cfg package.xml scripts/make_venv.sh scripts/link_package.sh \
    $(wildcard launch/*.launch.py)

.PHONY: setup run demo docs test test-together test-kills test-reported test-chosen test-again \
    test-unprivileged test-jazzy coverage fuzz mutation bench endurance chaos \
    setup-jazzy storm lint clean

setup: $(VENV)/.ready

# What the node needs, and no more.
$(VENV)/.run: $(SOURCES)
	@sh scripts/make_venv.sh '$(PYTHON)' '$(VENV)' '$(DISTRO)'
	@sh scripts/link_package.sh '$(VENV)'
	@touch '$@'

# The tools of the tests too.
$(VENV)/.ready: $(VENV)/.run
	@sh scripts/make_venv.sh '$(PYTHON)' '$(VENV)' '$(DISTRO),test'
	@touch '$@'

run: $(VENV)/.run
	@echo 'oom_sentinel watches this machine; stop it with ctrl-c.'
	@echo "  topics    /diagnostics and /oom_sentinel/oom_risk, on ROS_DOMAIN_ID $${ROS_DOMAIN_ID:-0}"
	@echo '  with ROS  ros2 topic echo /diagnostics; ros2 run rqt_runtime_monitor rqt_runtime_monitor'
	@echo '  without   $(VENV)/bin/oom_sentinel order -n 5'
	@echo '  tuning    $(PARAMS), or ros2 param set /oom_sentinel scan_period 1.0'
	$(BIN)/oom_sentinel_node --ros-args --params-file $(PARAMS)

# Below two minutes; says so and replays a recording where no memory control group can be made.
demo: $(VENV)/.run
	@$(BIN)/python -m demo $(DEMO)

# Two workers, for most tests of the node wait; a file stays in one worker, for its fixtures.
# Real OOM kills are played meanwhile, in two lines: one reads the kernel's reports, of which it
# leaves out the tables after ten in 5 s, and then plays storms; the other looks at who is killed.
# They go first where a core is short, for a storm on a busy core proves nothing.
JOBS ?= 2
TESTS ?= test/core test/ros test/launch $(wildcard test/test_*.py)
REPORTED := $(patsubst %,test/kernel/test_%.py,live_kills log_of_kills storms)
PYTEST = $(LOOPBACK) $(BIN)/python -m pytest
CACHES := .pytest_cache .pytest_cache/reported .pytest_cache/chosen
test: setup
	@$(MAKE) --no-print-directory --jobs=3 --keep-going test-together test-reported test-chosen

test-kills: setup
	@$(MAKE) --no-print-directory --jobs=2 --keep-going test-reported test-chosen

test-together: setup
	$(LOOPBACK) nice -n 10 $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile $(TESTS)

test-reported: KILLS = $(REPORTED)
test-chosen: KILLS = $(filter-out $(REPORTED),$(wildcard test/kernel/test_*.py))
test-reported test-chosen: setup
	@code=0; $(PYTEST) -o cache_dir=.pytest_cache/$(@:test-%=%) $(KILLS) >$(VENV)/$@.log 2>&1 || \
	  code=$$?; cat $(VENV)/$@.log; exit $$code

# make test-unprivileged AGAIN=1 and the like: only what failed the last time, all where it broke.
LAST_FAILED = $(if $(AGAIN),--last-failed)

# What failed the last time, alone; 5 says that nothing of that line did.
test-again: setup
	@code=5; for cache in $(CACHES); do \
	  $(PYTEST) -o cache_dir=$$cache --last-failed --last-failed-no-failures none && again=0 || \
	    again=$$?; \
	  case $$again in 5) ;; 0) [ $$code != 5 ] || code=0 ;; *) code=$$again ;; esac; \
	done; exit $$code

# The suite as a robot's user: no root, 1024 descriptors, no XDG_RUNTIME_DIR.
test-unprivileged: setup
	@command -v setpriv >/dev/null && [ "$$(id -u)" = 0 ] || \
	  { echo 'test-unprivileged changes the user: it needs root and setpriv'; exit 1; }
	@mkdir -p .pytest_cache/unprivileged && chmod 777 .pytest_cache/unprivileged
	home=$$(mktemp -d) && chmod 777 $$home && trap 'rm -rf "$$home"' EXIT && \
	  $(LOOPBACK) HOME=$$home PYTHONDONTWRITEBYTECODE=1 setpriv --reuid=65534 --regid=65534 \
	  --clear-groups sh -c 'ulimit -n 1024; unset XDG_RUNTIME_DIR; exec "$$@"' sh \
	  $(BIN)/python -m pytest -o cache_dir=.pytest_cache/unprivileged $(LAST_FAILED) \
	  --numprocesses $(JOBS) --dist loadfile test/core test/ros

# Branch coverage: of every file, 90 % together, then of the pure rooms, which promise 97 %.  What
# the tests start is counted too (setup.cfg): the node by test/ros, the launch actions by test/launch.
PURE := oom_sentinel/facts/*,oom_sentinel/settings/*,oom_sentinel/risk/*,oom_sentinel/report/*,$\
    oom_sentinel/kernel/files/*,oom_sentinel/kills/oom_report/*,oom_sentinel/doctor/*
# Its data stay out of the tree, whose files the tests read.
coverage: export COVERAGE_FILE := $(VENV)/coverage_data
coverage: $(VENV)/.coverage_ready
	-$(PYTEST) -q -n $(JOBS) --dist loadfile --cov=oom_sentinel --cov-branch --cov-report= \
	  test/core test/ros test/launch
	$(BIN)/python -m coverage report --skip-covered --fail-under=90
	$(BIN)/python -m coverage report --skip-covered --include='$(PURE)' --omit='*/look.py' \
	  --fail-under=97

$(VENV)/.coverage_ready: $(VENV)/.ready
	@$(BIN)/python -m pip install --quiet pytest-cov==6.0.0
	@touch '$@'

# Everything that reads what others wrote, guided by coverage; make fuzz SECONDS=60 TARGETS=files
SECONDS ?= 600
TARGETS ?= files state params incident tree kernel_log
fuzz: $(VENV)/.fuzz_ready
	@for target in $(TARGETS); do \
	  program="test/fuzz/rooms.py $$target"; \
	  [ $$target != kernel_log ] || program=test/fuzz/kernel_log.py; \
	  echo "$$target: $(SECONDS) s"; \
	  $(BIN)/python $$program -max_total_time=$(SECONDS) >$(VENV)/fuzz.log 2>&1 || \
	    { tail -n 60 $(VENV)/fuzz.log; exit 1; }; \
	  grep '^Done' $(VENV)/fuzz.log; done

$(VENV)/.fuzz_ready: $(VENV)/.ready
	@$(BIN)/python -m pip install --quiet atheris==3.0.0
	@touch '$@'

# Mutation testing; minutes to an hour.  MUTATE are the files, TESTS their tests, ONLY the names
# of some that survived:
# make mutation MUTATE='oom_sentinel/protection/plan.py' TESTS=test/core/protection SAMPLE=300
MUTATE ?= $(wildcard oom_sentinel/risk/*.py)
mutation: TESTS := $(if $(filter test/core/%,$(TESTS)),$(TESTS),test/core/risk)
mutation: $(VENV)/.ready
	@$(BIN)/python -m pip install --quiet mutmut==3.8.1
	@nice -n 15 $(BIN)/python -m bench.mutants $(MUTATE) --tests '$(TESTS)' \
	  $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

# The tests that use ROS: test/core knows none.  Left out: Fast DDS 2.14 did not deliver from an
# unprivileged publisher to root here, and a lifecycle node of Jazzy ends at a refused transition.
test-jazzy: setup-jazzy
	PYTEST_ADDOPTS='-k "not heard_by_another_user and not without_any_permission and not was_inactive_before" -o cache_dir=.pytest_cache/jazzy $(LAST_FAILED)' \
	  $(MAKE) --no-print-directory test-together VENV=.venv-jazzy DISTRO=jazzy TESTS=test/ros

setup-jazzy:
	@$(MAKE) --no-print-directory setup VENV=.venv-jazzy DISTRO=jazzy

# The site, into site/; a virtual environment of its own, for no robot needs mkdocs.
docs: .venv-docs/.ready
	.venv-docs/bin/python -m mkdocs build --quiet
	@echo 'site/index.html'

.venv-docs/.ready: docs/requirements.txt
	@$(PYTHON) -m venv --clear .venv-docs && \
	  .venv-docs/bin/python -m pip install --quiet --requirement docs/requirements.txt || \
	  { echo 'mkdocs could not be installed: network? python3-venv?'; exit 1; }
	@touch '$@'

# Everything that may stop, bloat or fool the node at once; two and a half minutes, a minute with
# CHAOS=--brief.  With more rights it does more: as root the node runs as another user, under files
# that fail.
chaos: setup
	$(LOOPBACK) $(BIN)/python -m bench.chaos $(CHAOS)

# Then the peers: make bench PEERS='--counts 500 --seconds 20 --runs 3'
bench: setup
	$(LOOPBACK) $(BIN)/python -m bench
	$(LOOPBACK) $(BIN)/python -m bench.peers $(PEERS)

# Half an hour of starts, respawn loops, kills and stops; make endurance MINUTES=3
MINUTES ?= 30
endurance: setup
	$(LOOPBACK) $(BIN)/python -m bench.endurance $(MINUTES)

# Real OOM kills without and with the sentinel: needs root and a memory controller.
# make storm STORM='--seeds 1-2 --kinds unmatched,shm' or STORM=--simulate for seconds.
storm: setup
	$(LOOPBACK) $(BIN)/python -m bench.storm $(STORM)

# Every kernel is probed, one runs the whole suite, and once more with systemd as process 1; two
# guests at a time.  make vm-test KERNELS='trixie sid'; make vm-images only downloads and builds.
KERNELS ?= bullseye bookworm trixie sid
export KERNELS
GUEST = PYTHON='$(PREFIX)/bin/python' VM_AGAIN='$(AGAIN)' test/vm/run
.PHONY: vm-test vm-images vm-guest vm-systemd vm-probe
vm-test: setup
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target --keep-going \
	  vm-guest vm-systemd vm-probe

vm-images: setup
	VM_PREPARE='$(KERNELS)' $(GUEST)

vm-guest: setup
	$(GUEST)

vm-systemd: setup
	VM_SYSTEMD=systemd $(GUEST)

vm-probe: setup
	$(BIN)/python -m pytest -o cache_dir=.pytest_cache/probe $(LAST_FAILED) test/vm/probe

# Once a release: 16 KiB pages on an emulated arm64 (qemu-system-arm), as on a Raspberry Pi 5.
.PHONY: vm-arm64
vm-arm64: setup
	@$(MAKE) --no-print-directory vm-probe KERNELS=trixie/arm64-16k PROBE_TIMEOUT_S=900

lint: setup
	$(BIN)/python -m pytest test/test_lint.py

clean:
	rm -rf .venv .venv-jazzy .venv-docs .vm build site install log *.egg-info
