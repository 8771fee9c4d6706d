#!/bin/sh
# Installs the servers that `make test-lakes` needs and pip cannot install, into the given folder (.venv). Does nothing if
# they are installed already, or if node or npm is missing: their tests are then skipped, with a reason.
set -eu
folder=$1/azurite
version=3.37.0
[ -x "$folder/node_modules/.bin/azurite-blob" ] && exit 0
if ! command -v node > /dev/null || ! command -v npm > /dev/null; then
  exit 0
fi
echo "installing Azurite into $folder …"
mkdir -p "$folder"
npm install --prefix "$folder" --silent --no-audit --no-fund --no-save "azurite@$version" > "$folder/log" 2>&1 ||
  { echo "Azurite could not be installed: $folder/log"; rm -rf "$folder/node_modules"; }
