#!/usr/bin/env bash
# The programs that the tests drive: Chromium, Redis, PostgreSQL, bubblewrap. Installed if missing, as
# root or by sudo; otherwise the line that installs them is printed and the command fails.
set -euo pipefail

missing=()
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || [ -n "${CHROMIUM:-}" ] || missing+=(chromium)
command -v redis-server >/dev/null || missing+=(redis-server)
command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing+=(postgresql)
command -v bwrap >/dev/null || missing+=(bubblewrap)
# what the sandbox needs beside it is part of every Debian; slim images may lack it
command -v setpriv >/dev/null || missing+=(util-linux)
/sbin/ldconfig -p 2>/dev/null | grep -q libseccomp.so.2 || missing+=(libseccomp2)
[ ${#missing[@]} = 0 ] && exit 0

line="apt-get install -y ${missing[*]}"
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo -n"
echo "Installing ${missing[*]} ..."
export DEBIAN_FRONTEND=noninteractive
if ! ($as_root apt-get update -qq && $as_root $line -qq) >/dev/null; then
    echo "The tests need ${missing[*]}. Install them and try again: sudo $line" >&2
    exit 1
fi
