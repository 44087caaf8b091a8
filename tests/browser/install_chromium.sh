#!/bin/sh
# Finds a Chrome or Chromium for the browser tests, or installs Debian's. Says what it does.
set -eu
for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name" >/dev/null 2>&1; then
        echo "==> Browser tests use $(command -v "$name")"
        exit 0
    fi
done
say_what_to_run() {
    echo "The browser tests need Chrome or Chromium and none was found. $1" >&2
    echo "Run this, then make test again:  sudo apt-get update && sudo apt-get install -y chromium" >&2
    echo "(Ubuntu's chromium is a snap: where snaps do not run, install google-chrome-stable instead.)" >&2
    exit 1
}
command -v apt-get >/dev/null 2>&1 || say_what_to_run "There is no apt-get here to install it with."
if [ "$(id -u)" = 0 ]; then
    as_root=""
elif sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    say_what_to_run "This user may not install packages."
fi
echo "==> No Chrome or Chromium here: installing Debian's chromium package for the browser tests"
$as_root apt-get update -qq
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null ||
    say_what_to_run "apt-get could not install it."
command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 ||
    say_what_to_run "apt-get installed a package without a browser in it."
