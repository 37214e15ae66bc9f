# Recipes for those who build Botticelli. `just` lists them; each works after
# `pip install -e '.[dev]'` in a virtual environment that is active or called .venv.

set positional-arguments

export PATH := if path_exists(justfile_directory() / ".venv/bin") == "true" { justfile_directory() / ".venv/bin:" + env("PATH") } else { env("PATH") }

[private]
default:
    @just --list --unsorted

# Everything that must be green before a commit: style, types, layers, contracts, coverage, tests
[group('check')]
check: lint types layers contracts coverage test

# Style: ruff's rules and its formatting
[group('check')]
lint:
    ruff check .
    ruff format --check .

# Types: mypy --strict and pyright strict, over source and tests
[group('check')]
types:
    mypy
    pyright

# Layers: who may import whom
[group('check')]
layers:
    lint-imports

# Rewrite the source in ruff's style
[group('check')]
format:
    ruff check --fix-only .
    ruff format .

# The tests, offline, on all cores; arguments go to pytest
[group('test')]
test *arguments:
    pytest -n auto "$@"

# The properties with twenty times as many examples, new ones each time; takes a quarter of an hour and more
[group('test')]
fuzz *arguments:
    pytest -n auto --hypothesis-profile=fuzz tests/property "$@"

# Branch coverage of core, protocol, dialects, contracts and the kit's judge by their own tests: 100 % or it fails
[group('test')]
coverage:
    pytest -q -n auto tests/core tests/protocol tests/dialects --cov=botticelli/core --cov=botticelli/protocol --cov=botticelli/dialects --cov-branch --cov-report=term-missing --cov-fail-under=100
    pytest -q -n auto tests/contracts --cov=botticelli/contracts --cov-branch --cov-report=term-missing --cov-fail-under=100
    pytest -q -n auto tests/kit/judge tests/kit/test_evidence.py --cov=botticelli/kit/judge --cov-branch --cov-report=term-missing --cov-fail-under=100

# Check the contracts: built files, cases, metaschema, examples, invalid instances, breaking changes
[group('contracts')]
contracts: _files
    pytest -q -n auto tests/contracts tests/tools tests/property/test_contract_properties.py tests/property/test_request_properties.py tests/dialects/test_wire.py

# What of the contracts is looked at without tests: built files, cases, breaking changes
[private]
_files:
    python -m tests.tools.contracts build --check
    python -m botticelli.kit.cases
    @just _breaking

# Install ajv beside the virtual environment, so that the schemas are tested in JavaScript too (needs npm)
[group('contracts')]
ajv:
    npm install --silent --no-fund --no-audit --prefix .venv/node ajv@8 ajv-formats@3

# List what has become stricter since the last release
[private]
_breaking:
    #!/usr/bin/env bash
    set -euo pipefail
    if ! release=$(git describe --tags --abbrev=0 2>/dev/null); then
        if [ "$(git rev-parse --is-shallow-repository)" = true ]; then
            echo "this clone is shallow, so the last release can't be seen; git fetch --unshallow --tags" >&2
            exit 1
        fi
        echo "no release yet: nothing to compare the contracts with"
        exit 0
    fi
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    git archive "$release" contracts | tar -x -C "$folder"
    python -m tests.tools.contracts breaking "$folder/contracts"

# Build the tolerant schemas from the strict ones and the relaxations
[group('contracts')]
build-contracts:
    python -m tests.tools.contracts build

# Compare our contracts, and what the driver reads, with a copy of the published specification and examples
[group('contracts')]
examples path:
    python -m tests.tools.contracts published "{{ path }}"
    python -m tests.tools.read_examples "{{ path }}"

# Botticelli beside bare httpx, openai and huggingface_hub, in one run
[group('measure')]
bench *arguments:
    python -m tests.bench "$@"

# Framing alone: nanoseconds per byte from 1 KiB to 64 MiB, which must stay flat, and per event
[group('measure')]
bench-framing *arguments:
    python -m tests.bench.bench_sse "$@"

# Judge our drivers and every client that has an adapter, and write the matrix; words name those to judge anew
[group('measure')]
matrix *arguments:
    python -m tests.matrix "$@"

# The live suite: just test-api openai|groq|ollama|huggingface [--model NAME]; billed where the server bills
[group('live')]
test-api provider *arguments:
    python -m tests.live "$@"

# Record a local server's whole answers anew: just record SERVER VERSION BASE_URL MODEL KEY
[group('live')]
record *arguments:
    python -m tests.cassettes "$@"

# The wheel, with contracts and fixtures inside
[group('package')]
wheel:
    python -m build --wheel

# What CI runs
[group('package')]
ci:
    bash .ci/run
