# The front door. `make demo` and `make test` install what is missing, build and run; see README.md.

SHELL := /bin/bash
BUILD := build
VENV := $(BUILD)/venv
JOBS ?= $(shell nproc)

IMAGE ?=
PROMPT ?= Describe this image.

.PHONY: help build demo test test-hf test-htp test-arm64 asan tsan fuzz bench clean

help:
	@echo "make demo                       forge the demo model and describe its sample pictures"
	@echo "make demo IMAGE=x PROMPT='...'  ask about a picture of your own"
	@echo "make test                       build and run the test suite"
	@echo "make build                      build/bin/qhx_generate, build/bin/qhx, build/lib/libQhxCpu.so"
	@echo "make test-hf                    parity with Hugging Face transformers (installs torch, several GB)"
	@echo "make test-htp                   the published phone presets, forged and run in the vendor's x86 emulation (10 to 30 minutes)"
	@echo "make test-arm64                 the suite as AArch64 under qemu-user"
	@echo "make asan, make tsan            the suite with sanitizers"
	@echo "make bench [BUNDLE=folder]      what this machine can do, and the share that kernels and a bundle reach"
	@echo "make fuzz                       a minute on each fuzz target"

# Debian packages. Does nothing where they are all there; needs root or sudo where not.
$(BUILD)/.packages: tools/setup/install_packages.sh
	@mkdir -p $(BUILD)
	@tools/setup/install_packages.sh
	@touch $@

build: $(BUILD)/.packages
	@cmake --preset release > $(BUILD)/configure.log || { cat $(BUILD)/configure.log; exit 1; }
	@cmake --build --preset release -j $(JOBS)

# What the tests need from PyPI: NumPy and the like, and the vendor's x86 libraries (which their tests skip without).
$(VENV)/.test-tools: tests/requirements.txt tools/setup/make_venv.sh
	@tools/setup/make_venv.sh $(VENV)
	@touch $@

test: build $(VENV)/.test-tools
	@cmake -B $(BUILD) -DQHX_TEST_PYTHON=$(abspath $(VENV))/bin/python > $(BUILD)/configure.log || { cat $(BUILD)/configure.log; exit 1; }
	@export QHX_HTP_LIB_DIR=$$($(VENV)/bin/python tools/setup/find_htp_libraries.py); \
	[[ -n $$QHX_HTP_LIB_DIR ]] || echo "No vendor QNN libraries: the tests against them are SKIPPED"; \
	ctest --preset release -j $(JOBS)

test-hf: test
	@tools/setup/make_venv.sh $(VENV) hf
	@$(VENV)/bin/python tests/parity/hf_parity.py --build $(BUILD)

test-htp: build $(VENV)/.test-tools
	@export QHX_HTP_LIB_DIR=$$($(VENV)/bin/python tools/setup/find_htp_libraries.py); \
	[[ -n $$QHX_HTP_LIB_DIR ]] || { echo "No vendor QNN libraries: build/bin/qhx forge --get-qnn tells how to get them"; exit 1; }; \
	$(VENV)/bin/python tests/htp/emulation.py --build $(BUILD) --full --jobs $(JOBS)

demo: build
	@python3 demo/demo.py --build $(BUILD) --prompt "$(PROMPT)" $(if $(IMAGE),--image "$(IMAGE)")

test-arm64:
	@tools/setup/install_packages.sh arm64
	@cmake --preset arm64 && cmake --build --preset arm64 -j $(JOBS) && ctest --preset arm64

asan tsan: $(BUILD)/.packages
	@preset=$(if $(filter asan,$@),asan-ubsan,tsan); \
	cmake --preset $$preset && cmake --build --preset $$preset -j $(JOBS) && ctest --preset $$preset

fuzz:
	@tools/setup/install_packages.sh fuzz
	@cmake --preset fuzz && cmake --build --preset fuzz -j $(JOBS) && fuzz/run.sh build-fuzz

# BUNDLE=folder: that bundle, too, with the share of the machine that it reaches.
bench: build
	@tools/setup/install_packages.sh bench
	@cmake --preset release -DQHX_BUILD_BENCH=ON > $(BUILD)/configure.log || { cat $(BUILD)/configure.log; exit 1; }
	@cmake --build --preset release -j $(JOBS) --target qhx QhxCpu machine_limits kernels_bench
	@$(if $(BUNDLE),bench/report.py "$(BUNDLE)" --build $(BUILD),$(BUILD)/bin/machine_limits && $(BUILD)/bin/kernels_bench)

clean:
	rm -rf $(BUILD) build-*
