.PHONY: run test lint bench

run:
	python app.py

test:
	pytest

lint:
	ruff check . && ruff format --check . && mypy

bench:
	python -m benchmarks.first_run
	python -m benchmarks.ask_latency
	python -m benchmarks.ingest
	python -m benchmarks.browser
	python -m benchmarks.load
	python -m benchmarks.demo
	python -m benchmarks.i3d
	python -m benchmarks.joint
