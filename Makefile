# Beamway: `make demo` shows it, `make test` proves it. Each does its own set-up, as root or not.
# Every target is one script; nothing here needs more than sh, make and (for the first set-up) npm.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench soak docs clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

setup: ## install the pinned Node and the libraries into this folder
	@sh scripts/setup.sh

demo: setup ## the LCLStream case study, end to end [SCHEDULER=slurm] [CHAOS=control-plane] [FAULT=drop-one] [FRAMES=dir] [OUT=dir]
	@CHAOS='$(CHAOS)' FAULT='$(FAULT)' FRAMES='$(FRAMES)' OUT='$(OUT)' SCHEDULER='$(SCHEDULER)' sh scripts/with-node.sh examples/lclstream/demo.ts

test: setup ## everything, on real servers; closes with "N passed, N failed, N skipped"
	@sh scripts/with-node.sh scripts/run-tests.ts all

check: setup ## the fast gate: format, lint, types, rooms, unit tests, docs in sync
	@sh scripts/with-node.sh scripts/run-tests.ts check

bench: setup ## figures against named comparators [ONLY=name or group]
	@ONLY='$(ONLY)' sh scripts/with-node.sh bench/run.ts

soak: setup ## the large counts, seeded and resumable [SEED=n] [ONLY=name]
	@SEED='$(SEED)' ONLY='$(ONLY)' sh scripts/with-node.sh test/soak/run.ts

docs: setup ## write the generated reference pages
	@sh scripts/with-node.sh scripts/generate.ts

clean: ## remove what set-up and runs have made
	rm -rf node_modules .state demo-out dist bench/results.jsonl
