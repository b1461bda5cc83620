#!/usr/bin/env bash
# Make .venv and install a requirements file into it, only when the file has changed.
set -euo pipefail
cd "$(dirname "$0")/.."
requirements=$1

# one file can name another, so all of them count
sum=$(cat requirements*.txt | sha256sum | cut -c1-16)
stamp=.venv/.installed-$(basename "$requirements" .txt)-$sum
[ -e "$stamp" ] && exit 0

python=""
for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || { echo "Tandem needs Python 3.11 or newer: apt-get install -y python3" >&2; exit 1; }

make_venv() { "$python" -m venv .venv >/dev/null 2>&1; }
if [ ! -x .venv/bin/pip ]; then
    echo "Making .venv with $("$python" --version) ..."
    if ! make_venv; then
        # Debian and Ubuntu keep venv in a package of its own
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        rm -rf .venv
        as_root=""
        [ "$(id -u)" = 0 ] || as_root="sudo -n"
        line="apt-get install -y python$version-venv"
        ($as_root apt-get update -qq && $as_root $line -qq) >/dev/null 2>&1 && make_venv || {
            rm -rf .venv
            echo "Python's venv module is missing. Install it and try again: sudo $line" >&2
            exit 1
        }
    fi
fi
echo "Installing $requirements (once) ..."
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$requirements"
rm -f .venv/.installed-"$(basename "$requirements" .txt)"-*
touch "$stamp"
