#!/bin/sh
# Rewrites constraints.txt with the newest versions that pyproject.toml allows, from a new environment.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${1:-python3}" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --editable '.[lakes,fuzz]'
{
  echo '# Exact versions of everything that the project installs. Update with: make lock'
  "$folder/bin/python" -m pip freeze --exclude-editable
} > constraints.txt
