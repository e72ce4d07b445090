#!/bin/sh
# Writes the locks in requirements form: versions and hashes only, no index address, no machine path.
set -eu
uv=$1
cd "$(dirname "$0")/.."
flags="--quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links"
# shellcheck disable=SC2086
"$uv" pip compile $flags pyproject.toml --output-file requirements/runtime.txt
# shellcheck disable=SC2086
"$uv" pip compile $flags pyproject.toml --group dev --constraint requirements/runtime.txt --output-file requirements/dev.txt
echo uv | "$uv" pip compile $flags - --output-file requirements/uv.txt
# What bench-peers compares with, each in an environment of its own; the agent library is the one we run on.
agents="pydantic-ai-slim>=2.68,<3
uvloop
psutil"
# shellcheck disable=SC2086
printf '%s\n' "$agents" 'pydantic-ai-slim[dbos]' 'dbos>=3.4' |
  "$uv" pip compile $flags - --output-file requirements/peers-dbos.txt
# shellcheck disable=SC2086
printf '%s\n' 'langgraph>=1.2' 'langgraph-checkpoint-postgres' 'psycopg[binary,pool]' uvloop psutil |
  "$uv" pip compile $flags - --output-file requirements/peers-langgraph.txt
